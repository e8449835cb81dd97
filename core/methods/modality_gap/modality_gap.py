"""The modality gap: images and their captions lie apart, and what closing the distance does to classification.

Everything here is NumPy on embeddings, fitted on one set of pairs and measured on another; `Pairs` holds either.
All accuracies are by cosine: both sides are brought to unit length after whatever was done to them.

Source: Liang et al. 2022, arXiv:2203.02053; reference code Weixin-Liang/Modality-Gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from core.errors import ConfigError, ShapeError
from core.finite import require_finite
from core.intervals import paired_interval, wilson_interval
from core.methods.modality_gap.alignment import VARIANTS, Alignment, Variant, check_pairs, fit_alignment
from core.methods.modality_gap.procrustes import unit_vectors
from core.reports import OnProgress, silent
from core.seeding import stream
from core.shares import FEW, counted


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Images with a caption each, and the captions that tell their classes apart.

    Attributes:
        images: (n, dim) as the model gives them.
        labels: (n,) rows of `captions`.
        captions: (classes, templates, dim) as the model gives them.
        chosen: (n,) the template of each image's own caption.
    """

    images: np.ndarray
    labels: np.ndarray
    captions: np.ndarray
    chosen: np.ndarray

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.labels) == len(self.chosen):
            raise ShapeError(
                f"Got {len(self.images)} images, {len(self.labels)} labels and {len(self.chosen)} captions; expected "
                "as many of each."
            )
        if self.images.shape[-1] != self.captions.shape[-1]:
            raise ShapeError(
                f"Images have {self.images.shape[-1]} dimensions and texts {self.captions.shape[-1]}.",
                "Use projected embeddings of both.",
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def texts(self) -> np.ndarray:
        """(n, dim) the caption of each image."""
        return np.asarray(self.captions[self.labels, self.chosen])

    @property
    def classes(self) -> int:
        return len(self.captions)

    def take(self, rows: np.ndarray) -> Pairs:
        """Some of the pairs, all classes."""
        return replace(self, images=self.images[rows], labels=self.labels[rows], chosen=self.chosen[rows])

    def of_classes(self, classes: np.ndarray) -> Pairs:
        """The pairs of some classes, to be told apart from each other only."""
        rows = np.flatnonzero(np.isin(self.labels, classes))
        position = np.full(self.classes, -1)
        position[classes] = np.arange(len(classes))
        few = self.take(rows)
        return replace(few, labels=position[few.labels], captions=self.captions[classes])

    def shuffled(self, seed: int) -> Pairs:
        """Every image with another's caption: what is left to learn is which mistake to remember."""
        order = stream("shuffled pairs", seed).permutation(len(self))
        return replace(self, labels=self.labels[order], chosen=self.chosen[order])


@dataclass(frozen=True, kw_only=True)
class Gap:
    """How far apart the two clouds are, on the unit sphere.

    Attributes:
        distance: ‖mean of the images − mean of the texts‖, 0 to 2.
        paired_cosine: mean cosine of an image and its own caption.
    """

    distance: float
    paired_cosine: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a variant, fitted on some pairs, does to others.

    Attributes:
        held_out: gap and cosine of the other pairs.
        fitted: gap and cosine of the pairs it was fitted on: what one would be tempted to report.
        correct: (n,) bool, held-out images classified right when only the images are moved.
        both_correct: (n,) bool, when the texts are rotated along, about the same centre; None where nothing rotates.
        fitted_accuracy: on the pairs it was fitted on.
        shuffled_accuracies: (shuffles,) held-out, when fitted with shuffled captions; chance where nothing leaks.
        shuffled_fitted_accuracies: (shuffles,) on the shuffled pairs, the shuffled captions counting as right.
        shuffled_cosines: (shuffles,) mean paired cosine on the shuffled pairs.
    """

    alignment: Alignment
    held_out: Gap
    fitted: Gap
    correct: np.ndarray
    both_correct: np.ndarray | None
    fitted_accuracy: float
    shuffled_accuracies: np.ndarray
    shuffled_fitted_accuracies: np.ndarray
    shuffled_cosines: np.ndarray

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(int(self.correct.sum()), len(self.correct))

    def change_from(self, before: Outcome) -> tuple[float, float, float]:
        """Accuracy minus that of `before` on the same images, with its 95 % interval."""
        gained = int((self.correct & ~before.correct).sum())
        lost = int((~self.correct & before.correct).sum())
        return paired_interval(gained, lost, len(self.correct))


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a number of fitted pairs buys: the cosine looks best where the accuracy is worst."""

    pairs: int
    fitted_cosine: float
    held_out_cosine: float
    fitted_accuracy: float
    accuracy: float
    interval: tuple[float, float]


def modality_gap(images: np.ndarray, texts: np.ndarray) -> Gap:
    """Distance of the means and mean cosine of the pairs `images`, `texts` (n, dim), on the unit sphere."""
    check_pairs(images, texts)
    first, second = unit_vectors(images), unit_vectors(texts)
    return Gap(
        distance=float(np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))),
        paired_cosine=float((first * second).sum(axis=1).mean()),
    )


