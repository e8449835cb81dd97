"""Attention rollout: follow attention through all layers, skip connections included, back to the patches.

Source: Abnar & Zuidema 2020, arXiv:2005.00928: each layer is rownorm(A + I), with A the heads fused; Dosovitskiy et
al. 2021, arXiv:2010.11929, appendix D.8 (head mean).
With the mean of softmax heads the rows of A sum to 1, and rownorm(A + I) is 0.5·A + 0.5·I. After max or min fusion, or
with entries discarded, they do not: the skip connection then weighs as much beside them as 1 beside what is left.
Differs from the reference jacobgil/vit-explain: rows, not columns, are normalised; discarding counts per image, not
over the first of the batch; attention to prefix tokens is never discarded.
Signed (differential) maps have rows that sum to 1 - λ and may be negative. They pass through relu, their rows are
normalised, and half of the identity is added to half of the result: there, A and I always weigh the same. Dividing by
1 - λ instead would restore row sums of 1 but explodes as λ nears 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np

from core.device import Precision, as_input_of, autocast
from core.errors import ConfigError
from core.finite import require_finite
from core.methods.attention.attention import AttentionMaps, Fusion, fuse_heads
from core.models.trace import readout

if TYPE_CHECKING:
    from torch import Tensor, nn


def attention_rollout(
    weights: np.ndarray,
    *,
    fusion: Fusion = "mean",
    discard_ratio: float = 0.0,
    residual: bool = True,
    prefix_tokens: int = 1,
    signed: bool | None = None,
) -> np.ndarray:
    """How much of each input token has reached each token after every layer.

    `weights`: (..., layers, heads, tokens, tokens). Returns (..., layers, tokens, tokens), row-stochastic;
    `[..., -1, 0, prefix_tokens:]` is the usual map of a model that reads its class token.

    Args:
        discard_ratio: share of the smallest entries of each fused map that is set to 0, in [0, 1).
        residual: add the skip connection, the identity, before the rows are normalised.
        signed: the maps come from differential attention; by default, whether any entry is negative.

    Raises:
        ConfigError: a ratio out of range, or negative entries in maps that are said to be unsigned.
    """
    steps = mixing_matrices(
        weights,
        fusion=fusion,
        discard_ratio=discard_ratio,
        residual=residual,
        prefix_tokens=prefix_tokens,
        signed=signed,
    )
    reached = np.empty_like(steps)
    reached[..., 0, :, :] = steps[..., 0, :, :]
    for layer in range(1, steps.shape[-3]):
        reached[..., layer, :, :] = steps[..., layer, :, :] @ reached[..., layer - 1, :, :]
    return reached


def mixing_matrices(
    weights: np.ndarray,
    *,
    fusion: Fusion,
    discard_ratio: float,
    residual: bool,
    prefix_tokens: int,
    signed: bool | None = None,
) -> np.ndarray:
    """What one layer does to the tokens, as row-stochastic matrices (..., layers, tokens, tokens)."""
    if not 0 <= discard_ratio < 1:
        raise ConfigError(f"discard_ratio is {discard_ratio}; expected a share from 0 to below 1.")
    # NaN is not above 0: such a row would pass for one whose attention was all discarded.
    require_finite("The attention", weights)
    weights = np.asarray(weights, dtype=np.float64)
    negative = bool((weights < 0).any())
    if signed is None:
        signed = negative
    elif negative and not signed:
        raise ConfigError(
            "Attention that is not signed has negative entries.", "Say signed=True for differential maps."
        )
    fused = np.clip(fuse_heads(weights, fusion), 0, None)
    if discard_ratio > 0:
        fused = _discard(fused, discard_ratio, prefix_tokens)
    if not residual:
        return _row_normalised(fused)
    identity = np.eye(fused.shape[-1])
    return 0.5 * _row_normalised(fused) + 0.5 * identity if signed else _row_normalised(fused + identity)


def rollout_maps(
    maps: AttentionMaps, *, fusion: Fusion = "mean", discard_ratio: float = 0.0, residual: bool = True
) -> np.ndarray:
    """Rollout of what the head reads, over the patches, after every layer: (layers, rows, columns) float32."""
    reached = attention_rollout(
        maps.weights,
        fusion=fusion,
        discard_ratio=discard_ratio,
        residual=residual,
        prefix_tokens=maps.prefix_tokens,
        signed=maps.signed,
    )
    rows = readout(reached, maps.pooling, maps.prefix_tokens)
    # A copy: a view would keep all the matrices alive.
    return rows[:, maps.prefix_tokens :].reshape(maps.layers, *maps.grid).astype(np.float32)


def rollout_to(maps: AttentionMaps, layer: int, head: str = "mean", patch: int = -1) -> np.ndarray:
    """Rollout from the first layer up to `layer`, counted from 0, with skip connections: (rows, columns) float32.

    Args:
        head: "mean", "max" or "min" of all, or one of them, counted from 1, followed through every layer.
        patch: whose, in raster order; -1 for what the head of the model reads.
    """
    one = head not in get_args(Fusion)
    weights = maps.weights[: layer + 1]
    steps = mixing_matrices(
        weights[:, [int(head) - 1]] if one else weights,
        fusion="mean" if one else head,  # type: ignore[arg-type]
        discard_ratio=0.0,
        residual=True,
        prefix_tokens=maps.prefix_tokens,
        signed=maps.signed,
    )
    identity = np.eye(steps.shape[-1])
    row = readout(identity, maps.pooling, maps.prefix_tokens) if patch < 0 else identity[maps.prefix_tokens + patch]
    for step in steps[::-1]:  # from above, so that a row of the product stays a row
        row = row @ step
    return row[maps.prefix_tokens :].reshape(maps.grid).astype(np.float32)


def rollout_batch(module: nn.Module, images: Tensor, *, precision: Precision = "fp32") -> np.ndarray:
    """Rollout of what the head reads, for a whole batch in one forward pass: (batch, rows, columns).

    Head mean, residual, nothing discarded. Equals `attention_rollout` image by image, but keeps one vector per image
    instead of a product of matrices: only one row of the product is ever needed, and multiplying from the last
    layer backwards, that row is a vector. `precision` is that of the network; the product is fp32.
    """
    import torch

    images = as_input_of(module, images)
    with torch.inference_mode(), autocast(images.device, precision):
        trace = getattr(module, "trace_mean", module.trace)(images)  # type: ignore[operator]
        identity = torch.eye(trace.attention[0].shape[-1], device=images.device)
        read = readout(identity, trace.pooling, trace.prefix_tokens)  # (tokens,), or a mixture's (batch or 1, tokens)
        reached = read.reshape(-1, 1, len(identity)).expand(len(images), 1, -1)
        for layer in reversed(trace.attention):
            mixed = layer.float().mean(dim=1)  # of all heads, or of the one that is their mean already
            if trace.signed:
                mixed = mixed.relu()
                total = mixed.sum(dim=-1, keepdim=True)
                # Asked so, a NaN stays one: it is looked for in the answer, once, where nobody waits for a GPU.
                normal = torch.where(total == 0, identity, mixed / total)
                reached = 0.5 * (reached @ normal).float() + 0.5 * reached
            else:
                # reached @ rownorm(A + I), the row sums of A + I divided out of the vector instead of the matrix
                scaled = reached / (mixed.sum(dim=-1) + 1)[:, None]
                reached = (scaled @ mixed).float() + scaled
        found = reached[:, 0, trace.prefix_tokens :].reshape(len(images), *trace.grid).cpu().numpy()
    require_finite("The rollout of the attention", found)
    return found


def _row_normalised(matrix: np.ndarray) -> np.ndarray:
    """Rows divided by their sums; a token whose whole attention was discarded (or negative) keeps what it has."""
    total = matrix.sum(axis=-1, keepdims=True)
    return np.where(total > 0, matrix / np.where(total > 0, total, 1), np.eye(matrix.shape[-1]))


def _discard(fused: np.ndarray, ratio: float, prefix_tokens: int) -> np.ndarray:
    """Zero the smallest `ratio` of each map's attention to patches."""
    kept = fused.copy()
    patches = kept[..., prefix_tokens:]
    flat = patches.reshape(*patches.shape[:-2], -1)
    drop = int(flat.shape[-1] * ratio)
    if drop:
        smallest = np.argpartition(flat, drop - 1, axis=-1)[..., :drop]
        np.put_along_axis(flat, smallest, 0.0, axis=-1)
        kept[..., prefix_tokens:] = flat.reshape(patches.shape)
    return kept
