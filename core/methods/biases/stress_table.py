"""Answers of several models under several conditions as one table: accuracy, drop, both ratios, paired tests."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from core.errors import ShapeError
from core.methods.accuracy.confusion import Accuracy, accuracy
from core.methods.accuracy.paired import Paired, paired
from core.methods.biases.ratios import AccuracyRatio, same_images_ratio
from core.methods.manipulations.steps import parse_steps

AS_THEY_ARE = "As they are"
_CELLS = ("both", "only_first", "only_second", "neither")


@dataclass(frozen=True, kw_only=True)
class StressRow:
    """One model under one condition.

    Attributes:
        model, condition: their places in the answers.
        accuracy: on the images that the model was asked about.
        ratio: to its accuracy on the same images as they are; None for those themselves.
    """

    model: int
    condition: int
    accuracy: Accuracy
    ratio: AccuracyRatio | None

    def values(self) -> dict[str, Any]:
        """As results hold it."""
        low, high = self.accuracy.interval
        right = {"correct": self.accuracy.correct, "count": self.accuracy.count}
        found = {"accuracy": self.accuracy.value, "low": low, "high": high, **right}
        ratio = {"against_as_they_are": self.ratio.values()} if self.ratio else {}
        return {"model": self.model, "condition": self.condition, **found, **ratio}

    @classmethod
    def read(cls, values: dict[str, Any], *, seed: int = 0) -> StressRow:
        """What `values` gave."""
        ratio = None
        if stored := values.get("against_as_they_are"):
            counts = Paired(**{cell: int(stored[cell]) for cell in _CELLS})
            ratio = same_images_ratio(counts, int(stored["classes"]), seed=seed)
        right = Accuracy(correct=int(values["correct"]), count=int(values["count"]))
        return cls(model=int(values["model"]), condition=int(values["condition"]), accuracy=right, ratio=ratio)


def stress_table(labels: np.ndarray, answers: np.ndarray, classes: int, *, seed: int = 0) -> list[StressRow]:
    """A row for each model and condition, condition by condition.

    Args:
        labels: (images,) the truth.
        answers: (images, models, conditions); below 0 where a model was not asked; the first condition is no
            manipulation.
        classes: that the models chose among.
        seed: of the intervals.

    Raises:
        ShapeError: the shapes disagree, or a model was asked about no image.
    """
    if answers.ndim != 3 or len(answers) != len(labels):
        raise ShapeError(
            f"Got {answers.shape} answers for {labels.shape} labels.", "Give (images, models, conditions)."
        )
    rows = []
    for condition in range(answers.shape[2]):
        for model in range(answers.shape[1]):
            before, after = answers[:, model, 0], answers[:, model, condition]
            asked = (before >= 0) & (after >= 0)
            ratio = None
            if condition:
                same = paired(labels[asked], before[asked], after[asked])
                ratio = same_images_ratio(same, classes, seed=seed)
            rows.append(
                StressRow(
                    model=model,
                    condition=condition,
                    accuracy=accuracy(labels[after >= 0], after[after >= 0]),
                    ratio=ratio,
                )
            )
    return rows


@dataclass(frozen=True, kw_only=True)
class ModelPair:
    """Two models under one condition, on the images that both were asked about."""

    condition: int
    first: int
    second: int
    paired: Paired

    def values(self) -> dict[str, int]:
        """As results hold it."""
        places = {"condition": self.condition, "first": self.first, "second": self.second}
        return places | asdict(self.paired)

    @classmethod
    def read(cls, values: dict[str, int]) -> ModelPair:
        """What `values` gave."""
        counts = Paired(**{cell: int(values[cell]) for cell in _CELLS})
        condition, first, second = (int(values[key]) for key in ("condition", "first", "second"))
        return cls(condition=condition, first=first, second=second, paired=counts)


def model_pairs(labels: np.ndarray, answers: np.ndarray) -> list[ModelPair]:
    """Every two models under every condition, the earlier one first; arguments as of `stress_table`."""
    pairs = []
    for condition in range(answers.shape[2]):
        for first, second in combinations(range(answers.shape[1]), 2):
            one, other = answers[:, first, condition], answers[:, second, condition]
            asked = (one >= 0) & (other >= 0)
            same = paired(labels[asked], one[asked], other[asked])
            pairs.append(ModelPair(condition=condition, first=first, second=second, paired=same))
    return pairs


def condition_words(text: str) -> str:
    """A condition as people read it: 'Scrambled tiles, 4 tiles a side + Greyscale, 100 %'."""
    return " + ".join(step.words for step in parse_steps(text)) or AS_THEY_ARE


def disputed_images(labels: np.ndarray, answers: np.ndarray, count: int) -> np.ndarray:
    """Places of up to `count` images on which the models differ, those first that split them most evenly.

    Args:
        labels: (images,) the truth.
        answers: (images, models) under one condition, below 0 where a model was not asked.
    """
    asked = answers >= 0
    right = ((answers == labels[:, None]) & asked).sum(axis=1)
    wrong = asked.sum(axis=1) - right
    evenness = np.minimum(right, wrong)
    places = np.flatnonzero(evenness)
    return places[np.argsort(-evenness[places], kind="stable")][:count]
