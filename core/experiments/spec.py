"""What an experiment is to those who launch it: a config that a form can draw, and a generator that runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from core.runs.store import RunFolder


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One row of the catalogue of experiments.

    Attributes:
        name: key in the catalogue, on the command line and in a run's specification.
        title: what people read.
        summary: what it does, in one sentence.
        module: where its `Config` and `run` are; imported when they are asked for, as that takes seconds.
        score: which of those numbers says how good a training is, the higher the better: what a sweep chooses by.
        incomparable: settings between whose values that number does not compare, so that a sweep must not vary them.
    """

    name: str
    title: str
    summary: str
    module: str
    score: str = "val_accuracy"
    incomparable: tuple[str, ...] = ()

    @property
    def config(self) -> type:
        """A frozen dataclass of options; nested dataclasses are sections of the form."""
        found: type = import_module(self.module).Config
        return found

    @property
    def run(self) -> Callable[[Any, RunFolder], Iterator[Any]]:
        """`run(config, folder)` yields `core.reports.Progress` after every step, and now and then a frozen dataclass
        with `step`, `steps` and the numbers of a line of metrics. It continues from `folder.checkpoint` by itself.
        """
        found: Callable[[Any, RunFolder], Iterator[Any]] = import_module(self.module).run
        return found
