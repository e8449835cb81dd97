"""Attention as bytes for the browser: a byte a weight, with the range of each row beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np

from core.methods.attention.attention import AttentionMaps, Fusion, fuse_heads
from core.models.trace import readout

# Up to here all layers are one file; of larger models each layer is fetched when it is looked at.
WHOLE = 16 * 2**20


@dataclass(frozen=True, kw_only=True)
class PackedMaps:
    """What the browser draws from.

    Attributes:
        reader: float32: each token's share in what the head reads (tokens,), then what that attends to among the
            patches, exactly: (layers, mean, max and min of the heads and each head, patches).
        layers: the files of the weights, all layers in one or one each. A layer is, one after another, the lowest
            value of each row and the step from byte to byte, (heads, tokens) float32 both, and the bytes
            (heads, tokens, tokens).
    """

    reader: bytes
    layers: tuple[bytes, ...]


def pack(maps: AttentionMaps) -> PackedMaps:
    """The maps for the browser; no weight is off by more than 1/255 of the largest of its row."""
    tokens = maps.weights.shape[-1]
    share = readout(np.eye(tokens, dtype=np.float32), maps.pooling, maps.prefix_tokens)
    rows = np.stack([_reader_rows(layer, maps) for layer in maps.weights])
    layers = [_pack_layer(layer) for layer in maps.weights]
    whole = sum(map(len, layers)) <= WHOLE
    return PackedMaps(
        reader=np.concatenate([share.ravel(), rows.ravel()]).astype("<f4").tobytes(),
        layers=(b"".join(layers),) if whole else tuple(layers),
    )


def _reader_rows(layer: np.ndarray, maps: AttentionMaps) -> np.ndarray:
    """(heads, tokens, tokens) → (fusions and heads, patches)."""
    fused = [fuse_heads(layer, fusion) for fusion in get_args(Fusion)]
    rows = [readout(each, maps.pooling, maps.prefix_tokens) for each in (*fused, *layer)]
    return np.stack(rows)[:, maps.prefix_tokens :]


def _pack_layer(layer: np.ndarray) -> bytes:
    """(heads, tokens, tokens), signed or not: the range of a row is cut into 255 steps, so that half of one is lost."""
    low, high = layer.min(axis=-1), layer.max(axis=-1)
    step = np.maximum((high - low) / 255, np.finfo(np.float32).tiny)
    stored = np.clip(np.round((layer - low[..., None]) / step[..., None]), 0, 255).astype(np.uint8)
    return low.astype("<f4").tobytes() + step.astype("<f4").tobytes() + stored.tobytes()
