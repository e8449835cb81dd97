"""Ten classes with two pictures that only CLIP names and one that only the other does: shown, written to, exported."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from core.data.collections import Collection, Entry, Side
from core.data.prompts import STRATEGIES
from core.data.wordnet import find_synset, imagenet_wnids
from core.errors import CoreError
from core.figures.collection import collection_page
from core.methods.clip.collection import (
    CLASSES,
    ONLY_CLASSIFIER,
    ONLY_CLIP,
    collected_classes,
    nearest_pair,
    path_words,
    said_words,
)
from core.shares import counted
from pages.clip.collection_store import change, collection, is_kept, picture_of
from pages.clip.disagreements_comparison import read_question, wording
from pages.shared.errors import guard, show_error
from pages.shared.export import Export
from pages.shared.foreign import code, plain
from pages.shared.recipes import filled_recipe

WIDTH = 220
TITLE = "Pictures that only CLIP or only ImageNet training names"
SIDES: dict[Side, tuple[int, str, str]] = {
    "only_clip": (ONLY_CLIP, "only CLIP names", "Only CLIP names it"),
    "only_classifier": (ONLY_CLASSIFIER, "only ImageNet training names", "Only ImageNet training names it"),
}


def panel() -> None:
    """The collection of this browser."""
    with guard():
        found = collection()
        st.markdown(f"#### {plain(headline(found))}")
        _actions(found)
        if not found.entries:
            st.info(
                "Nothing is collected yet. Under “Against ImageNet” a search fills all ten classes, or pictures are "
                "added one by one.",
                icon=":material/collections_bookmark:",
            )
        for wnid in found.wnids():
            _class_row(found, wnid)


def export(name: str) -> Export:
    """One page with everything, the table, and a script that asks both models about the pictures again."""
    found = collection()
    question = read_question(name)
    # Now: the file is made when somebody takes it, where nobody knows whose session that is.
    pixels = {each.key: image for each in found.entries if (image := _pixels(each)) is not None}
    return Export(
        stem="collection",
        recipe=filled_recipe(
            "clip",
            "collection",
            clip=question.clip,
            classifier=question.classifier or "efficientnet_lite0",
            pictures={f"collection_{each.key}.png": each.wnid for each in found.entries},
            wording=wording(name),
            templates=list(STRATEGIES[question.strategy].templates),
            top=question.top,
        ),
        pictures=pixels,
        documents={"collection": partial(collection_page, collected_classes(found, pixels), TITLE)},
        table=table(found),
        facts={"whole classes": whole_classes(found), "classes": list(found.wnids())},
    )


def whole_classes(found: Collection) -> int:
    """How many classes have all their pictures."""
    return sum(
        all(len(found.of(wnid, who)) >= wanted for who, (wanted, _, _) in SIDES.items()) for wnid in found.wnids()
    )


def headline(found: Collection) -> str:
    """How much of the ten there is."""
    pictures = f"{len(found.entries)} of {CLASSES * (ONLY_CLIP + ONLY_CLASSIFIER)} pictures"
    written = sum(bool(each.reason.strip()) for each in found.entries)
    reasons = f", a reason written to {written}" if found.entries else ""
    return f"{whole_classes(found)} of {CLASSES} classes are whole: {pictures}{reasons}"


def table(found: Collection) -> pd.DataFrame:
    """A row per picture."""
    return pd.DataFrame(
        [
            {
                "class": find_synset(each.wnid).names[0],
                "wnid": each.wnid,
                "in WordNet": path_words(each.wnid),
                "picture": each.title,
                "file": f"collection_{each.key}.png",
                "named by": each.who.replace("_", " "),
                "CLIP": said_words(each.clip),
                "the classifier": said_words(each.classifier),
                "reason": each.reason,
                "source": each.source,
            }
            for each in found.entries
        ]
    )


def _actions(found: Collection) -> None:
    """Undo, and where all this is kept."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            f"Undo ({len(found.past)})",
            icon=":material/undo:",
            key="collection_undo",
            disabled=not found.past,
            on_click=_apply,
            args=(Collection.undone,),
        )
        st.button(
            "Remove all",
            icon=":material/delete:",
            key="collection_clear",
            disabled=not found.entries,
            on_click=_apply,
            args=(_emptied,),
        )
        where = "Kept on this machine for this browser." if is_kept() else "Kept while this page is open: export it."
        st.caption(where)
    indices = [imagenet_wnids().index(wnid) for wnid in found.wnids()]
    if pair := nearest_pair(indices):
        one, other, above, steps = pair
        first, second = (find_synset(imagenet_wnids()[each]).names[0] for each in (one, other))
        st.caption(
            f"The two nearest classes: {plain(first)} and {plain(second)}, {steps:d} steps apart over {plain(above)}."
        )


def _emptied(found: Collection) -> Collection:
    return found.having(())


def _class_row(found: Collection, wnid: str) -> None:
    """A class, its synset and its place, and its pictures."""
    synset = find_synset(wnid)
    with st.container(border=True):
        st.markdown(f"**{plain(', '.join(synset.names))}** {code(wnid)}: {plain(synset.gloss)}")
        st.caption(plain(path_words(wnid)))
        cards = [(who, entry) for who in SIDES for entry in found.of(wnid, who)]
        columns = st.columns(max(3, min(4, len(cards))))
        for place, (who, entry) in enumerate(cards):
            with columns[place % len(columns)]:
                _card(who, entry)
        for who, (wanted, words, _) in SIDES.items():
            if (missing := wanted - len(found.of(wnid, who))) > 0:
                lack = f"{counted(missing, 'picture')} that {words}"
                st.caption(f":material/add_photo_alternate: Missing: {plain(lack)}.")


def _card(who: Side, entry: Entry) -> None:
    """One picture, what was said of it, and what somebody writes to it."""
    name = f"{entry.wnid}_{entry.key}"
    with guard():
        st.image(picture_of(entry), width=WIDTH, alt=plain(entry.title))
    st.markdown(f"**{SIDES[who][2]}**")  # ours: SIDES above
    st.caption(f"{plain(said_words(entry.clip))}. {plain(said_words(entry.classifier))}.")
    for field, label in (("reason", "Why?"), ("source", "Source")):
        key = f"collection_{field}_{name}"
        st.session_state[key] = getattr(entry, field)  # also after an undo
        st.text_area(label, key=key, height=68, on_change=_write, args=(entry, field, key), max_chars=1000)
    st.button(
        "Remove",
        icon=":material/delete:",
        type="tertiary",
        key=f"collection_remove_{name}",
        on_click=_apply,
        args=(partial(_without, entry.key, entry.wnid),),
    )


def _without(key: str, wnid: str, found: Collection) -> Collection:
    return found.having(tuple(each for each in found.entries if (each.key, each.wnid) != (key, wnid)))


def _write(entry: Entry, field: str, key: str) -> None:
    words = str(st.session_state[key])
    _apply(lambda found: found.rewritten(entry.key, entry.wnid, **{field: words}))


def _apply(step: object) -> None:
    """In a callback, where an error is shown on top of the page."""
    try:
        change(step)  # type: ignore[arg-type]
    except CoreError as error:
        show_error(error)


def _pixels(entry: Entry) -> np.ndarray | None:
    try:
        return np.asarray(picture_of(entry))
    except CoreError:
        return None
