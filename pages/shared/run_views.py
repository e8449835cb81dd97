"""Runs as the pages show them: those of this machine, read as they grow, and the bundled models' own trainings."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shlex
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import streamlit as st

from core.configs import parse_overrides
from core.errors import CoreError
from core.figures.curves import Curve
from core.launch.recipes import RECIPES
from core.models.card import ModelCard, read_card
from core.paths import BUNDLED
from core.reports import roughly
from core.runs.status import RunState, eta_seconds, read_state, status_word
from core.runs.store import RunFolder, RunSpec, list_runs, parse_report

BUNDLED_PREFIX = "bundled:"
ACTIVE = ("queued", "running")


@dataclass(frozen=True, kw_only=True)
class RunView:
    """One run, bundled or of this machine.

    Attributes:
        key: names it in the address.
        title: for people; of a run its name.
        recipe: key of its recipe.
        settings: dotted key → value of everything that was set.
        history: its reports.
        test: test accuracy with its 95 % interval, if it was measured.
        test_count: on how many images.
        damaged: how many lines of its `metrics.jsonl` are no reports and left out.
        losses: step and training loss within epochs.
        model: what the model pickers call its finished model, or nothing.
        state: where it is.
        folder: None for a bundled one.
        spec: None for a bundled one.
        created: seconds since 1970.
        command: what trains the same.
        eta: seconds left, where known.
    """

    key: str
    title: str
    recipe: str
    settings: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    test: tuple[float, float, float] | None
    model: str
    state: RunState
    folder: RunFolder | None = None
    spec: RunSpec | None = None
    created: float | None = None
    command: str = ""
    eta: float | None = None
    test_count: int | None = None
    damaged: int = 0
    losses: tuple[tuple[int, float], ...] = ()

    @property
    def active(self) -> bool:
        return self.state.status in ACTIVE

    @property
    def status(self) -> str:
        """As the command line says it too; "bundled" of a bundled one."""
        return status_word(self.folder, self.state) if self.folder is not None else "bundled"

    @property
    def recipe_title(self) -> str:
        return RECIPES[self.recipe].title if self.recipe in RECIPES else self.recipe

    @property
    def share(self) -> float:
        """Of the steps, how much is done; a finished run is done."""
        if self.state.status == "finished":
            return 1.0
        return min(1.0, self.state.step / self.state.steps) if self.state.steps else 0.0

    @property
    def best(self) -> float | None:
        """The highest validation accuracy so far."""
        known = (line.get("val_accuracy") for line in self.history)
        return max((value for value in known if value is not None), default=None)

    @property
    def val_count(self) -> int | None:
        """Images behind each validation accuracy, where the reports say."""
        return next((line["val_count"] for line in reversed(self.history) if line.get("val_count")), None)

    def curve(self) -> Curve:
        """What the figures need."""
        return Curve(
            title=self.title, history=self.history, test=self.test, losses=self.losses,
            steps_per_epoch=self.state.steps / self.epochs if self.epochs and self.state.steps else None,
        )  # fmt: skip

    @property
    def epochs(self) -> int | None:
        """Of the whole training, as its settings say."""
        found = (value for key, value in self.settings.items() if key.rpartition(".")[2] == "epochs")
        return next((value for value in found if type(value) is int), None)


def all_views() -> list[RunView]:
    """Every run, the newest first, then the bundled models."""
    views = [view for folder in list_runs() if (view := view_of(folder)) is not None]
    views.sort(key=lambda view: (view.active, view.created or 0.0), reverse=True)
    return [*views, *bundled_views()]


def view_of(folder: RunFolder) -> RunView | None:
    """A run as it is now; None if it vanished while we looked."""
    try:
        spec = folder.read_spec()
    except CoreError as error:
        if not folder.path.is_dir():
            return None
        broken = RunState(status="failed", cause=error.cause, remedy=error.remedy)
        return RunView(
            key=folder.name, title=folder.name, recipe="", settings={}, history=(), test=None, model="", state=broken,
            folder=folder,
        )  # fmt: skip
    state, settings = read_state(folder), flatten(spec.config)
    card = _card(folder.model) if state.status == "finished" else None
    return RunView(
        key=folder.name,
        title=folder.name,
        recipe=spec.recipe,
        settings=settings,
        history=_with_seconds(_tails().lines(folder.metrics), batch_size(settings)),
        test=_test_of(card) if card else None,
        test_count=card.metrics.get("test_count") if card else None,
        model=f"run:{folder.name}" if card else "",
        state=state,
        folder=folder,
        spec=spec,
        created=seconds_of(spec.created),
        command=spec.command(folder.name),
        eta=eta_seconds(folder) if state.status == "running" else None,
        damaged=_tails().damaged(folder.metrics),
        losses=step_losses(_tails().lines(folder.losses)),
    )


def step_losses(lines: Sequence[Mapping[str, Any]]) -> tuple[tuple[int, float], ...]:
    """Step and loss of the lines of `losses.jsonl`; what a resumed run computed again counts as it was then."""
    found: list[tuple[int, float]] = []
    for line in lines:
        step, loss = line.get("step"), line.get("loss")
        if type(step) is not int or not isinstance(loss, int | float) or not math.isfinite(loss):
            continue
        while found and found[-1][0] >= step:
            found.pop()
        found.append((step, float(loss)))
    return tuple(found)


@st.cache_resource(show_spinner=False)
def bundled_views() -> tuple[RunView, ...]:
    """The trainings of the bundled models, from the histories in their cards."""
    views = []
    for path in sorted(BUNDLED.glob("*/card.json")):
        card = _card(path.parent)
        if card is None or not card.history:
            continue
        words = shlex.split(card.command)
        recipe = words[words.index("train") + 1] if "train" in words else ""
        pairs = [pair for flag, pair in pairwise(words) if flag == "--set"]
        settings = _card_settings(card, recipe, pairs)
        steps = int(card.history[-1].get("step", 0))
        views.append(
            RunView(
                key=f"{BUNDLED_PREFIX}{path.parent.name}",
                title=card.title,
                recipe=recipe,
                settings=settings,
                history=_with_seconds(card.history, batch_size(settings)),
                test=_test_of(card),
                test_count=card.metrics.get("test_count"),
                model=path.parent.name,
                state=RunState(status="finished", step=steps, steps=steps),
                created=seconds_of(card.date),
                command=card.command,
            )
        )
    return tuple(views)


def comparable(recipe: str, settings: Mapping[str, Any], views: list[RunView]) -> RunView | None:
    """The finished run of the recipe that shares the most settings; a bundled one wins a draw."""
    finished = [view for view in views if view.recipe == recipe and view.state.status == "finished" and view.history]

    def agreement(view: RunView) -> tuple[int, bool]:
        return sum(settings.get(key) == value for key, value in view.settings.items()), view.folder is None

    return max(finished, key=agreement, default=None)


def differing(views: list[RunView]) -> dict[str, list[Any]]:
    """The settings in which runs differ: dotted key → one value a run, None where it has no such setting."""
    keys = list(dict.fromkeys(key for view in views for key in view.settings))
    rows = {key: [view.settings.get(key) for view in views] for key in keys}
    recipes: list[Any] = [view.recipe for view in views]
    return {key: row for key, row in {"recipe": recipes, **rows}.items() if any(value != row[0] for value in row)}


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def flat_config(config: Any) -> dict[str, Any]:
    """The settings of a config object by dotted key."""
    return flatten(dataclasses.asdict(config))


@dataclass
class _Tail:
    """How far one metrics file has been read."""

    inode: int = 0
    offset: int = 0
    lines: list[Mapping[str, Any]] = field(default_factory=list)
    damaged: int = 0


class _Tails:
    """Metrics files of all runs, each read once and then only its new bytes; shared by all sessions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tails: dict[Path, _Tail] = {}

    def lines(self, path: Path) -> tuple[Mapping[str, Any], ...]:
        """All whole lines so far."""
        with self._lock:
            try:
                with path.open("rb") as file:
                    inode = os.fstat(file.fileno()).st_ino
                    tail = self._tails.setdefault(path, _Tail())
                    # A resumed run replaces the file by a shorter one.
                    if tail.inode != inode or file.seek(0, 2) < tail.offset:
                        tail = self._tails[path] = _Tail(inode=inode)
                    file.seek(tail.offset)
                    new, _, _ = file.read().rpartition(b"\n")
            except OSError:
                self._tails.pop(path, None)
                return ()
            if new:
                tail.offset += len(new) + 1
                found = [_report(line) for line in new.split(b"\n")]
                tail.lines += [report for report in found if report is not None]
                tail.damaged += found.count(None)
            return tuple(tail.lines)

    def damaged(self, path: Path) -> int:
        """How many of the lines so far are no reports."""
        with self._lock:
            return self._tails[path].damaged if path in self._tails else 0


