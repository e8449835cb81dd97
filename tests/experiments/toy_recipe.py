"""A recipe that trains nothing, at once: sweeps are tested with it. `python -m tests.experiments.toy_recipe DIR` works
on a run as `core.launch.worker` would, with the toy in the catalogue."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core.configs import check_options, option
from core.errors import RunFailedError
from core.experiments.catalogue import RECIPES
from core.experiments.spec import Recipe
from core.files import write_atomically
from core.reports import Progress
from core.runs.store import RunFolder

STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Model:
    embed_dim: int = option(64, "Width", minimum=1, maximum=1024)
    num_heads: int = option(2, "Heads", minimum=1)


@dataclass(frozen=True, kw_only=True)
class Training:
    epochs: int = option(10, "Epochs", minimum=1)
    learning_rate: float = option(1e-3, "Learning rate", minimum=0, maximum=1)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class Config:
    model: Model = field(default_factory=Model)
    training: Training = field(default_factory=Training)
    max_images: int = option(0, "Images", minimum=0)
    evaluate_test: bool = option(True, "Test")
    gate: str = option("", "Gate", "A file without which no second epoch begins.")
    broken: bool = option(False, "Fail always")


@dataclass(frozen=True, kw_only=True)
class Report:
    step: int
    steps: int
    epoch: int
    epochs: int
    val_accuracy: float


def run(config: Config, folder: RunFolder) -> Iterator[Progress | Report]:
    """Accuracy is the learning rate plus a little for every epoch; heads that do not divide the width fail."""
    if config.broken:
        raise RunFailedError("The toy is broken.")
    if config.model.embed_dim % config.model.num_heads:
        raise RunFailedError(f"{config.model.embed_dim} does not split into {config.model.num_heads} heads.")
    epochs = config.training.epochs
    done = json.loads(folder.checkpoint.read_text(encoding="utf-8")) if folder.checkpoint.is_file() else 0
    folder.truncate_metrics(done * STEPS)
    for epoch in range(done + 1, epochs + 1):
        while config.gate and epoch > 1 and not Path(config.gate).exists():
            time.sleep(0.05)
        for step in range((epoch - 1) * STEPS + 1, epoch * STEPS + 1):
            yield Progress(step=step, steps=epochs * STEPS)
        accuracy = config.training.learning_rate + 0.001 * epoch
        yield Report(step=epoch * STEPS, steps=epochs * STEPS, epoch=epoch, epochs=epochs, val_accuracy=accuracy)
        write_atomically(folder.checkpoint, json.dumps(epoch))


TOY = Recipe(name="toy", title="Toy", summary="Nothing, at once", module="tests.experiments.toy_recipe")

if __name__ == "__main__":
    from core.launch.worker import main

    RECIPES["toy"] = TOY
    sys.exit(main(sys.argv[1]))
