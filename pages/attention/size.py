"""How the photo reaches the model: which part of it, and at which input size."""

from __future__ import annotations

import streamlit as st

from core.errors import CoreError
from core.models.input_size import with_size
from pages.shared.address import remember, remembered, whole_number
from pages.shared.cache import described_model
from pages.shared.errors import show_error
from pages.shared.foreign import plain
from pages.shared.framing import framing_popover
from pages.shared.pickers import Picture


def input_popover(name: str, chosen: str, picture: Picture) -> None:
    """The frame over the photo and the input size; `chosen` is the model `name` as `at_chosen_size` gave it."""
    own = described_model(name)
    preprocessing = described_model(chosen).preprocessing
    with framing_popover(picture, preprocessing):
        step = own.step
        if not step:
            st.caption(f"{plain(own.spec.title)} takes {preprocessing.size:d} pixels alone.")
            return
        st.session_state["input_size"] = preprocessing.size
        st.number_input(
            "Input size in pixels",
            min_value=min(2 * step, own.preprocessing.size),
            max_value=own.largest,
            step=step,
            key="input_size",
            on_change=lambda: remember("size", str(st.session_state["input_size"])),
            help=f"Any multiple of the patch, {step:d} pixels. Larger: more patches, finer maps, a longer wait.",
        )
        if chosen != name:
            st.caption(f"The model was made for {own.preprocessing.size:d} pixels: its positions are interpolated.")


def at_chosen_size(name: str) -> str:
    """The model at the size that the address says, or as it is, with a sentence, where it cannot be had so."""
    wanted = remembered("size", "", always=False)
    if st.session_state.setdefault("size_of", name) != name:  # it was another model's
        st.session_state["size_of"], wanted = name, ""
        remember("size", "")
    if not wanted:
        return name
    size = whole_number(wanted, 10_000)
    try:
        if not size:
            raise CoreError(f"{plain(wanted)} is no input size.", "Give a number of pixels.")
        if size == described_model(name).preprocessing.size:
            return name
        described_model(with_size(name, size))
    except CoreError as error:
        show_error(error)
        remember("size", "")
        return name
    return with_size(name, size)
