"""Which device the pages compute on: said, and changed where nothing outside of the app decides it."""

from __future__ import annotations

import os

import streamlit as st

from core.device import choose_device, device_title, known_devices, pick_device, wished_device
from pages.shared.foreign import plain
from pages.shared.results import forget_everything


def device_choice() -> None:
    """A control for people with several devices; one sentence for all others."""
    set_outside = os.environ.get("VITRINE_DEVICE", "").strip()
    choices = known_devices()
    if set_outside or len(choices) < 2:
        because = ", set by VITRINE_DEVICE" if set_outside else ""
        st.caption(f"Pages compute on: {plain(device_title(str(pick_device())))}{because}.")
        return
    st.selectbox(
        "Pages compute on",
        ("auto", *choices),
        index=("auto", *choices).index(wished_device()),
        format_func=_words,
        key="device-choice",
        on_change=_change,
        help="Trainings have a choice of their own. Models are loaded again after a change.",
    )


def _words(name: str) -> str:
    return f"The fastest: {device_title(name)}" if name == "auto" else device_title(name)


def _change() -> None:
    choose_device(st.session_state["device-choice"])
    # Models, and whatever was left on the device that they were on.
    forget_everything()
