"""The collection of this browser: on the machine that runs Vitrine where that keeps things, else in this session."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import streamlit as st
from PIL import Image

from core.data.collections import (
    Collection,
    Entry,
    Said,
    change_collection,
    collected_picture,
    picture_key,
    read_collection,
)
from core.data.wordnet import imagenet_wnids
from core.errors import CoreError
from core.methods.clip.disagreements import Verdict
from pages.clip.disagreements_comparison import DisagreementRequest, Found, class_titles, source_words, titles
from pages.shared.browser import browser_secret

_HELD, _PICTURES = "collection", "collection_pictures"
Change = Callable[[Collection], Collection]


def collection() -> Collection:
    """As it is now.

    Raises:
        CoreError: its file is damaged.
    """
    secret = browser_secret()
    held: Collection = st.session_state.get(_HELD, Collection())
    return read_collection(secret) if secret else held


def is_kept() -> bool:
    """Whether it outlives this session."""
    return browser_secret() is not None


def change(step: Change, pictures: dict[str, Image.Image] | None = None) -> None:
    """Apply `step` to the collection; `pictures` are new ones by their keys.

    Raises:
        CoreError: it cannot be read or written.
    """
    if secret := browser_secret():
        change_collection(secret, step, pictures)
    else:
        st.session_state[_HELD] = step(collection())
        st.session_state.setdefault(_PICTURES, {}).update(pictures or {})


def picture_of(entry: Entry) -> Image.Image:
    """The pixels of an entry.

    Raises:
        CoreError: they are gone.
    """
    if secret := browser_secret():
        return collected_picture(secret, entry.key)
    held: dict[str, Image.Image] = st.session_state.get(_PICTURES, {})
    if entry.key not in held:
        raise CoreError("A picture of the collection is gone.", "Remove its entry.")
    return held[entry.key]


def add(question: DisagreementRequest, found: Found, verdicts: list[Verdict]) -> None:
    """Put pictures that only one of the two names into the collection, as one step.

    Raises:
        CoreError: a picture cannot be read, or the collection not be written.
    """
    entries, pictures = [], {}
    for each in verdicts:
        picture = found.pictures[each.picture]
        image = picture.open()
        key = picture_key(image)
        pictures[key] = image
        entries.append(_entry(question, each, key, picture.title))

    def step(before: Collection) -> Collection:
        added = reduce(Collection.adding, entries, before)
        return before.having(added.entries)  # one step, however many there are

    change(step, pictures)


def _entry(question: DisagreementRequest, verdict: Verdict, key: str, title: str) -> Entry:
    names = class_titles(question.clip)
    sides = [
        Said(
            model=model,
            place=place,
            classes=tuple(names[index] for index, _ in top),
            probabilities=tuple(round(share, 6) for _, share in top),
        )
        for model, place, top in zip(
            titles(question),
            (verdict.clip_place, verdict.classifier_place),
            (verdict.clip_top, verdict.classifier_top),
            strict=True,
        )
    ]
    return Entry(
        key=key,
        wnid=imagenet_wnids()[verdict.label],
        who="only_clip" if verdict.who == "only_clip" else "only_classifier",
        title=title,
        top=question.top,
        clip=sides[0],
        classifier=sides[1],
        source=source_words(question, title),
    )
