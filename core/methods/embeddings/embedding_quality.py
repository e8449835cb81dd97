"""Who is near whom: in the features, on a plane drawn of them, and in the eyes of another model.

Sources: Venna & Kaski 2001 (trustworthiness and continuity); Kornblith et al. 2019, arXiv:1905.00414 (linear CKA), with
the unbiased estimator of Song et al. 2012 (JMLR 13:1393) as Nguyen et al. 2021, arXiv:2010.15327, use it.

In the original space images are compared by the cosine of their features, on a plane by distance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.errors import ShapeError
from core.finite import require_finite
from core.reports import OnProgress, silent
from core.seeding import stream

# Every pair is looked at, so above this many images a fixed sample stands for all.
LIMIT = 5000
_CHUNK = 512


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The nearest others of every image, nearest first.

    Attributes:
        indices: (images, k) int32, never the image itself; k is images - 1 where fewer were to be had.
        distances: (images, k) float32, Euclidean between directions (cosine c ↔ √(2 - 2c)), or on the plane.
    """

    indices: np.ndarray
    distances: np.ndarray

    @property
    def count(self) -> int:
        """Neighbours of each image."""
        return self.indices.shape[1]


@dataclass(frozen=True, kw_only=True)
class ProjectionQuality:
    """How well a plane keeps neighbourhoods of `k`, in [0, 1].

    Attributes:
        trustworthiness: 1 if all neighbours on the plane are neighbours in the original space.
        continuity: 1 if all neighbours in the original space are neighbours on the plane.
        kept: mean share of the k nearest in the original space that are among the k nearest on the plane.
        count: images looked at, of `of`.
    """

    trustworthiness: float
    continuity: float
    kept: float
    k: int
    count: int
    of: int


def directions(vectors: np.ndarray) -> np.ndarray:
    """(images, dim) → the same at unit length, then centred: distances between rows depend on the cosine alone.

    Centring changes no distance; it keeps the digits where all features point nearly the same way, as those of early
    layers do. A vector of zeros has no direction and stays at the origin before centring.
    """
    require_finite("The features", vectors)
    values = np.asarray(vectors, dtype=np.float32)
    unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return unit - unit.mean(axis=0, dtype=np.float64).astype(np.float32) if len(unit) else unit


def nearest(points: np.ndarray, k: int, on_progress: OnProgress = silent) -> Neighbours:
    """The `k` nearest others of every row of (images, dim) by Euclidean distance, exactly."""
    require_finite("The points", points)
    count = len(points)
    k = max(0, min(k, count - 1))
    indices = np.empty((count, k), np.int32)
    distances = np.empty((count, k), np.float32)
    for start, squared in _squared_distances(points):
        if k:
            near = np.argpartition(squared, k - 1, axis=1)[:, :k]
            values = np.take_along_axis(squared, near, axis=1)
            order = np.lexsort((near, values), axis=1)
            indices[start : start + len(squared)] = np.take_along_axis(near, order, axis=1)
            distances[start : start + len(squared)] = np.sqrt(np.take_along_axis(values, order, axis=1))
        on_progress((start + len(squared)) / count, f"neighbours of {start + len(squared):,} of {count:,} images")
    return Neighbours(indices=indices, distances=distances)


