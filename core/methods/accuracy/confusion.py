"""What a classifier takes for what: confusion matrix, accuracy per class, and the errors it was surest of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import ShapeError
from core.finite import require_finite
from core.intervals import wilson_interval
from core.shares import share, share_with_interval


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """A share of right answers in [0, 1] with its 95 % Wilson interval."""

    correct: int
    count: int

    @property
    def value(self) -> float:
        return self.correct / self.count if self.count else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.correct, self.count)

    def sentence(self) -> str:
        """The accuracy as every page says it."""
        return share_with_interval(self.correct, self.count)

    def short(self, digits: int = 1) -> str:
        """The accuracy where there is little room: `66.7%`, or `2 of 3` where there are few."""
        return share(self.correct, self.count, digits)


def accuracy(labels: np.ndarray, predicted: np.ndarray) -> Accuracy:
    """How many of `predicted` (images,) are `labels` (images,)."""
    if labels.shape != predicted.shape:
        raise ShapeError(f"Got {labels.shape} labels and {predicted.shape} predictions.", "Give one each.")
    return Accuracy(correct=int((labels == predicted).sum()), count=len(labels))


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) int64: row the true class, column what was said."""
    counted = np.bincount(labels.astype(np.int64) * classes + predicted.astype(np.int64), minlength=classes * classes)
    return counted.reshape(classes, classes)


def class_accuracies(confusion: np.ndarray) -> list[Accuracy]:
    """Of every class, how many of its images were recognised."""
    totals = confusion.sum(axis=1)
    return [Accuracy(correct=int(confusion[row, row]), count=int(totals[row])) for row in range(len(confusion))]


def most_confused(confusion: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """The commonest mistakes: (true class, class said, how often), the commonest first."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    rows, columns = np.unravel_index(order, wrong.shape)
    found = [(int(row), int(column), int(wrong[row, column])) for row, column in zip(rows, columns, strict=True)]
    return [each for each in found if each[2]]


def mistakes_sentence(classes: Sequence[str], confusion: np.ndarray) -> str:
    """The commonest mistakes in words; empty where there are none."""
    worst = [f"{classes[true]} for {classes[said]} ({count})" for true, said, count in most_confused(confusion, 3)]
    return f"Most often mistaken: {', '.join(worst)}." if worst else ""


def surest_errors(
    labels: np.ndarray,
    predicted: np.ndarray,
    confidence: np.ndarray,
    count: int,
    *,
    true_class: int | None = None,
    said_class: int | None = None,
) -> np.ndarray:
    """Indices of up to `count` wrong answers, the surest first; of one class or taken for one class only, if asked."""
    require_finite("The confidences", confidence)
    wrong = labels != predicted
    if true_class is not None:
        wrong &= labels == true_class
    if said_class is not None:
        wrong &= predicted == said_class
    indices = np.flatnonzero(wrong)
    return indices[np.argsort(-confidence[indices], kind="stable")][:count]


def classes_by_error(confusion: np.ndarray, most: int) -> Sequence[int]:
    """At most `most` classes in their own order: those with the most wrong answers given or received."""
    if len(confusion) <= most:
        return range(len(confusion))
    wrong = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * np.diag(confusion)
    return sorted(np.argsort(-wrong, kind="stable")[:most].tolist())
