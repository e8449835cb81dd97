"""Every recipe that a run can be of, by name: those that compute something by themselves, and the sweep."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping

from core.errors import UnknownNameError
from core.experiments.catalogue import RECIPES as EXPERIMENTS
from core.experiments.spec import Recipe

SWEEP = Recipe(
    name="sweep",
    title="Hyperparameter sweep",
    summary="Many short trainings of another recipe, each chosen by what the earlier ones reached",
    module="core.launch.sweep",
)
RECIPES: Mapping[str, Recipe] = ChainMap({"sweep": SWEEP}, EXPERIMENTS)


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`."""
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]