def faithfulness(original: np.ndarray, plane: np.ndarray, k: int = 10, *, seed: int = 0) -> ProjectionQuality | None:
    """Whether neighbourhoods survive on the plane; None where there are too few images for the measures (k < n / 2).

    Of more than `LIMIT` images a random sample is measured, neighbourhoods within the sample. The first measure equals
    `sklearn.manifold.trustworthiness`, which needs the memory of three whole matrices of distances.

    Args:
        original: (images, dim), as `directions` gives it.
        plane: (images, 2 or 3).

    Raises:
        ShapeError: the two have different numbers of images.
    """
    if len(original) != len(plane):
        raise ShapeError(f"{len(original)} feature vectors and {len(plane)} points on the plane.", "Use one for each.")
    require_finite("The features", original)
    require_finite("The plane", plane)
    of = len(original)
    if of > LIMIT:
        rows = np.sort(stream("trustworthiness sample", seed).permutation(of)[:LIMIT])
        original, plane = original[rows], plane[rows]
    count = len(original)
    k = min(k, (count - 1) // 2)
    if k < 1:
        return None
    there, here = nearest(original, k).indices, nearest(plane, k).indices
    intruders, lost = _excess(original, here, k), _excess(plane, there, k)
    scale = 2 / (count * k * (2 * count - 3 * k - 1))
    return ProjectionQuality(
        trustworthiness=1 - scale * intruders,
        continuity=1 - scale * lost,
        kept=float(shared(there, here).mean()) / k,
        k=k,
        count=count,
        of=of,
    )


def neighbours_right(neighbours: Neighbours, labels: np.ndarray, k: int = 10) -> np.ndarray:
    """(images,) bool: whether the `k` nearest others vote for the image's own class; the nearer side wins a tie."""
    votes = labels[neighbours.indices[:, :k]]
    if not votes.shape[1]:
        return np.zeros(len(labels), bool)
    # A vote counts 1, and the nearer ones a little more, but all of that together less than a vote.
    weights = 1 + np.arange(votes.shape[1], 0, -1) / (votes.shape[1] + 1) ** 2
    classes, codes = np.unique(labels, return_inverse=True)
    counted = np.zeros((len(labels), len(classes)))
    np.add.at(
        counted,
        (np.arange(len(labels))[:, None], np.searchsorted(classes, votes)),
        np.broadcast_to(weights, votes.shape),
    )
    return counted.argmax(axis=1) == codes


def agreement(neighbours: Neighbours, labels: np.ndarray, k: int = 10) -> np.ndarray:
    """(images,) share in [0, 1] of the `k` nearest others that have the image's own label."""
    same = labels[neighbours.indices[:, :k]] == labels[:, None]
    return same.mean(axis=1).astype(np.float32) if same.shape[1] else np.zeros(len(labels), np.float32)


def overlap(first: Neighbours, second: Neighbours, k: int = 10) -> np.ndarray:
    """(images,) Jaccard index in [0, 1] of each image's `k` nearest others in two spaces: |A ∩ B| / |A ∪ B|."""
    k = min(k, first.count, second.count)
    if not k:
        return np.zeros(len(first.indices), np.float32)
    both = shared(first.indices[:, :k], second.indices[:, :k])
    return (both / (2 * k - both)).astype(np.float32)


def overlap_by_chance(count: int, k: int = 10) -> float:
    """The expected `overlap` of two spaces that have nothing to do with each other (to first order in k / count)."""
    share = k / max(1, count - 1)
    return share / (2 - share)


def shared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(images,) how many of the indices (images, k) of one row are in the same row of the other."""
    return (first[:, :, None] == second[:, None, :]).any(axis=2).sum(axis=1)


def debiased_cka(first: np.ndarray, second: np.ndarray) -> float:
    """Linear CKA of two sets of features (images, dim) of the same images, unbiased: near 0 for unrelated ones.

    1 for features that differ by a rotation and a scale. The plain estimate of unrelated features tends to 1 when
    there are more dimensions than images; this one does not, and may therefore fall a little below 0.

    Raises:
        ShapeError: different numbers of images, or fewer than 4.
    """
    if len(first) != len(second) or len(first) < 4:
        raise ShapeError(
            f"CKA of {len(first)} and {len(second)} vectors.", "Use the same images for both, at least 4 of them."
        )
    require_finite("The first features", first)
    require_finite("The second features", second)
    grams = [_gram(features) for features in (first, second)]
    cross, one, two = (_unbiased_hsic(a, b) for a, b in ((grams[0], grams[1]), (grams[0],) * 2, (grams[1],) * 2))
    scale = np.sqrt(max(one, 0) * max(two, 0))
    return float(cross / scale) if scale > 0 else 0.0


def _gram(features: np.ndarray) -> np.ndarray:
    """(images, images) inner products, with zeros on the diagonal."""
    centred = np.asarray(features, np.float64) - np.mean(features, axis=0, dtype=np.float64)
    gram = centred @ centred.T
    np.fill_diagonal(gram, 0)
    return gram


def _unbiased_hsic(first: np.ndarray, second: np.ndarray) -> float:
    """Song et al. 2012, equation 5, of two Gram matrices without their diagonals."""
    n = len(first)
    sums = first.sum(axis=0), second.sum(axis=0)
    trace = float((first * second).sum())
    middle = float(sums[0].sum() * sums[1].sum()) / ((n - 1) * (n - 2))
    last = 2 * float(sums[0] @ sums[1]) / (n - 2)
    return (trace + middle - last) / (n * (n - 3))


def _excess(points: np.ndarray, candidates: np.ndarray, k: int) -> float:
    """Σ max(0, rank - k) over `candidates` (images, k), ranked by distance among all other images of `points`."""
    total = 0
    for start, squared in _squared_distances(points):
        chosen = np.take_along_axis(squared, candidates[start : start + len(squared)], axis=1)
        for column in range(chosen.shape[1]):
            rank = 1 + (squared < chosen[:, column, None]).sum(axis=1)
            total += int(np.maximum(0, rank - k).sum())
    return float(total)


def _squared_distances(points: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Squared Euclidean distances among (images, dim), a chunk of rows at a time: (first row, (rows, images))."""
    points = np.asarray(points, np.float32)
    norms = (points**2).sum(axis=1)
    for start in range(0, len(points), _CHUNK):
        chunk = points[start : start + _CHUNK]
        if points.shape[1] <= 3:  # exactly: on a plane the nearest are very near, and few axes cost little
            squared = sum((chunk[:, axis, None] - points[None, :, axis]) ** 2 for axis in range(points.shape[1]))
            squared = np.asarray(squared, np.float32)
        else:
            squared = norms[start : start + len(chunk), None] + norms[None] - 2 * (chunk @ points.T)
            np.maximum(squared, 0, out=squared)
        rows = np.arange(len(chunk))
        squared[rows, start + rows] = np.inf  # nobody is a neighbour of himself
        yield start, squared
