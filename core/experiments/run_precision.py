"""The precision of a run: settled once, when it begins, and kept in its folder for every later start."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

from filelock import FileLock

from core.configs import from_dict
from core.device import pick_device
from core.errors import CoreError
from core.files import write_atomically
from core.precision_choice import Chosen, PrecisionChoice, Work, choose_precision
from core.runs.store import RunFolder
from core.training.config import TrainingConfig

FILE = "precision.json"


def settle_precision(folder: RunFolder, asked: PrecisionChoice, work: Work = "training") -> Chosen:
    """What `asked` means for the run, on its device: what was settled at its first start, or is now.

    A resumed run goes on in the precision that it began with, on another processor too; only fp16 that would now have
    to run on a CPU is settled anew. Of several processes the first measures and the others wait for it.

    Raises:
        CoreError: there is no such device.
    """
    device = pick_device(folder.read_spec().device)
    if asked != "auto":
        return _keep(folder, choose_precision(asked, device, work))
    with FileLock(folder.path / ".precision.lock", thread_local=False):
        before = read_precision(folder)
        if before is not None and not (before.precision == "fp16" and device.type == "cpu"):
            return before
        return _keep(folder, choose_precision("auto", device, work))


def settle_training(folder: RunFolder, training: TrainingConfig) -> TrainingConfig:
    """`training` with the run's own precision in the place of "auto"."""
    return replace(training, precision=settle_precision(folder, training.precision).precision)


def read_precision(folder: RunFolder) -> Chosen | None:
    """What was settled, and why; None for a run that has not begun, or began before this was written down."""
    try:
        return from_dict(Chosen, json.loads((folder.path / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError, CoreError):
        return None


def precision_facts(folder: RunFolder) -> dict[str, Any]:
    """The same for a card or a table of results."""
    chosen = read_precision(folder)
    return {"precision": asdict(chosen)} if chosen is not None else {}


def _keep(folder: RunFolder, chosen: Chosen) -> Chosen:
    if read_precision(folder) != chosen:
        write_atomically(folder.path / FILE, json.dumps(asdict(chosen)) + "\n")
    return chosen
