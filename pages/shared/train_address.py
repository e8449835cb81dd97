"""The Train page's settings in its address: `?recipe=vit_scratch&set=training.epochs%3D3`; cloning a run goes there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.configs import differences, from_dict, parse_overrides
from core.errors import CoreError
from core.launch.recipes import RECIPES, find_recipe
from pages.shared.address import all_asked, asked
from pages.shared.layout import go_to
from pages.shared.run_views import RunView

WRITTEN = "train-written"
# The labels of a thousand classes are one setting.
LONGEST_SETTING = 60_000
ARRIVAL = "train-arrival"


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """What the page was opened with; it starts the form.

    Attributes:
        number: counts openings with settings, so that each is a form of its own.
        recipe: key of the recipe.
        overrides: `key=value` texts on top of its defaults.
        parent: the run that this is a clone of, or nothing.
        problem: why the address could not be honoured, or nothing.
    """

    number: int
    recipe: str
    overrides: tuple[str, ...] = ()
    parent: str = ""
    problem: str = ""


def arrival(default: str) -> Arrival:
    """How this session last came to the page: by an address with settings, or plainly."""
    known: Arrival | None = st.session_state.get(ARRIVAL)
    wanted = (
        asked("recipe"), tuple(all_asked("set", LONGEST_SETTING)), asked("parent")
    )  # fmt: skip
    if known is not None and (not any(wanted) or wanted == st.session_state.get(WRITTEN)):
        return known
    number = known.number + 1 if known else 0
    found = _check(Arrival(number=number, recipe=wanted[0] or default, overrides=wanted[1], parent=wanted[2]), default)
    st.session_state[ARRIVAL] = found
    return found


def base_config(found: Arrival, recipe: str) -> Any:
    """What the form of `recipe` starts with."""
    kind = find_recipe(recipe).config
    return parse_overrides(kind, list(found.overrides)) if recipe == found.recipe else kind()


def write_address(recipe: str, config: Any, parent: str) -> None:
    """Keep the address in step with the form."""
    pairs = differences(config)
    st.query_params.from_dict({"recipe": recipe, "set": pairs} | ({"parent": parent} if parent else {}))
    st.session_state[WRITTEN] = (recipe, tuple(pairs), parent)


def open_train(view: RunView) -> None:
    """Go to the Train page with the settings of a run."""
    recipe = view.recipe
    overrides: tuple[str, ...] = ()
    problem = ""
    try:
        kind = find_recipe(recipe).config
        nested = _nest(view.settings)
        overrides = tuple(differences(from_dict(kind, nested)))
    except CoreError as error:
        problem = f"{view.title} was trained with other settings than this version has. {error}"
    open_settings(recipe, overrides, parent=view.key if view.folder is not None else "", problem=problem)


def open_settings(recipe: str, overrides: tuple[str, ...], *, parent: str = "", problem: str = "") -> None:
    """Go to the Train page with `overrides` on top of the defaults of `recipe`."""
    known: Arrival | None = st.session_state.get(ARRIVAL)
    st.session_state[ARRIVAL] = Arrival(
        number=known.number + 1 if known else 0,
        recipe=recipe if recipe in RECIPES else next(iter(RECIPES)),
        overrides=overrides,
        parent=parent,
        problem=problem,
    )
    st.session_state.pop("recipe", None)
    go_to("train")


def _check(found: Arrival, default: str) -> Arrival:
    """The arrival itself if its settings can be read, else a plain one that says why."""
    try:
        base_config(found, found.recipe)
    except CoreError as error:
        problem = f"The address asks for settings that cannot be used. {error}"
        return Arrival(number=found.number, recipe=default, problem=problem)
    return found


def _nest(settings: Any) -> dict[str, Any]:
    """Dotted keys as nested dictionaries."""
    nested: dict[str, Any] = {}
    for key, value in settings.items():
        *parents, leaf = key.split(".")
        target = nested
        for parent in parents:
            target = target.setdefault(parent, {})
        target[leaf] = value
    return nested