def split_pairs(
    labels: np.ndarray, *, by: Literal["images", "classes"] = "images", share: float = 0.5, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit on and rows to measure on: different images, or images of different classes.

    Raises:
        ConfigError: one of the two would be empty.
    """
    random = stream("pairs to fit on", seed)
    if by == "classes":
        classes = random.permutation(np.unique(labels))
        fitted = np.isin(labels, classes[: round(share * len(classes))])
        rows = np.flatnonzero(fitted), np.flatnonzero(~fitted)
    else:
        order = random.permutation(len(labels))
        cut = round(share * len(order))
        rows = np.sort(order[:cut]), np.sort(order[cut:])
    if not len(rows[0]) or not len(rows[1]):
        raise ConfigError(
            f"{len(labels)} pairs of {len(np.unique(labels))} classes cannot be divided by {by}.",
            "Use more images, or more classes.",
        )
    return rows


def classify(images: np.ndarray, captions: np.ndarray) -> np.ndarray:
    """The class of each of `images` (n, dim): (n,), by cosine with the mean of each class's captions.

    `captions`: (classes, templates, dim). Each is brought to unit length before the mean and the mean after it, as in
    zero-shot classification.
    """
    require_finite("The image embeddings", images)
    require_finite("The caption embeddings", captions)
    classes = unit_vectors(unit_vectors(captions).mean(axis=1))
    return np.asarray((unit_vectors(images) @ classes.T).argmax(axis=1))


def measure(fitted: Pairs, held_out: Pairs, variant: Variant, *, shuffles: int = 5, seed: int = 0) -> Outcome:
    """Fit `variant` on one set of pairs, measure it on the other, beside fits whose captions were shuffled.

    Raises:
        ConfigError: see `fit_alignment`; or there is nothing to measure on.
    """
    if not len(held_out):
        raise ConfigError("There are no pairs to measure on.", "Use more images.")
    alignment = fit_alignment(fitted.images, fitted.texts, variant)
    moved = alignment.move_images(held_out.images)
    captions = alignment.move_texts(held_out.captions)
    own_images = alignment.move_images(fitted.images)
    both = None
    if variant.rotate:
        about = replace(alignment, variant=replace(variant, place=False))
        both = classify(about.move_images(held_out.images), about.move_texts(held_out.captions) @ alignment.rotation)
    shuffled = [
        _measure_shuffled(fitted, held_out, variant, seed + 1 + number)
        for number in range(shuffles if variant.rotate else 0)
    ]
    return Outcome(
        alignment=alignment,
        held_out=modality_gap(moved, alignment.move_texts(held_out.texts)),
        fitted=modality_gap(own_images, alignment.move_texts(fitted.texts)),
        correct=classify(moved, captions) == held_out.labels,
        both_correct=None if both is None else both == held_out.labels,
        fitted_accuracy=accuracy_of(own_images, alignment.move_texts(fitted.captions), fitted.labels),
        shuffled_accuracies=np.array([row[0] for row in shuffled]),
        shuffled_fitted_accuracies=np.array([row[1] for row in shuffled]),
        shuffled_cosines=np.array([row[2] for row in shuffled]),
    )


def compare_variants(
    fitted: Pairs,
    held_out: Pairs,
    variants: Sequence[Variant] = tuple(VARIANTS.values()),
    *,
    shuffles: int = 5,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> dict[str, Outcome]:
    """Every variant on the same pairs, by name."""
    outcomes = {}
    for number, variant in enumerate(variants):
        on_progress(number / len(variants), f"{variant.title}: {number + 1} of {len(variants)}")
        outcomes[variant.name] = measure(fitted, held_out, variant, shuffles=shuffles, seed=seed)
    return outcomes


def pair_budget(
    fitted: Pairs, held_out: Pairs, variant: Variant, *, counts: Sequence[int] | None = None, seed: int = 0
) -> list[Budget]:
    """`variant` fitted on ever more of the pairs, and measured on the others each time."""
    order = stream("pair budget", seed).permutation(len(fitted))
    wanted = counts or (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
    rows = []
    for count in sorted({min(count, len(fitted)) for count in wanted if count >= 2}):
        pairs = fitted.take(order[:count])
        outcome = measure(pairs, held_out, variant, shuffles=0)
        rows.append(
            Budget(
                pairs=count,
                fitted_cosine=outcome.fitted.paired_cosine,
                held_out_cosine=outcome.held_out.paired_cosine,
                fitted_accuracy=outcome.fitted_accuracy,
                accuracy=outcome.accuracy,
                interval=outcome.interval,
            )
        )
    return rows


def points(change: float) -> str:
    """A difference of fractions in points, signed, with a real minus."""
    return f"{100 * change:+.1f}".replace("-", "−")


def finding(before: Outcome, after: Outcome, *, seen_classes: bool = True) -> str:
    """What closing the gap did, in words computed from the numbers: two sentences in Markdown.

    `seen_classes`: the fitted pairs are of the classes that are told apart.
    """
    change, low, high = after.change_from(before)
    few = len(after.correct) < FEW
    gap = f"{before.held_out.distance:.2f} → {after.held_out.distance:.2f}"
    cosine = f"{before.held_out.paired_cosine:.2f} → {after.held_out.paired_cosine:.2f}"
    moved = f"gap {gap}, mean paired cosine {cosine}"
    said = f"{points(change)} points (95 % paired interval {points(low)} to {points(high)})"
    if few:
        more = int(after.correct.sum()) - int(before.correct.sum())
        said = f"{more:+d} of {counted(len(after.correct), 'image')}".replace("-", "−")
    if after.held_out.distance > 0.9 * before.held_out.distance:
        return f"This did not close the gap ({moved}). Held-out accuracy changed by {said}."
    if few:
        verdict = "too few images to tell"
    elif high < 0:
        verdict = "the gap closed, and the answers got worse"
    elif low > 0:
        verdict = "closing it helped"
        if seen_classes and after.alignment.variant.rotate:
            verdict += ", but the fit has seen labels of these classes, so this is training, not zero-shot"
    elif high - low < 0.1:
        verdict = "the gap was not what limited it"
    else:
        verdict = "too few images to tell"
    return f"Closing the gap ({moved}) changed held-out accuracy by {said}: {verdict}."


def _measure_shuffled(fitted: Pairs, held_out: Pairs, variant: Variant, seed: int) -> tuple[float, float, float]:
    """Held-out accuracy, accuracy on the shuffled pairs themselves and their cosine."""
    pairs = fitted.shuffled(seed)
    alignment = fit_alignment(pairs.images, pairs.texts, variant)
    own = alignment.move_images(pairs.images)
    return (
        accuracy_of(alignment.move_images(held_out.images), alignment.move_texts(held_out.captions), held_out.labels),
        accuracy_of(own, alignment.move_texts(pairs.captions), pairs.labels),
        modality_gap(own, alignment.move_texts(pairs.texts)).paired_cosine,
    )


def accuracy_of(images: np.ndarray, captions: np.ndarray, labels: np.ndarray) -> float:
    """The share of `images` that `classify` gets right."""
    return float((classify(images, captions) == labels).mean())
