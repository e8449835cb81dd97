"""What a model sees of the photo: the frame over it, in words, and the choice to have it shown otherwise."""

from __future__ import annotations

from typing import Literal

import numpy as np
import streamlit as st
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from core.data.framing import View, split_view
from core.data.transforms import FRAMINGS, Framing, Preprocessing, seen_part
from core.figures.overlay import to_data_uri
from pages.components.keys import component_key
from pages.components.photo_frame.photo_frame import ROOM, photo_frame
from pages.shared.address import remember
from pages.shared.foreign import plain
from pages.shared.pictures import Picture

OWN = "own"
_VERBS: dict[str, str] = {"crop": "Crop", "squash": "Squash", "pad": "Pad"}
_OF_MODEL: dict[Framing, str] = {"crop": "crops", "squash": "squashes", "pad": "pads"}


def framing_row(picture: Picture, preprocessing: Preprocessing, *, name: str = "image") -> None:
    """The photo under the frame of what the model sees, the sentence about it, and how it may be shown instead.

    `name`: of the `image_picker` that the photo is from.
    """
    decoding_note(picture)
    photo = picture.photo
    address, view = split_view(picture.key)
    seen = seen_of(photo.size, preprocessing, view)
    if photo.width == photo.height and np.allclose(seen, (0, 0, 1, 1), atol=0.005):
        st.caption(plain(seen_sentence(photo.size, preprocessing, view)))
        return
    framing = view.framing or preprocessing.framing
    oblong = photo.width != photo.height
    axis: Literal["x", "y", ""] = "" if framing != "crop" or not oblong else "x" if photo.width > photo.height else "y"

    def moved(place: float) -> None:
        # In the middle a photo that the model crops is the model's own again.
        own = preprocessing.framing == "crop" and abs(place - 0.5) < 0.005
        remember(name, address + (View() if own else View(framing="crop", place=place)).ending())

    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        photo_frame(
            _small(picture.digest, photo),
            photo.size,
            seen,
            key=component_key(f"{name}_frame", address),
            axis=axis,
            place=view.place,
            alt="The part of the photo that the model sees" + ("; arrow keys move it." if axis else "."),
            on_place=moved,
        )
        with st.container(width="stretch", gap="xsmall"):
            st.caption(plain(seen_sentence(photo.size, preprocessing, view)))
            if oblong:
                _choice(name, address, view, preprocessing)


def framing_popover(picture: Picture, preprocessing: Preprocessing, *, name: str = "image") -> DeltaGenerator:
    """The same behind a button that says at which size the photo is seen; what else decides that may join it there."""
    place = st.popover(f"Seen at {preprocessing.size:d} px", icon=":material/crop:", width="stretch", key="seen")
    with place:
        framing_row(picture, preprocessing, name=name)
    return place


def decoding_note(picture: Picture) -> None:
    """What was decided when the photo was decoded, if anything."""
    if picture.note:
        st.caption(f":material/info: {plain(picture.note)}")


def seen_of(size: tuple[int, int], preprocessing: Preprocessing, view: View) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what the model sees of a photo of `size`, in shares of it."""
    if view.framing is None or size[0] == size[1]:
        return seen_part(size, preprocessing)
    if view.framing == "squash":
        return seen_part((1000, 1000), preprocessing)
    # Of the square that is cut out, or that the photo lies in with its bands.
    left, top, right, bottom = seen_part((1000, 1000), preprocessing)
    side = min(size) if view.framing == "crop" else max(size)
    place = view.place if view.framing == "crop" else 0.5
    start = [(each - side) * place for each in size]
    return (
        (start[0] + left * side) / size[0],
        (start[1] + top * side) / size[1],
        (start[0] + right * side) / size[0],
        (start[1] + bottom * side) / size[1],
    )


def seen_sentence(size: tuple[int, int], preprocessing: Preprocessing, view: View) -> str:
    """How much of the photo the model sees, how, and at which resolution."""
    left, top, right, bottom = seen_of(size, preprocessing, view)
    share = max(0.0, min(right, 1) - max(left, 0)) * max(0.0, min(bottom, 1) - max(top, 0))
    pixels = f"{preprocessing.size} × {preprocessing.size} pixels"
    framing = view.framing or preprocessing.framing
    part = "all of this photo" if share > 0.995 else f"{share:.0%} of this photo"
    if size[0] != size[1] and framing == "squash":
        return f"The model sees {part}, squashed to {pixels}."
    if size[0] != size[1] and framing == "pad":
        return f"The model sees {part}, with bands beside it, in {pixels}."
    moved = view.framing == "crop" and abs(view.place - 0.5) > 0.005
    middle = ", from its middle" if share <= 0.995 and not moved else ""
    return f"The model sees {part}{middle}, in {pixels}."


def _choice(name: str, address: str, view: View, preprocessing: Preprocessing) -> None:
    """The model's own way, or another."""
    widget = f"{name}_framing"
    st.session_state[widget] = view.framing or OWN

    def choose() -> None:
        chosen = st.session_state[widget]
        remember(name, address + (View() if chosen == OWN else View(framing=chosen)).ending())

    titles: dict[str, str] = {OWN: f"As the model's own: it {_OF_MODEL[preprocessing.framing]}", **_VERBS}
    st.segmented_control(
        "How the photo becomes a square",
        [OWN, *(each for each in FRAMINGS if each != preprocessing.framing or each == view.framing)],
        format_func=titles.__getitem__,
        required=True,
        key=widget,
        on_change=choose,
        label_visibility="collapsed",
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _small(digest: str, _photo: Image.Image) -> str:
    """The photo at twice the size of its room, as a data URI."""
    small = _photo.copy()
    small.thumbnail((2 * ROOM[0], 2 * ROOM[1]))
    return to_data_uri(np.asarray(small))
