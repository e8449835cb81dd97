"""Photos of one's own with a class of ImageNet to each, for the comparison of CLIP with ImageNet training."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core.data.collections import Collection
from core.data.wordnet import find_synset, imagenet_wnids
from pages.clip.collection_store import change, collection
from pages.clip.disagreements_comparison import OWN_CLASSES
from pages.shared.errors import guard
from pages.shared.foreign import plain
from pages.shared.pickers import pictures_picker

NAME = "own_photos"


def own_classes_form() -> None:
    """The photos, and what each shows; the answers are kept with the collection."""
    pictures = pictures_picker(name=NAME, default=(), label="Photos")
    known = collection().classes
    given = {}
    for picture in pictures:
        first, second = st.columns([1, 3], vertical_alignment="center")
        first.image(picture.image, width="stretch", alt=plain(picture.title))
        key = f"class_of_{picture.key}"
        if key not in st.session_state and known.get(picture.key) in imagenet_wnids():
            st.session_state[key] = known[picture.key]
        chosen = second.selectbox(
            plain(picture.title),
            imagenet_wnids(),
            index=None,
            format_func=lambda wnid: f"{', '.join(find_synset(wnid).names)} ({wnid})",
            placeholder="What does it show?",
            key=key,
        )
        if chosen:
            given[picture.key] = chosen
    st.session_state[OWN_CLASSES] = given
    if any(known.get(key) != wnid for key, wnid in given.items()):

        def remembering(found: Collection) -> Collection:
            return replace(found, classes={**found.classes, **given})

        with guard():
            change(remembering)
