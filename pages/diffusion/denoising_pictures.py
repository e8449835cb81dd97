"""What the network sees and predicts under the leading prompts, at any noise, and where in the picture it decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.figures.diffusion_classifier import view_grid
from core.figures.overlay import overlay
from core.methods.diffusion.denoising_view import MAP_STEPS
from core.methods.diffusion.diffusion_classifier import Classification
from pages.diffusion.diffusion_classifier import (
    ClassificationRequest,
    advantage_of,
    known_classification,
    steps_of,
    view_of,
)
from pages.shared.cache import display_photo, loaded_model
from pages.shared.errors import guard
from pages.shared.foreign import plain
from pages.shared.pickers import Picture


def show_current(
    beside: DeltaGenerator, question: ClassificationRequest, picture: Picture, classification: Classification
) -> None:
    """The pictures of the newest sample's time step, for the leading prompts."""
    shown = shown_prompts(question.labels, classification.order(), "")
    prompts = tuple(question.prompts[index] for index in shown)
    share = round(100 * int(classification.time_steps[-1]) / steps_of(question.name))
    found = view_of(question.name, picture.digest, prompts, share, classification.step, picture.image)
    beside.html(view_grid(found, [question.labels[index] for index in shown]))


def shown_prompts(labels: Sequence[str], order: Sequence[int], chosen: str, most: int = 3) -> list[int]:
    """The prompts whose pictures are shown: the leading ones, and the chosen one in the place of the last."""
    shown = list(order[:most])
    if chosen in labels and labels.index(chosen) not in shown:
        shown[-1] = labels.index(chosen)
    return shown


def show_pictures(question: ClassificationRequest, picture: Picture) -> None:
    """The noised picture and what the network makes of it, at the noise that the slider says."""
    choices = {"steps": "Denoised under each prompt", "where": "Where it decides", "photo": "Photo"}
    view = st.segmented_control(
        "Show", list(choices), format_func=choices.__getitem__, default="steps", required=True,
        key="denoising_view",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    with guard():
        photo = display_photo(loaded_model(question.name), picture.digest, picture.image)
        if view == "photo":
            st.image(photo, width="stretch", alt=picture.title)
            size = loaded_model(question.name).network.preprocessing.size
            st.caption(f"Cut to a square; the network sees it at {size:d} pixels.")
            return
        classification = known_classification(question)
        order = classification.order() if classification is not None else tuple(range(len(question.labels)))
        left, right = st.columns(2, vertical_alignment="bottom")
        if view == "where":
            _where(question, picture, photo, order)
            return
        share = left.slider("Noise: part of the schedule", 1, 99, 50, key="noise", bind="query-params", format="%d %%")
        others = [label for place, label in enumerate(question.labels) if place not in order[:3]]
        chosen = right.selectbox(
            "Also show", others, index=None, placeholder="a label", key="also_show", disabled=not others
        )
        shown = shown_prompts(question.labels, order, chosen or "")
        prompts = tuple(question.prompts[index] for index in shown)
        found = view_of(question.name, picture.digest, prompts, share, question.plan.seed, picture.image)
        st.html(view_grid(found, [question.labels[index] for index in shown]))


def _where(question: ClassificationRequest, picture: Picture, photo: np.ndarray, order: tuple[int, ...]) -> None:
    """Where in the picture the first prompt denoises better than the second."""
    if len(order) < 2:
        st.image(photo, width="stretch", alt=picture.title)
        st.caption("With one label there is nothing to compare.")
        return
    first, second = order[:2]
    found = advantage_of(
        question.name, picture.digest, question.prompts[first], question.prompts[second], picture.image
    )
    st.image(
        overlay(photo, found, signed=True),
        width="stretch",
        alt=f"Red where {question.labels[first]} denoises better, blue where {question.labels[second]} does.",
    )
    share = float((found > 0).mean())
    st.caption(
        f"Red: the noise is predicted better under “{plain(question.labels[first])}”, in {share:.0%} of places; blue: "
        f"under “{plain(question.labels[second])}”. Mean of {MAP_STEPS} time steps."
    )


def exported_pictures(
    question: ClassificationRequest, picture: Picture, classification: Classification
) -> dict[str, np.ndarray]:
    """What stands beside the classification, in the view, at the noise and for the prompts that are chosen there."""
    state, order = st.session_state, classification.order()
    photo = display_photo(loaded_model(question.name), picture.digest, picture.image)
    view = state.get("denoising_view", "steps")
    if view == "photo" or (view == "where" and len(order) < 2):
        return {"photo": photo}
    if view == "where":
        first, second = (question.prompts[index] for index in order[:2])
        found = advantage_of(question.name, picture.digest, first, second, picture.image)
        return {"where": overlay(photo, found, signed=True)}
    shown = shown_prompts(question.labels, order, state.get("also_show") or "")
    prompts = tuple(question.prompts[index] for index in shown)
    seen = view_of(
        question.name, picture.digest, prompts, int(state.get("noise", 50)), question.plan.seed, picture.image
    )
    return {
        "noised": seen.noised,
        **{f"denoised_{place}": pixels for place, pixels in enumerate(seen.reconstructed, 1)},
    }
