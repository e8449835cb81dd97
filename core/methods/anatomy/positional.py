"""What a model's positional embeddings know about the layout of the image.

Source: Dosovitskiy et al. 2021, arXiv:2010.11929, figure 7 (cosine similarity, one tile a patch).
Differs from the paper: the dot product is offered too. It mixes direction with length; for sinusoids, which all have
one length, it is the cosine times embed_dim / 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.errors import IncompatibleError, ShapeError
from core.finite import require_finite
from core.notebook import Drawn

Measure = Literal["cosine", "dot"]


@dataclass(frozen=True, kw_only=True)
class PositionalSimilarity(Drawn):
    """How alike the embeddings of any two patches are.

    Attributes:
        matrix: (patches, patches), raster order; cosine in [-1, 1], dot product unbounded.
        tiles: (rows, columns, rows, columns), the same numbers: `tiles[r, c]` is patch (r, c) against all others.
        grid: rows and columns of patches.
        measure: cosine or dot product.
    """

    matrix: np.ndarray
    tiles: np.ndarray
    grid: tuple[int, int]
    measure: Measure


@dataclass(frozen=True, kw_only=True)
class DistanceProfile(Drawn):
    """How similarity fades with distance: a model that knows rows and columns shows two slow curves, not one.

    Attributes:
        distances: (n,) all Euclidean distances between patches, in patches, ascending from 0.
        similarity: (n,) mean over the pairs at that distance.
        pairs: (n,) how many ordered pairs the mean is over.
        along_row: (columns,) mean similarity of patches in one row, by how many columns apart they are.
        along_column: (rows,) mean similarity of patches in one column, by how many rows apart they are.
    """

    distances: np.ndarray
    similarity: np.ndarray
    pairs: np.ndarray
    along_row: np.ndarray
    along_column: np.ndarray


def positional_similarity(
    table: np.ndarray | None, grid: tuple[int, int], prefix_tokens: int, measure: Measure = "cosine"
) -> PositionalSimilarity:
    """Similarity of the embeddings with themselves; `table` (tokens, dim) loses its first `prefix_tokens` rows.

    An embedding of length 0 has cosine 0 with everything.

    Raises:
        IncompatibleError: there is no table.
        ShapeError: its rows are not the prefix and one per patch.
    """
    if table is None:
        raise IncompatibleError(
            "This model has no positional embeddings: it sees a bag of patches.", "Choose another model."
        )
    patches = grid[0] * grid[1]
    if table.ndim != 2 or len(table) != prefix_tokens + patches:
        raise ShapeError(
            f"The table has shape {table.shape}; expected {prefix_tokens} + {patches} rows "
            f"for a grid of {grid[0]}×{grid[1]}."
        )
    require_finite("The positional embeddings", table)
    vectors = np.asarray(table[prefix_tokens:], dtype=np.float64)
    if measure == "cosine":
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    matrix = (vectors @ vectors.T).astype(np.float32)
    return PositionalSimilarity(matrix=matrix, tiles=matrix.reshape(*grid, *grid), grid=grid, measure=measure)


def distance_profile(similarity: PositionalSimilarity) -> DistanceProfile:
    """Mean similarity by distance on the grid, over all directions and along rows and columns alone."""
    require_finite("The similarities", similarity.matrix)
    rows, columns = similarity.grid
    row, column = np.divmod(np.arange(rows * columns), columns)
    down, across = np.abs(row[:, None] - row), np.abs(column[:, None] - column)
    # Squared distances are whole numbers, so equal distances are exactly equal.
    squared, group = np.unique(down**2 + across**2, return_inverse=True)
    similarities, pairs = _means(group.ravel(), similarity.matrix.ravel(), len(squared))
    same_row, same_column = down == 0, across == 0
    return DistanceProfile(
        distances=np.sqrt(squared).astype(np.float32),
        similarity=similarities,
        pairs=pairs,
        along_row=_means(across[same_row], similarity.matrix[same_row], columns)[0],
        along_column=_means(down[same_column], similarity.matrix[same_column], rows)[0],
    )


def _means(group: np.ndarray, values: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of `values` and their number in each group."""
    count = np.bincount(group, minlength=groups)
    total = np.bincount(group, weights=values.astype(np.float64), minlength=groups)
    return (total / count).astype(np.float32), count
