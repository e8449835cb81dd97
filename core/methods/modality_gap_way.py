"""The way from nothing to an alignment, stop by stop: what a slider moves along."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.methods.alignment import Variant, Walk, fit_alignment
from core.methods.modality_gap import Gap, Pairs, Progress, accuracy_of, classify, modality_gap
from core.methods.procrustes import unit


@dataclass(frozen=True, kw_only=True)
class Station:
    """The held-out pairs at one point of the way from nothing to a variant.

    Attributes:
        centring, rotating: shares of the way, 0 to 1.
        images, texts: (n, 2) unit vectors seen in the plane of the whole way.
        correct: (n,) bool, images against texts that are not rotated.
        shuffled_accuracy: at the same point of the way of alignments with shuffled captions, their mean.
        fitted_accuracy: at this point, on the pairs that it was fitted on.
    """

    centring: float
    rotating: float
    images: np.ndarray
    texts: np.ndarray
    gap: Gap
    correct: np.ndarray
    fitted_accuracy: float
    shuffled_accuracy: float

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())


def way(variant: Variant, steps: int = 10) -> list[tuple[float, float]]:
    """(centring, rotating) shares from nothing to the whole of `variant`: first centring, then rotating."""
    shares = [step / steps for step in range(1, steps + 1)]
    stops = [(0.0, 0.0)]
    if variant.centre:
        stops += [(share, 0.0) for share in shares]
    if variant.rotate:
        stops += [(float(variant.centre), share) for share in shares]
    return stops


def along_the_way(
    fitted: Pairs,
    held_out: Pairs,
    variant: Variant,
    *,
    steps: int = 10,
    shuffles: int = 5,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> list[Station]:
    """The held-out pairs at every stop of `way`, seen in one plane: joint PCA of both clouds over the whole way.

    The first axis of the plane points from the texts to the images.
    """
    walks = [Walk(fit_alignment(fitted.images, fitted.texts, variant))]
    for number in range(shuffles if variant.rotate else 0):
        pairs = fitted.shuffled(seed + 1 + number)
        walks.append(Walk(fit_alignment(pairs.images, pairs.texts, variant)))
    stops = way(variant, steps)
    states = []
    for number, (centring, rotating) in enumerate(stops):
        if on_progress is not None:
            on_progress(number / len(stops), f"Stop {number + 1} of {len(stops)}")
        own, *others = walks
        captions = own.texts(held_out.captions, centring)
        images, texts = own.images(held_out.images, centring, rotating), own.texts(held_out.texts, centring)
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
        states.append(
            Station(
                centring=centring,
                rotating=rotating,
                images=unit(images),
                texts=unit(texts),
                gap=modality_gap(images, texts),
                correct=classify(images, captions) == held_out.labels,
                fitted_accuracy=fitted_accuracy,
                shuffled_accuracy=float(np.mean(shuffled)) if shuffled else float("nan"),
            )
        )
    return _in_one_plane(states)


def _in_one_plane(stations: list[Station]) -> list[Station]:
    """Replace the unit vectors of all stops by their places in one plane."""
    ends = [stations[0], stations[len(stations) // 2], stations[-1]]
    cloud = np.concatenate([part for station in ends for part in (station.images, station.texts)])
    centre = cloud.mean(axis=0)
    axes = np.linalg.svd(cloud - centre, full_matrices=False)[2][:2]
    apart = (stations[0].images.mean(axis=0) - stations[0].texts.mean(axis=0)) @ axes.T
    if abs(apart[1]) > abs(apart[0]):
        axes, apart = axes[::-1], apart[::-1]
    axes = axes * np.where(apart < 0, -1, 1)[:, None]
    return [
        replace(
            station,
            images=((station.images - centre) @ axes.T).astype(np.float32),
            texts=((station.texts - centre) @ axes.T).astype(np.float32),
        )
        for station in stations
    ]
