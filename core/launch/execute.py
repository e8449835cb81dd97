"""One run from its specification to a terminal state, whoever iterates: the worker, the command line, a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.launch.recipes import find_recipe
from core.launch.supervise import supervise
from core.runs.store import RunFolder


def execute(folder: RunFolder) -> Iterator[Any]:
    """Work on the run and yield its reports until it is finished, stopped or failed; `state.json` says which.

    A stop (the file STOP, SIGTERM, SIGINT, closing this generator) lets the recipe save its checkpoint first. A second
    SIGINT does not wait for that.

    Raises:
        OwnedElsewhereError: another live process works on the run; nothing was changed.
        RunFailedError: the run failed; the same cause and remedy are in its state.
    """
    return supervise(folder, find_recipe)
