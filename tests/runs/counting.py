"""A recipe that keeps every promise of a real one and computes next to nothing, so that runs can be killed cheaply.

Its workers do not import torch: `tests/runs/conftest.py` gives them this catalogue instead of the real one.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from core.configs import check_options, option
from core.errors import CoreError, RunFailedError, UnknownNameError
from core.experiments.spec import Recipe
from core.files import write_atomically
from core.reports import Progress
from core.runs.store import RunFolder

Trouble = Literal["none", "nan", "missing", "memory", "full", "locked", "bug", "deaf"]


@dataclass(frozen=True, kw_only=True)
class Config:
    steps: int = option(20, "Steps", minimum=1)
    per_epoch: int = option(5, "Steps an epoch", minimum=1)
    step_s: float = option(0.0, "Seconds a step", minimum=0)
    trouble: Trouble = option("none", "What goes wrong")
    trouble_at: int = option(8, "At which step")
    ballast_kib: int = option(0, "Size of the checkpoint")

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class Report:
    epoch: int
    epochs: int
    step: int
    steps: int
    train_loss: float
    val_accuracy: float


def run(config: Config, folder: RunFolder) -> Iterator[Progress | Report]:
    """A chaotic sequence: any step lost, repeated or taken from elsewhere changes all numbers after it."""
    step, value, total, reported = 0, 0.3, 0.0, 0
    if folder.checkpoint.is_file():
        saved = json.loads(folder.checkpoint.read_text(encoding="utf-8"))
        step, value, total, reported = saved["step"], saved["value"], saved["total"], saved["reported"]
        folder.truncate_metrics(reported)

    def save() -> None:
        values = {"step": step, "value": value, "total": total, "reported": reported, "ballast": "x" * ballast}
        write_atomically(folder.checkpoint, json.dumps(values))

    ballast = config.ballast_kib * 1024
    epochs = -(-config.steps // config.per_epoch)
    try:
        while True:
            # Also after a stop that came between the last step of an epoch and its report.
            if step % config.per_epoch == 0 and step > reported:
                epoch = step // config.per_epoch
                reported = step
                yield Report(
                    epoch=epoch, epochs=epochs, step=step, steps=config.steps, train_loss=total, val_accuracy=value
                )
                save()
            if step >= config.steps:
                break
            if step == config.trouble_at:
                _make_trouble(config.trouble, folder)
            time.sleep(config.step_s)
            value = 3.9 * value * (1 - value)
            total += value
            step += 1
            yield Progress(step=step, steps=config.steps, text="counting")
    except GeneratorExit:
        save()
        raise
    write_atomically(folder.model / "card.json", json.dumps({"total": total}))


def _make_trouble(trouble: Trouble, folder: RunFolder) -> None:
    if trouble == "nan":
        raise RunFailedError("The loss became nan at step 8.", "Lower the learning rate or train in fp32.")
    if trouble == "missing":
        raise CoreError("The data set 'nowhere' is not on this machine.", "python -m core data import")
    if trouble == "memory":
        raise MemoryError
    if trouble == "full":
        raise OSError(errno.ENOSPC, "No space left on device", str(folder.checkpoint))
    if trouble == "locked":
        raise PermissionError(errno.EACCES, "Permission denied", str(folder.checkpoint))
    if trouble == "bug":
        raise ZeroDivisionError("division by zero")
    if trouble == "deaf":
        time.sleep(600)


RECIPE = Recipe(name="counting", title="Counting", summary="for tests", module="tests.runs.counting")


def find_recipe(name: str) -> Recipe:
    """As the real catalogue's."""
    if name != "counting":
        raise UnknownNameError("recipe", name, ["counting"])
    return RECIPE
