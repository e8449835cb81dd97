"""The way from nothing to an alignment, stop by stop: what a slider moves along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.methods.modality_gap.alignment import Variant, Walk, fit_alignment
from core.methods.modality_gap.modality_gap import Gap, Pairs, accuracy_of, classify, modality_gap
from core.methods.modality_gap.procrustes import unit_vectors
from core.reports import OnProgress, silent

Plane = Literal["gap", "pca"]


@dataclass(frozen=True, kw_only=True)
class AlignmentStep:
    """The held-out pairs at one point of the way from nothing to a variant.

    Attributes:
        centring, rotating: shares of the way, 0 to 1.
        images, texts: by plane (n, 2): the unit vectors seen in a plane of the whole way. "gap": along the gap, from
            captions to images before anything moved, and the first principal component of what is left. "pca": the
            first two principal components of both clouds together.
        correct: (n,) bool, images against texts that are not rotated.
        shuffled_accuracy: at the same point of the way of alignments with shuffled captions, their mean.
        fitted_accuracy: at this point, on the pairs that it was fitted on.
    """

    centring: float
    rotating: float
    images: dict[Plane, np.ndarray]
    texts: dict[Plane, np.ndarray]
    gap: Gap
    correct: np.ndarray
    fitted_accuracy: float
    shuffled_accuracy: float

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())


def alignment_shares(variant: Variant, steps: int = 10) -> list[tuple[float, float]]:
    """(centring, rotating) shares from nothing to the whole of `variant`: first centring, then rotating."""
    shares = [step / steps for step in range(1, steps + 1)]
    stops = [(0.0, 0.0)]
    if variant.centre:
        stops += [(share, 0.0) for share in shares]
    if variant.rotate:
        stops += [(float(variant.centre), share) for share in shares]
    return stops


def alignment_steps(
    fitted: Pairs,
    held_out: Pairs,
    variant: Variant,
    *,
    steps: int = 10,
    shuffles: int = 5,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> list[AlignmentStep]:
    """The held-out pairs at every stop of `way`, seen in planes that stay the same over the whole way."""
    stops = alignment_shares(variant, steps)
    fits = 1 + (shuffles if variant.rotate else 0)
    walks = []
    for number in range(fits):
        # Of many dimensions a fit takes about as long as two stops.
        on_progress(2 * number / (2 * fits + len(stops)), f"Fit {number + 1} of {fits}")
        pairs = fitted.shuffled(seed + number) if number else fitted
        walks.append(Walk(fit_alignment(pairs.images, pairs.texts, variant)))
    images, texts = [], []
    figures = []
    for number, (centring, rotating) in enumerate(stops):
        on_progress((2 * fits + number) / (2 * fits + len(stops)), f"Stop {number + 1} of {len(stops)}")
        own, *others = walks
        moved = own.images(held_out.images, centring, rotating), own.texts(held_out.texts, centring)
        images.append(unit_vectors(moved[0]))
        texts.append(unit_vectors(moved[1]))
        shuffled = [
            accuracy_of(
                walk.images(held_out.images, centring, rotating),
                walk.texts(held_out.captions, centring),
                held_out.labels,
            )
            for walk in others
        ]
        fitted_accuracy = accuracy_of(
            own.images(fitted.images, centring, rotating), own.texts(fitted.captions, centring), fitted.labels
        )
        correct = classify(moved[0], own.texts(held_out.captions, centring)) == held_out.labels
        figures.append((modality_gap(*moved), correct, fitted_accuracy, shuffled))
    centre, planes = _planes(images, texts)

    def seen(vectors: np.ndarray) -> dict[Plane, np.ndarray]:
        return {plane: ((vectors - centre) @ axes.T).astype(np.float32) for plane, axes in planes.items()}

    return [
        AlignmentStep(
            centring=centring,
            rotating=rotating,
            images=seen(images[number]),
            texts=seen(texts[number]),
            gap=gap,
            correct=correct,
            fitted_accuracy=fitted_accuracy,
            shuffled_accuracy=float(np.mean(shuffled)) if shuffled else float("nan"),
        )
        for number, ((centring, rotating), (gap, correct, fitted_accuracy, shuffled)) in enumerate(
            zip(stops, figures, strict=True)
        )
    ]


def _planes(images: list[np.ndarray], texts: list[np.ndarray]) -> tuple[np.ndarray, dict[Plane, np.ndarray]]:
    """A centre (dim,) and two axes (2, dim) for each plane, from unit vectors at the start, middle and end."""
    stops = sorted({0, len(images) // 2, len(images) - 1})
    cloud = np.concatenate([part[stop] for stop in stops for part in (images, texts)])
    centre = cloud.mean(axis=0)
    cloud = cloud - centre
    apart = images[0].mean(axis=0) - texts[0].mean(axis=0)
    components = np.linalg.svd(cloud, full_matrices=False)[2][:2]
    components = components * np.where(components @ apart < 0, -1, 1)[:, None]
    along = unit_vectors(apart)
    rest = np.linalg.svd(cloud - np.outer(cloud @ along, along), full_matrices=False)[2][:1]
    return centre, {"gap": np.concatenate([along[None], rest]), "pca": components}
