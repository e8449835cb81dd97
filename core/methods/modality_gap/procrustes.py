"""Orthogonal Procrustes: the rotation that lays one set of vectors onto another, and doing it in part.

Source: Schönemann 1966, Psychometrika 31:1. As scipy.linalg.orthogonal_procrustes; the rank is read from the same
decomposition.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.linalg import schur

from core.finite import require_finite

# What a rotation does to the directions that the pairs say nothing about: whatever the SVD returns, or as little as
# an orthogonal matrix can.
Free = Literal["arbitrary", "least_motion"]


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """`vectors` (..., dim) in float64, divided by their lengths; a vector of zeros stays one."""
    require_finite("The vectors", vectors)
    vectors = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths))


def best_rotation(images: np.ndarray, texts: np.ndarray, free: Free = "arbitrary") -> tuple[np.ndarray, float, int]:
    """The orthogonal R that minimises ‖images · R − texts‖, reflections allowed.

    Returns:
        R (dim, dim), the sum of the singular values of imagesᵀ·texts, and how many of them are not zero: the pairs
        leave the other directions free. With few different captions most are, however many images there are.
    """
    require_finite("The image embeddings", images)
    require_finite("The text embeddings", texts)
    left, values, right = np.linalg.svd(images.T @ texts)
    rotation = left @ right
    rank = int((values > values[0] * len(values) * np.finfo(np.float64).eps * 8).sum()) if values[0] > 0 else 0
    if free == "least_motion" and rank < len(values):
        # Of all R that fit equally well, the one nearest to the identity: Procrustes again, within the free subspaces.
        source, goal = left[:, rank:], right[rank:].T
        inner, _, outer = np.linalg.svd(source.T @ goal)
        rotation = left[:, :rank] @ right[:rank] + source @ (inner @ outer) @ goal.T
    return rotation, float(values.sum()), rank


class PartialRotation:
    """An orthogonal matrix as planes that are turned and directions that are mirrored, so that it can be done in part.

    `part(t)` is the geodesic from the identity to a rotation: every plane turned by t times its angle. A matrix of
    determinant −1 has no such way: one direction is mirrored, and is scaled from 1 over 0 to −1 instead.
    """

    def __init__(self, rotation: np.ndarray) -> None:
        blocks, self._basis = schur(rotation, output="real")
        size = len(blocks)
        planes, mirrored, row = [], [], 0
        while row < size:
            if row + 1 < size and abs(blocks[row + 1, row]) > 1e-9:
                planes.append((row, row + 1, float(np.arctan2(blocks[row, row + 1], blocks[row, row]))))
                row += 2
            else:
                if blocks[row, row] < 0:
                    mirrored.append(row)
                row += 1
        # Two mirrored directions are one plane turned by half a circle.
        planes += [(*mirrored[start : start + 2], np.pi) for start in range(0, len(mirrored) - 1, 2)]  # type: ignore[misc]
        self.planes = len(planes)
        self.mirrored = len(mirrored) % 2
        self._first = np.array([plane[0] for plane in planes], dtype=np.int64)
        self._second = np.array([plane[1] for plane in planes], dtype=np.int64)
        self._angles = np.array([plane[2] for plane in planes])
        self._mirror = mirrored[-1] if self.mirrored else None

    def part(self, share: float) -> np.ndarray:
        """(dim, dim): the identity at 0, the whole matrix at 1."""
        return self.apply(np.eye(len(self._basis)), share)

    def apply(self, vectors: np.ndarray, share: float) -> np.ndarray:
        """`vectors` (n, dim) times `part(share)`, without making that matrix."""
        given = vectors @ self._basis
        turned = given.copy()
        cosines, sines = np.cos(share * self._angles), np.sin(share * self._angles)
        first, second = given[:, self._first], given[:, self._second]
        turned[:, self._first] = cosines * first - sines * second
        turned[:, self._second] = sines * first + cosines * second
        if self._mirror is not None:
            turned[:, self._mirror] *= 1 - 2 * share
        return np.asarray(turned @ self._basis.T)
