"""What `benchmarks/augmentations.py` measured: regimes of augmentation on one small network, by validation accuracy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import CoreError
from core.paths import FILES

RESULTS = FILES / "benchmarks" / "results" / "augmentations.json"


@dataclass(frozen=True, kw_only=True)
class RegimeResult:
    """One regime; accuracies in [0, 1].

    Attributes:
        val_accuracy: after the last epoch, the mean over seeds.
        seeds: validation accuracy of each after the last epoch.
        interval: 95 % Wilson interval of the first seed, over validation images.
        train_curve, val_curve: accuracy after each epoch, the mean over seeds.
    """

    regime: str
    summary: str
    val_accuracy: float
    seeds: tuple[float, ...]
    interval: tuple[float, float]
    count: int
    train_curve: tuple[float, ...]
    val_curve: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class AugmentationResults:
    """All regimes, and what was trained."""

    regimes: tuple[RegimeResult, ...]
    dataset: str
    train_images: int
    epochs: int
    patch_size: int
    embed_dim: int
    command: str

    @property
    def best(self) -> RegimeResult:
        return max(self.regimes, key=lambda each: each.val_accuracy)


def read_augmentations(path: Path = RESULTS) -> AugmentationResults | None:
    """The results in a file; None where there is none yet.

    Raises:
        CoreError: the file is damaged, or of another form.
    """
    if not path.is_file():
        return None
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return AugmentationResults(
            regimes=tuple(_regime(name, each) for name, each in values["regimes"].items()),
            dataset=values["dataset"],
            train_images=int(values["train_images"]),
            epochs=int(values["epochs"]),
            patch_size=int(values["model"]["patch_size"]),
            embed_dim=int(values["model"]["embed_dim"]),
            command=values["command"].strip(),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, ZeroDivisionError) as error:
        raise CoreError(
            f"{path.name} is not what benchmarks/augmentations.py writes ({type(error).__name__}: {error}).",
            "Measure again: python -m benchmarks.augmentations",
        ) from error


def _regime(name: str, values: dict[str, Any]) -> RegimeResult:
    seeds = values["seeds"]
    low, high = seeds[0]["val_interval_95"]
    return RegimeResult(
        regime=name,
        summary=values["summary"],
        val_accuracy=float(values["val_accuracy"]["mean"]),
        seeds=tuple(float(seed["val_accuracy"]) for seed in seeds),
        interval=(float(low), float(high)),
        count=int(seeds[0]["val_count"]),
        train_curve=_mean([[line["train_accuracy"] for line in seed["history"]] for seed in seeds]),
        val_curve=_mean([[line["val_accuracy"] for line in seed["history"]] for seed in seeds]),
    )


def _mean(curves: list[list[float]]) -> tuple[float, ...]:
    return tuple(sum(values) / len(values) for values in zip(*curves, strict=True))
