"""Runs that a benchmark begins once and goes on with whenever it is started again."""

from __future__ import annotations

from collections.abc import Sequence

from core.configs import parse_overrides
from core.errors import CoreError
from core.experiments.catalogue import find_recipe
from core.runs.store import RunFolder, RunSpec, create_run, find_run, list_runs


def prepared_run(recipe: str, name: str, settings: Sequence[str], device: str = "cpu") -> RunFolder:
    """The run of that name, made now or earlier.

    Raises:
        CoreError: a run of that name has other settings.
    """
    spec = RunSpec.of(recipe, parse_overrides(find_recipe(recipe).config, [*settings]), device=device)
    if name not in {run.name for run in list_runs()}:
        return create_run(name, spec)
    found = find_run(name)
    if found.read_spec().overrides != spec.overrides:
        raise CoreError(f"The run {name!r} has other settings.", "Choose another --prefix, or delete it.")
    return found
