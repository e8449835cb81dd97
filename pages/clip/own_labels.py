"""Labels to ask a photo of one's own about, until somebody writes others."""

from __future__ import annotations

import streamlit as st

from core.data.framing import split_view
from core.data.prompts import join_labels
from core.errors import CoreError
from core.methods.accuracy.predictions import top_predictions
from core.models.catalogue import find_model
from core.models.weights import availability
from pages.clip.zero_shot_strategies import DEFAULT_LABELS
from pages.shared.cache import loaded_model, logits_of
from pages.shared.pictures import Picture

GUESSER = "efficientnet_lite0"
MOST_GUESSED = 8
ANYTHING = "person, animal, plant, food, vehicle, building, landscape, text"


def ask_fitting_labels(picture: Picture) -> str:
    """Have the labels fit the photo as long as nobody has written any; where they are from, as a sentence.

    Bundled photos are asked about the usual ones. Called before the widget of the labels is made.
    """
    state = st.session_state
    if "labels" not in state and "labels" in st.query_params:
        return ""  # the address asks
    address = split_view(picture.key)[0]
    suggested: tuple[str, str, str] = state.get("labels_suggested", ("", DEFAULT_LABELS, ""))
    if state.get("labels", DEFAULT_LABELS) not in (DEFAULT_LABELS, suggested[1]):
        return ""  # somebody wrote them, or chose a list
    if suggested[0] != address:
        suggested = (address, *(_guessed(picture) if address.startswith("upload:") else (DEFAULT_LABELS, "")))
        state["labels_suggested"] = suggested
        state["labels"] = suggested[1]
    return suggested[2] if state.get("labels") == suggested[1] else ""


def _guessed(picture: Picture) -> tuple[str, str]:
    """Labels for a photo that nothing is known about, and where they are from."""
    spec = find_model(GUESSER)
    try:
        if availability(spec).state == "ready":
            found = top_predictions(
                logits_of(GUESSER, picture.digest, picture.image), loaded_model(GUESSER).classes, MOST_GUESSED
            )
            names = tuple(each.label for each in found)
            return join_labels(names), f"These are the likeliest ImageNet classes of {spec.title}; write your own."
    except CoreError:
        pass
    return ANYTHING, "Nothing is known about this photo yet, so these are broad; write your own."
