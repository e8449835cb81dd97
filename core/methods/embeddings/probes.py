"""What features know without further learning of the network: a linear classifier and nearest neighbours on them.

Source: Radford et al. 2021, arXiv:2103.00020, appendix A.3: scikit-learn's L-BFGS for at most 1000 iterations, the
strength of the L2 penalty chosen on validation images from 96 steps over [1e-6, 1e6], coarse to fine, then fitted again
on training and validation images together. Neighbours: Wu et al. 2018, arXiv:1805.01978, without their temperature.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from core.errors import ShapeError
from core.finite import require_finite
from core.intervals import wilson_interval
from core.methods.embeddings.features import Features
from core.reports import Progress, watched

MAX_ITERATIONS = 1000
# 12 decades in steps of an eighth.
C_GRID = np.logspace(-6, 6, 97)
_FIRST_STRIDE = 16
_CHUNK = 1024


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """How well a probe does on test images.

    Attributes:
        accuracy: in [0, 1], over `count` images.
        interval: its 95 % Wilson interval.
        train_count: images that were learned from in the end.
        C: inverse strength of the penalty, scikit-learn's convention (½‖w‖² + C · Σ loss); None for neighbours.
        val_accuracy: at that C, before training and validation images were joined.
        sweep: every C that was tried, ascending, with its validation accuracy.
        converged: L-BFGS stopped by itself in the final fit.
    """

    accuracy: float
    interval: tuple[float, float]
    count: int
    train_count: int
    C: float | None = None
    val_accuracy: float | None = None
    sweep: tuple[tuple[float, float], ...] = ()
    converged: bool = True


def fit_linear(vectors: np.ndarray, labels: np.ndarray, C: float, *, max_iterations: int = MAX_ITERATIONS) -> Any:
    """scikit-learn's multinomial logistic regression of (images, dim) on (images,); the intercept is not penalised."""
    require_finite("The features", vectors)
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # At 1000 iterations the protocol stops; the result says whether that mattered.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=C, max_iter=max_iterations).fit(vectors, labels)


@dataclass(frozen=True, kw_only=True)
class LinearHead:
    """A linear classifier on features, its penalty chosen on validation images and fitted on all; attributes as in
    `ProbeResult`."""

    head: Any
    train_count: int
    C: float
    val_accuracy: float
    sweep: tuple[tuple[float, float], ...]
    converged: bool

    def predict(self, features: Features) -> np.ndarray:
        """(images,) labels.

        Raises:
            NotFiniteError: a feature is not a number.
        """
        require_finite("The features", features.vectors)
        return np.asarray(self.head.predict(features.vectors))

    def test(self, features: Features) -> ProbeResult:
        """How often it is right."""
        correct = int((self.predict(features) == features.labels).sum())
        return ProbeResult(
            accuracy=correct / len(features),
            interval=wilson_interval(correct, len(features)),
            count=len(features),
            train_count=self.train_count,
            C=self.C,
            val_accuracy=self.val_accuracy,
            sweep=self.sweep,
            converged=self.converged,
        )


def linear_probe(
    train: Features, val: Features, test: Features, *, max_iterations: int = MAX_ITERATIONS
) -> Generator[Progress, None, ProbeResult]:
    """Choose C on `val`, fit on both, read `test` once; yields after every fit and returns the result.

    Raises:
        ShapeError: the splits have features of different widths.
    """
    _check_widths(train, val, test)
    return (yield from fit_probe(train, val, max_iterations=max_iterations)).test(test)


def fit_probe(
    train: Features, val: Features, *, max_iterations: int = MAX_ITERATIONS
) -> Generator[Progress, None, LinearHead]:
    """Choose C on `val`, fit on both: a head that may be tested on images of any kind; yields after every fit.

    Raises:
        ShapeError: the splits have features of different widths.
    """
    _check_widths(train, val)
    strides = [_FIRST_STRIDE >> step for step in range(_FIRST_STRIDE.bit_length())]
    fits = len(range(0, len(C_GRID), _FIRST_STRIDE)) + 2 * (len(strides) - 1) + 1
    tried: dict[int, float] = {}

    def try_out(index: int) -> Iterator[Progress]:
        head = yield from fit(train.vectors, train.labels, index)
        tried[index] = float(np.mean(head.predict(val.vectors) == val.labels))
        text = f"C = {C_GRID[index]:.2g}: {tried[index]:.1%} on validation"
        yield Progress(step=len(tried), steps=fits, text=text)

    def fit(vectors: np.ndarray, labels: np.ndarray, index: int) -> Generator[Progress, None, Any]:
        # L-BFGS may take minutes and hears nobody meanwhile.
        fitting = Progress(step=len(tried), steps=fits, text=f"fitting C = {C_GRID[index]:.2g}")
        chosen = partial(fit_linear, vectors, labels, C_GRID[index], max_iterations=max_iterations)
        return (yield from watched(chosen, fitting))

    for index in range(0, len(C_GRID), _FIRST_STRIDE):
        yield from try_out(index)
    for stride in strides[1:]:
        best = _best(tried)
        for index in (best - stride, best + stride):
            if 0 <= index < len(C_GRID):
                yield from try_out(index)
    best = _best(tried)
    joined = (np.concatenate([train.vectors, val.vectors]), np.concatenate([train.labels, val.labels]))
    head = yield from fit(*joined, best)
    yield Progress(step=fits, steps=fits, text=f"C = {C_GRID[best]:.2g} on training and validation images")
    return LinearHead(
        head=head,
        train_count=len(train) + len(val),
        C=float(C_GRID[best]),
        val_accuracy=tried[best],
        sweep=tuple((float(C_GRID[index]), tried[index]) for index in sorted(tried)),
        converged=bool(np.max(head.n_iter_) < max_iterations),
    )


def nearest_neighbours(train: Features, test: Features, *, neighbours: int = 20) -> ProbeResult:
    """The majority among the `neighbours` training images of largest cosine; the nearer side wins a tie.

    Raises:
        ShapeError: the splits have features of different widths.
    """
    _check_widths(train, test)
    neighbours = min(neighbours, len(train))
    known = _directions(train.vectors)
    classes, labels = np.unique(train.labels, return_inverse=True)
    correct = 0
    for start in range(0, len(test), _CHUNK):
        cosine = _directions(test.vectors[start : start + _CHUNK]) @ known.T
        nearest = np.argpartition(-cosine, neighbours - 1, axis=1)[:, :neighbours]
        near = np.take_along_axis(cosine, nearest, axis=1)
        votes = np.zeros((len(cosine), len(classes)))
        # A vote counts 1, and its cosine a little, but all cosines together less than a vote.
        np.add.at(votes, (np.arange(len(cosine))[:, None], labels[nearest]), 1 + near / (4 * neighbours))
        correct += int((classes[votes.argmax(axis=1)] == test.labels[start : start + _CHUNK]).sum())
    return ProbeResult(
        accuracy=correct / len(test),
        interval=wilson_interval(correct, len(test)),
        count=len(test),
        train_count=len(train),
    )


def _best(tried: dict[int, float]) -> int:
    """The grid index of the highest validation accuracy; the middle one of several, away from both ends."""
    top = max(tried.values())
    tied = sorted(index for index, accuracy in tried.items() if accuracy == top)
    return tied[(len(tied) - 1) // 2]


def _directions(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _check_widths(*splits: Features) -> None:
    for split in splits:
        require_finite("The features", split.vectors)
    widths = {split.vectors.shape[1] for split in splits}
    if len(widths) > 1:
        raise ShapeError(f"The features have {sorted(widths)} numbers per image.", "Take all from one model.")
