"""Which patches go, and what is known when they have gone: orders, masks and curves, without a model.

Masks live on a grid of patches, whatever the network. `core.methods.masking.masking` puts them to a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.errors import ConfigError, ShapeError
from core.finite import require_finite
from core.notebook import Drawn
from core.seeding import stream

# What a hidden patch shows: the image's own mean colour; the image blurred with a deviation of a sixteenth of its
# longer side; black; or uniform noise.
Fill = Literal["mean", "blur", "black", "noise"]
Strategy = Literal["most_attended", "least_attended", "random", "centre"]


@dataclass(frozen=True, kw_only=True)
class MaskSetting:
    """A mask that can be named: which patches go first, and the share that goes."""

    name: str
    title: str
    strategy: Strategy
    share: float


# The settings of the comparison that this view repeats. It does not say how large its centre block was; a quarter of
# the patches (half of each side) is our choice.
PUBLISHED: dict[str, MaskSetting] = {
    setting.name: setting
    for setting in (
        MaskSetting(name="centre", title="Centre block", strategy="centre", share=0.25),
        MaskSetting(name="keep_70", title="Random, keep 70 %", strategy="random", share=0.3),
        MaskSetting(name="keep_40", title="Random, keep 40 %", strategy="random", share=0.6),
    )
}


@dataclass(frozen=True, kw_only=True)
class Responses:
    """What a model says about one image under many masks.

    Attributes:
        confidence: (masks,) the target's probability in [0, 1], or the cosine with the unmasked embedding.
        top_class: (masks,) index of the likeliest class; None when the target is no class.
        top_probability: (masks,) its probability; None when the target is no class.
    """

    confidence: np.ndarray
    top_class: np.ndarray | None
    top_probability: np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class MaskingCurve(Drawn):
    """How confidence falls while patches disappear.

    Attributes:
        shares: (steps + 1,) of the patches that are gone, 0 to 1.
        confidence: (steps + 1,) the target's probability in [0, 1], or the cosine with the unmasked embedding.
        top_class: (steps + 1,) index of the likeliest class; None when the target is no class.
        top_probability: (steps + 1,) its probability; None when the target is no class.
    """

    shares: np.ndarray
    confidence: np.ndarray
    top_class: np.ndarray | None
    top_probability: np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class RandomBand:
    """The same curve for patches removed in random order: what any heat map has to beat.

    Attributes:
        shares: (steps + 1,) of the patches that are gone.
        curves: (orders, steps + 1) confidence, one row an order.
        mean: (steps + 1,) over the orders.
        std: (steps + 1,) sample standard deviation over the orders; 0 for a single order.
        seeds: the seed of each order, for `masking_order`.
    """

    shares: np.ndarray
    curves: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    seeds: tuple[int, ...]


def masking_order(
    strategy: Strategy, grid: tuple[int, int], *, scores: np.ndarray | None = None, seed: int = 0
) -> np.ndarray:
    """Indices of all patches in raster order, the first to be removed first: (patches,) int64.

    `centre` grows a block from the middle of the grid; ties are broken by position everywhere.

    Args:
        scores: (rows, columns) or (patches,), what `most_attended` and `least_attended` sort by.
        seed: of the `random` order.

    Raises:
        ConfigError: an attended order without scores, or an unknown strategy.
        ShapeError: scores for another grid.
    """
    rows, columns = grid
    patches = rows * columns
    if strategy == "random":
        return stream("order of patches", seed).permutation(patches)
    if strategy == "centre":
        row, column = np.divmod(np.arange(patches), columns)
        down, across = np.abs(row - (rows - 1) / 2), np.abs(column - (columns - 1) / 2)
        return np.lexsort((np.hypot(down, across), np.maximum(down, across)))
    if strategy not in ("most_attended", "least_attended"):
        raise ConfigError(f"There is no masking strategy {strategy!r}.")
    if scores is None:
        raise ConfigError(f"The order {strategy!r} needs a score for every patch.", "Give an attention map.")
    if scores.size != patches:
        raise ShapeError(
            f"Got scores of shape {scores.shape} for a grid of {rows}×{columns}.", "Use scores_on_grid first."
        )
    require_finite("The scores", scores)
    flat = np.asarray(scores, dtype=np.float64).ravel()
    return np.argsort(-flat if strategy == "most_attended" else flat, kind="stable")


def keep_from_order(order: np.ndarray, share: float, grid: tuple[int, int]) -> np.ndarray:
    """Bool (rows, columns): what is left when the first `share` of `order` is gone, rounded to whole patches.

    Raises:
        ConfigError: `share` is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"The share removed is {share}; expected a value between 0 and 1.")
    return keep_from_patches(order[: round(share * len(order))], grid)


def keep_from_patches(removed: Sequence[int] | np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Bool (rows, columns): everything but the patches `removed`, given by raster index.

    Raises:
        ConfigError: an index outside the grid.
    """
    patches = grid[0] * grid[1]
    chosen = np.asarray(removed, dtype=np.int64)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= patches):
        raise ConfigError(
            f"A {grid[0]}×{grid[1]} grid has patches 0 to {patches - 1}; got {chosen.min()} to {chosen.max()}."
        )
    keep = np.ones(patches, dtype=bool)
    keep[chosen] = False
    return keep.reshape(grid)


def keep_for_setting(setting: MaskSetting, grid: tuple[int, int], *, seed: int = 0) -> np.ndarray:
    """Bool (rows, columns): a published setting on any grid."""
    return keep_from_order(masking_order(setting.strategy, grid, seed=seed), setting.share, grid)


def scores_on_grid(scores: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """(rows, columns) of any resolution → `grid`: averaged where patches merge, bilinear where they split."""
    require_finite("The scores", scores)
    if scores.shape == tuple(grid):
        return scores
    import torch
    import torch.nn.functional as F

    source = torch.from_numpy(np.ascontiguousarray(scores, dtype=np.float32))[None, None]
    resampled = F.interpolate(source, size=tuple(grid), mode="bilinear", align_corners=False, antialias=True)
    return resampled[0, 0].numpy()


def even_grid(side: int) -> tuple[int, int]:
    """Rows and columns for a network that has no patches of its own, by the `side` of its input in pixels."""
    return (14, 14) if side >= 112 else (8, 8)


def removal_shares(patches: int, steps: int) -> np.ndarray:
    """(steps + 1,) shares from 0 to 1 that are whole numbers of patches, as even as those allow."""
    if steps < 1:
        raise ConfigError(f"A curve needs at least 1 step, got {steps}.")
    return np.round(np.linspace(0, patches, steps + 1)) / patches


def removal_keeps(order: np.ndarray, shares: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Bool (shares, rows, columns): one mask for every share of `order` removed."""
    return np.stack([keep_from_order(order, float(share), grid) for share in shares])
