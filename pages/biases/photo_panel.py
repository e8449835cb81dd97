"""One photo under every manipulation, and the curves of one of them."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.data.prompts import parse_labels
from core.data.wordnet import CIFAR10
from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.photo import PhotoAnswers
from pages.biases.photo_parts import (
    answers_by_model,
    grid_data,
    is_known,
    photo_export,
    strengths_figure,
    strengths_table,
)
from pages.biases.photo_view import PhotoView, Variant, keep_state, read_steps
from pages.biases.photo_words import about_models, about_size, headline
from pages.components.keys import component_key
from pages.components.manipulation_grid.manipulation_grid import manipulation_grid
from pages.shared.address import bound
from pages.shared.cache import loaded_model
from pages.shared.charts import show_chart
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.layout import control_bar
from pages.shared.model_set import models_picker
from pages.shared.pickers import Picture, image_picker, own_model_form

PREFERRED = ("vit_p4", "differential_vit_p4", "cnn_small", "clip_small")
SIDES = (32, 64, 128, 224)
FIRST_LABELS = ", ".join(CIFAR10)
MOST_LABELS = 200


def photo_panel() -> Callable[[], Export] | None:
    """The view; returns what makes its export."""
    bar = control_bar([3, 3, 2, 2], whole=2)
    with bar[0]:
        picture = image_picker(default="example:cat")
    with bar[1]:
        names = models_picker(("classifier", "image_text"), preferred=PREFERRED)
    with bar[3]:
        own_model_form(name="models_added")
    with bar[2], st.popover("Settings", icon=":material/tune:", width="stretch"):
        side, seed, labels = _settings(picture, names)

    def view_now() -> PhotoView:
        kept, strengths, shown = read_steps()
        return PhotoView(
            image=picture.key, models=tuple(names), labels=labels, side=side, seed=seed, kept=kept,
            strengths=strengths, shown=shown,
        )  # fmt: skip

    @st.fragment
    def look() -> None:
        with guard():
            _look(view_now(), picture)

    look()
    return lambda: photo_export(view_now(), picture)


def _settings(picture: Picture, names: list[str]) -> tuple[int, int, tuple[str, ...]]:
    """The side of the picture in pixels, the seed, and the labels."""
    usual = usual_side(picture, names)
    side = st.selectbox(
        "Side of the picture (px)",
        ["auto", *map(str, SIDES)],
        key="photo_side",
        bind="query-params",
        help="Noise, blur and squares are measured in these pixels, and each model resizes the result to its own "
        f"size. Auto: the largest of these sizes, as far as the photo has so many pixels; here {plain(usual)}.",
    )
    seed = st.number_input(
        "Seed", 0, 9999, 0, key="photo_seed", bind=bound("photo_seed"), help="Another one, another noise and order."
    )
    labels: tuple[str, ...] = ()
    if any(loaded_model(name).spec.lacks("classifier") for name in names):
        typed = st.text_area(
            "Labels for models of images and texts",
            FIRST_LABELS,
            key="photo_labels",
            bind="query-params",
            help="They name the label that fits the photo best. Classifiers keep their own classes.",
        )
        labels = parse_labels(typed).names[:MOST_LABELS]
    return usual if side == "auto" else int(side), int(seed), labels


def usual_side(picture: Picture, names: list[str]) -> int:
    """The largest input of the models, as far as the photo has so many pixels."""
    wanted = max(loaded_model(name).network.preprocessing.size for name in names)
    there = min(picture.image.size)
    return next((side for side in reversed(SIDES) if side <= max(wanted, SIDES[0]) and side <= there), SIDES[0])


def _look(view: PhotoView, picture: Picture) -> None:
    """The grid, and below it the curves of one card."""
    slot = st.empty()
    if not all(is_known(view, picture, name) for name in view.models):
        # The rest of every slider is computed while the first pictures can be looked at already.
        _cards(slot, view, picture, view.now(), "first")
    answers, variants = _cards(slot, view, picture, view.all(), "all"), view.all()
    left, right = st.columns([3, 2], gap="large")
    with left:
        show_chart(
            strengths_figure(view, answers, variants),
            key="strengths_plot",
            alt="Probability of each model's first answer against the strength; the table beside it has the answers.",
        )
    with right:
        row = MANIPULATIONS[view.shown]
        st.markdown(f"**{plain(row.title)}.** {plain(row.summary)}")
        st.dataframe(strengths_table(view, answers, variants), hide_index=True, width="stretch")
        for words in (*about_size(view, picture), *about_models(view)):
            st.caption(plain(words))


def _cards(
    slot: DeltaGenerator, view: PhotoView, picture: Picture, variants: tuple[Variant, ...], name: str
) -> dict[str, PhotoAnswers]:
    """What changes answers, in a sentence and in a card each; returns what each model says of each of `variants`."""
    answers = answers_by_model(view, picture, variants)  # with its bars, which do not stay beside the cards
    with slot.container():
        st.markdown(f"#### {plain(headline(view, variants, answers))}")
        manipulation_grid(
            grid_data(view, picture, variants, answers, everything=name == "all"),
            key=component_key("manipulations", name),
            on_choice=keep_state,
        )
    return answers
