"""Where each token looks: attention maps per layer and head, and what can be read off them.

Source: Dosovitskiy et al. 2021, arXiv:2010.11929, appendix D.7 (attention distance); Caron et al. 2021,
arXiv:2104.14294, and its `visualize_attention.py` (attention mass).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from core.device import as_input_of, inference
from core.errors import ShapeError
from core.finite import require_finite
from core.models.trace import Mixture, Reading, reading_of, readout
from core.notebook import Drawn

if TYPE_CHECKING:
    from torch import Tensor, nn

Fusion = Literal["mean", "max", "min"]
Direction = Literal["to", "from"]


@dataclass(frozen=True, kw_only=True)
class AttentionMaps(Drawn):
    """Every attention map of one image.

    Attributes:
        weights: (layers, heads, tokens, tokens), row = query; rows sum to 1, or to 1 - λ where `signed`.
        grid: rows and columns of patches.
        prefix_tokens: tokens before the patches; the first is the class token.
        pooling: what the head reads: the class token, the mean of the patches, or a mixture of tokens, with weights
            (tokens,).
        signed: the maps come from differential attention.
        logits: (classes,), or None for a backbone without a head.
    """

    weights: np.ndarray
    grid: tuple[int, int]
    prefix_tokens: int
    pooling: Reading
    signed: bool
    logits: np.ndarray | None

    def __post_init__(self) -> None:
        # Once, where maps are made: they are read many times, and a large model has 60 MB of them.
        require_finite("The attention", self.weights)

    @property
    def layers(self) -> int:
        return self.weights.shape[0]

    @property
    def heads(self) -> int:
        return self.weights.shape[1]

    @property
    def patches(self) -> int:
        return self.grid[0] * self.grid[1]


@inference
def attention_maps(module: nn.Module, image: Tensor) -> AttentionMaps:
    """Run one image, (1, channels, height, width), and keep the attention of every layer."""
    import torch

    if len(image) != 1:
        raise ShapeError(f"Expected one image, got a batch of {len(image)}.")
    trace = module.trace(as_input_of(module, image))  # type: ignore[operator]
    weights = torch.stack([layer[0].float() for layer in trace.attention]).cpu().numpy()
    logits = None if trace.logits is None else trace.logits[0].float().cpu().numpy()
    return AttentionMaps(
        weights=weights,
        grid=trace.grid,
        prefix_tokens=trace.prefix_tokens,
        pooling=_in_numpy(reading_of(trace.pooling, 0)),
        signed=trace.signed,
        logits=logits,
    )


def _in_numpy(reading: Reading) -> Reading:
    if not isinstance(reading, Mixture) or isinstance(reading.weights, np.ndarray):
        return reading
    weights = reading.weights.detach().float().cpu().numpy()
    return Mixture(weights=weights, name=reading.name, fixed=reading.fixed)


def fuse_heads(weights: np.ndarray, fusion: Fusion) -> np.ndarray:
    """(..., heads, tokens, tokens) → (..., tokens, tokens). Only the mean keeps row sums."""
    require_finite("The attention", weights)
    if fusion == "mean":
        return weights.mean(axis=-3)
    return weights.max(axis=-3) if fusion == "max" else weights.min(axis=-3)


def readout_maps(maps: AttentionMaps) -> np.ndarray:
    """What the head's input attends to: (layers, heads, rows, columns), prefix tokens left out.

    The class token's row, the mean over the patches for models that pool by mean, or the weighted rows of a mixture.
    """
    row = readout(maps.weights, maps.pooling, maps.prefix_tokens)
    return row[..., maps.prefix_tokens :].reshape(maps.layers, maps.heads, *maps.grid)


def shown_map(
    maps: AttentionMaps, layer: int, head: str = "mean", patch: int = -1, direction: Direction = "to"
) -> np.ndarray:
    """One map (rows, columns) of `layer`, counted from 0: what a patch attends to, or which patches attend to it.

    Args:
        head: "mean", "max" or "min" of all heads, or one of them, counted from 1: "3".
        patch: in raster order; -1 for what the head of the model reads, which attends and is not attended to.
        direction: "to" what `patch` attends to, "from" those that attend to it.
    """
    weights, prefix = maps.weights[layer], maps.prefix_tokens
    fused = fuse_heads(weights, head) if head in get_args(Fusion) else weights[int(head) - 1]  # type: ignore[arg-type]
    if patch < 0:
        row = readout(fused, maps.pooling, prefix)[prefix:]
    else:
        row = fused[prefix:, prefix + patch] if direction == "from" else fused[prefix + patch, prefix:]
    return row.reshape(maps.grid)


def query_maps(maps: AttentionMaps, query: int) -> np.ndarray:
    """What token `query` attends to among the patches: (layers, heads, rows, columns)."""
    return maps.weights[:, :, query, maps.prefix_tokens :].reshape(maps.layers, maps.heads, *maps.grid)


def key_maps(maps: AttentionMaps, key: int) -> np.ndarray:
    """Which patches attend to token `key`: (layers, heads, rows, columns)."""
    return maps.weights[:, :, maps.prefix_tokens :, key].reshape(maps.layers, maps.heads, *maps.grid)


def attention_mass(row: np.ndarray, mass: float) -> np.ndarray:
    """The fewest patches that together hold a share `mass` of the attention: a boolean mask like `row`.

    `row`: any shape, not negative; it is renormalised over the patches, as DINO's script does. Ties are broken by
    position, so the answer does not depend on rounding. A row of zeros gives an empty mask.
    """
    require_finite("The attention", row)
    flat = np.clip(row.ravel().astype(np.float64), 0, None)
    total = flat.sum()
    if total == 0:
        return np.zeros(row.shape, dtype=bool)
    order = np.argsort(-flat, kind="stable")
    held = np.cumsum(flat[order]) / total
    # The tolerance keeps a set that reaches `mass` exactly from growing by one patch through rounding.
    needed = int(np.searchsorted(held, mass - 1e-9)) + 1 if mass > 0 else 0
    mask = np.zeros(flat.size, dtype=bool)
    mask[order[:needed]] = True
    return mask.reshape(row.shape)


def masses(maps: np.ndarray, mass: float) -> np.ndarray:
    """`attention_mass` of each of (..., rows, columns) maps by their magnitude: bool, like `maps`."""
    flat = np.abs(maps).reshape(-1, *maps.shape[-2:])
    return np.stack([attention_mass(each, mass) for each in flat]).reshape(maps.shape)


def attention_distance(maps: AttentionMaps, patch_pixels: float) -> np.ndarray:
    """How far each head looks, in pixels of the model's input: (layers, heads).

    The mean over patch queries of Σ_j A_ij · distance(i, j), prefix tokens dropped and rows renormalised. Signed maps
    are weighted by their magnitude.
    """
    patches = np.abs(maps.weights[:, :, maps.prefix_tokens :, maps.prefix_tokens :])
    share = patches / np.maximum(patches.sum(axis=-1, keepdims=True), 1e-12)
    rows, columns = np.divmod(np.arange(maps.patches), maps.grid[1])
    distance = np.hypot(rows[:, None] - rows, columns[:, None] - columns) * patch_pixels
    return np.einsum("lhij,ij->lh", share, distance) / maps.patches


def attention_entropy(maps: AttentionMaps) -> np.ndarray:
    """How spread the readout's attention is over the patches, in bits: (layers, heads)."""
    row = np.abs(readout_maps(maps)).reshape(maps.layers, maps.heads, -1)
    share = row / np.maximum(row.sum(axis=-1, keepdims=True), 1e-12)
    return -(share * np.log2(np.maximum(share, 1e-12))).sum(axis=-1)