@st.cache_resource(show_spinner=False)
def _tails() -> _Tails:
    return _Tails()


def _report(line: bytes) -> Mapping[str, Any] | None:
    values = parse_report(line)
    return values if values is not None and "step" in values else None


def _card(folder: Path) -> ModelCard | None:
    """The card of a finished model; None if its file cannot be read, or does not hold what the pages show of it."""
    try:
        card = read_card(folder)
        test, count = _test_of(card), card.metrics.get("test_count")
    except (CoreError, OSError, ValueError, TypeError):
        return None
    sound = (test is None or all(_is_share(each) for each in test)) and (count is None or type(count) is int)
    return card if sound else None


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1


def _card_settings(card: ModelCard, recipe: str, pairs: list[str]) -> dict[str, Any]:
    """The settings of a bundled training: what its command says, and what its card remembers of network and loop."""
    try:
        settings = flat_config(parse_overrides(RECIPES[recipe].config, pairs)) if recipe in RECIPES else {}
        training = json.loads(card.recipe)
    except (CoreError, ValueError):
        settings, training = {}, {}
    # Defaults of today are not those of the day it was trained; the card's own record holds.
    return settings | flatten({"family": card.family, "model": card.config, "training": training})


def batch_size(settings: Mapping[str, Any]) -> int | None:
    """The batch size among flat settings, whichever section has it."""
    found = (value for key, value in settings.items() if key.rpartition(".")[2] == "batch_size")
    return next((value for value in found if type(value) is int), None)


def _test_of(card: ModelCard) -> tuple[float, float, float] | None:
    metrics = card.metrics
    if "test_accuracy" not in metrics or "test_interval_95" not in metrics:
        return None
    low, high = metrics["test_interval_95"]
    return metrics["test_accuracy"], low, high


def seconds_of(text: str) -> float | None:
    """A date as seconds since 1970; None if it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def age(moment: float | None) -> str:
    """How long ago, in the largest unit that fits."""
    return "" if moment is None else f"{roughly(max(0.0, time.time() - moment))} ago"


def _with_seconds(history: Sequence[Mapping[str, Any]], batch: int | None) -> tuple[Mapping[str, Any], ...]:
    """The reports with the seconds of training steps up to each, worked out from their images per second."""
    if batch is None or any("seconds" in line or not line.get("images_per_second") for line in history):
        return tuple(history)
    seconds, before, timed = 0.0, 0, []
    for line in history:
        seconds += (line["step"] - before) * batch / line["images_per_second"]
        before = line["step"]
        timed.append({**line, "seconds": seconds})
    return tuple(timed)
