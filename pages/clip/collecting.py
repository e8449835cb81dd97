"""From the comparison of CLIP with ImageNet training into the collection of ten classes: by search and by hand."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core.data.collections import picture_key
from core.data.wordnet import imagenet_wnids
from core.errors import CoreError
from core.methods.clip.collection import CLASSES, ONLY_CLASSIFIER, ONLY_CLIP, propose
from core.methods.clip.disagreements import Verdict
from core.shares import counted
from pages.clip.collection_store import add, collection
from pages.clip.disagreements_comparison import DisagreementRequest, Found
from pages.shared.errors import guard, show_error
from pages.shared.foreign import plain

SAID = "collection_said"


def collecting_row(question: DisagreementRequest, found: Found) -> None:
    """The button that fills the ten classes with what this search has found."""
    with guard():
        held = collection()
        begun = len(held.wnids())
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                f"Fill the {CLASSES} classes by search",
                icon=":material/travel_explore:",
                key="collection_fill",
                on_click=_fill,
                args=(question, found),
                help=f"Classes that lie far apart in WordNet, each with {ONLY_CLIP} of these pictures that only CLIP "
                f"names and {ONLY_CLASSIFIER} that only the other does, the clearest first. More pictures find more.",
            )
            said = st.session_state.pop(SAID, "")
            st.caption(plain(said or f"{begun} of {CLASSES} classes are begun, under “Ten classes”."))


def collect_button(question: DisagreementRequest, found: Found, verdict: Verdict) -> None:
    """Put this picture into the collection; of one that both name or neither, why it cannot be."""
    if verdict.who in ("both", "neither"):
        st.caption(f"{plain(verdict.who.capitalize())} of the two names it, so it is none for the ten classes.")
        return
    with guard():
        key = picture_key(found.pictures[verdict.picture].open())
        wnid = imagenet_wnids()[verdict.label]
        held = any((each.key, each.wnid) == (key, wnid) for each in collection().entries)
        st.button(
            "Among the ten classes" if held else "Add to the ten classes",
            icon=":material/check:" if held else ":material/add:",
            key="collection_add",
            disabled=held,
            on_click=_add,
            args=(question, found, [verdict]),
        )


def _fill(question: DisagreementRequest, found: Found) -> None:
    try:
        held = collection()
    except CoreError as error:
        show_error(error)
        return
    wnids = imagenet_wnids()
    names = {(each.wnid, each.title) for each in held.entries}
    new = tuple(
        each
        for each in found.comparison.verdicts
        if (wnids[each.label], found.pictures[each.picture].title) not in names
    )
    taken = {
        wnids.index(wnid): (len(held.of(wnid, "only_clip")), len(held.of(wnid, "only_classifier")))
        for wnid in held.wnids()
    }
    proposed = propose(replace(found.comparison, verdicts=new), taken)
    whole = sum(len(ours) == ONLY_CLIP and len(theirs) == ONLY_CLASSIFIER for ours, theirs in proposed.values())
    verdicts = [each for sides in proposed.values() for side in sides for each in side]
    if not verdicts:
        st.session_state[SAID] = "Nothing more to add of these: search among more pictures, or others."
        return
    _add(question, found, verdicts)
    st.session_state[SAID] = (
        f"{counted(len(verdicts), 'picture')} of {counted(len(proposed), 'class', 'classes')} added, {whole} of them "
        "with all three: see “Ten classes”."
    )


def _add(question: DisagreementRequest, found: Found, verdicts: list[Verdict]) -> None:
    """In a callback, where an error is shown on top of the page."""
    try:
        add(question, found, verdicts)
    except (CoreError, OSError) as error:
        show_error(error if isinstance(error, CoreError) else CoreError(f"A picture cannot be read ({error})."))
