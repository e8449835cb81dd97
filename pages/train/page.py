"""See what a training will look like before it starts: images, patches, schedule, time; then launch it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import streamlit as st

from core.configs import differences
from core.data.catalogue import DATASETS, installed_datasets
from core.errors import CoreError
from core.figures.curves import plot_learning_curves, plot_schedule
from core.figures.theme import Figure
from core.launch.recipes import RECIPES, find_recipe
from pages.shared.charts import show_chart
from pages.shared.errors import guard, show_error
from pages.shared.export import Export, export_popover
from pages.shared.foreign import plain
from pages.shared.forms import command_line, config_form
from pages.shared.launch_panel import launch_panel, suggested_name
from pages.shared.layout import (
    command_block,
    command_details,
    form_and_stage,
    heading,
    page_link,
    teaching_cards,
)
from pages.shared.previews import Preview, preview_of
from pages.shared.recipes import filled_recipe
from pages.shared.run_views import RunView, all_views, comparable, flat_config
from pages.shared.train_address import arrival, base_config, write_address
from pages.train.panels import augmentation_panel, difference, features_panel

IMAGES = 6
PASSES = 3
# Sweeps have a place of their own on the Runs page.
TRAININGS = {name: recipe for name, recipe in RECIPES.items() if name != "sweep"}


def choose_recipe(default: str) -> str:
    """The recipe; buttons while they fit."""
    st.session_state.setdefault("recipe", default)
    if st.session_state["recipe"] not in TRAININGS:
        st.session_state["recipe"] = next(iter(TRAININGS))
    draw: Any = partial(st.segmented_control, required=True) if len(TRAININGS) <= 5 else st.selectbox
    chosen = draw("Recipe", list(TRAININGS), format_func=lambda name: RECIPES[name].title, key="recipe")
    return chosen or default


def obstacle_to(config: Any | None, preview: Preview | None) -> str:
    """Why nothing can be launched, or nothing."""
    if config is None:
        return "One setting is wrong: the form says which."
    if preview is not None and preview.problem:
        return plain(preview.problem)
    dataset = getattr(config, "dataset", None)
    if dataset is not None and dataset not in installed_datasets():
        title = DATASETS[dataset].title if dataset in DATASETS else dataset
        return f"{plain(title)} is not on this machine: import it, or choose another data set."
    return ""


def picture(preview: Preview) -> None:
    """What the network will be fed."""
    whose = "training images" if preview.real else "bundled photos in place of a data set"
    left, right = st.columns([2, 5], gap="medium") if preview.patched is not None else (st.empty(), st.container())
    if preview.patched is not None:
        with left:
            st.image(
                preview.patched,
                width="stretch",
                alt=f"A training image cut into patches of {preview.patch_size} pixels.",
                caption=f"{preview.patches:,} patches of {preview.patch_size:d} × {preview.patch_size:d} pixels",
            )
    with right:
        st.image(
            preview.sheet,
            width="stretch",
            alt=f"{IMAGES} images as stored, and as the model sees them in {PASSES} passes.",
            caption=f"Top: {whose}, as they are. Below: what three epochs show of them ({plain(preview.regime)})."
            if preview.regime
            else f"{whose.capitalize()}, before they are scaled to what the network reads.",
        )


def facts(preview: Preview) -> str:
    """The size of it all in one line."""
    parts = []
    if preview.tokens:
        parts.append(f"**{preview.tokens:,}** tokens an image")
    if preview.parameters:
        parts.append(f"**{preview.parameters:,}** parameters")
    if preview.steps_per_epoch and preview.epochs:
        parts.append(
            f"**{preview.steps_per_epoch:,}** steps an epoch, {preview.steps_per_epoch * preview.epochs:,} in all"
        )
    return " · ".join(parts)


def expected(recipe: str, config: Any) -> tuple[RunView, Figure] | None:
    """The curve of the most similar finished training."""
    view = comparable(recipe, flat_config(config), all_views())
    if view is None:
        return None
    figure = plot_learning_curves([view.curve()], "accuracy", height=250)
    return view, figure


def expectation(recipe: str, config: Any) -> None:
    """What a similar training reached, and what it did differently."""
    found = expected(recipe, config)
    if found is None:
        st.caption("No training of this recipe has finished on this machine yet, so there is no curve to expect.")
        return
    view, figure = found
    st.markdown(f"**What a similar training did:** {plain(view.title)}")
    show_chart(figure, key="expected", alt=f"Accuracy of {view.title} over its epochs.")
    mine = flat_config(config)
    different = [
        f"{key.rpartition('.')[2].replace('_', ' ')} {difference(theirs, mine[key])}"
        for key, theirs in view.settings.items()
        if key in mine and mine[key] != theirs
    ]
    st.caption(f"It had {plain(', '.join(different[:6]))}." if different else "It had the settings chosen here.")


def schedule_figure(preview: Preview, config: Any) -> Figure | None:
    if preview.rates is None:
        return None
    training = config.training
    return plot_schedule(preview.rates, epochs=training.epochs, warmup_share=training.warmup_share)


def make_export() -> Export:
    if config is None or preview is None:
        raise CoreError("The settings do not describe a training yet.", "The form says which setting is wrong.")
    figures = {}
    if (schedule := schedule_figure(preview, config)) is not None:
        figures["schedule"] = schedule
    if (found := expected(recipe.name, config)) is not None:
        figures["expected"] = found[1]
    return Export(
        stem="train",
        recipe=filled_recipe(
            "shared",
            "run",
            recipe=recipe.name,
            name=suggested_name(recipe.name, config),
            overrides=differences(config),
        ),
        figures=figures,
        pictures={"augmentation": preview.sheet[..., :3]},
        facts=json.loads(json.dumps(flat_config(config))),
    )


heading("Train", "What will it see, and how long will it take?")
came = arrival(next(iter(RECIPES)))
if came.number != st.session_state.get("train-shown"):
    st.session_state["train-shown"] = came.number
    st.session_state["recipe"] = came.recipe
bar = st.columns([6, 2], vertical_alignment="bottom")
with bar[0]:
    recipe = find_recipe(choose_recipe(came.recipe))
if came.problem:
    st.warning(plain(came.problem, 2000), icon=":material/link_off:")
parent = came.parent if recipe.name == came.recipe else ""
form, stage, below = form_and_stage("train")
with form:
    st.caption(f"{recipe.summary}." + (f" Settings of {plain(parent)}." if parent else ""))
    config = config_form(recipe.config, f"train-{came.number}-{recipe.name}", base_config(came, recipe.name))
    with guard():
        augmentation_panel(recipe.name)
preview = None
if config is not None:
    write_address(recipe.name, config, parent)
    st.session_state["train-last"] = (recipe.name, config)
# While a setting is wrong the pictures of the last right ones stay.
last: tuple[str, Any] = st.session_state.get("train-last", ("", None))
shown = last[1] if last[0] == recipe.name else None
with stage, guard():
    if shown is not None:
        preview = preview_of(shown, IMAGES, PASSES)
        picture(preview)
        st.markdown(facts(preview))
        if preview.problem:
            show_error(CoreError(preview.problem))
        features_panel(shown)
with below:
    with st.container(border=True, key="launch"):
        launch_panel(recipe, config, parent=parent, obstacle=obstacle_to(config, preview))
    if config is not None and preview is not None:
        left, right = st.columns(2, gap="medium")
        with left:
            expectation(recipe.name, config)
        with right:
            if (schedule := schedule_figure(preview, config)) is not None:
                st.markdown("**Learning rate** of every step")
                show_chart(schedule, key="schedule", alt="Learning rate over the training.")
        with command_details("train_command") as is_open:
            if is_open:
                command_block(command_line(recipe.name, config, suggested_name(recipe.name, config)))
    page_link("runs", "All runs and their curves", "monitoring")
with bar[1]:
    export_popover(make_export, key="export")
teaching_cards("train")
