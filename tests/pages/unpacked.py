"""The files of the Attention component, read as its script reads them."""

from __future__ import annotations

import numpy as np

from core.methods.attention.attention import AttentionMaps
from pages.components.attention.packing import PackedMaps


def reader_rows(packed: PackedMaps, maps: AttentionMaps) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the tokens (tokens,), and rows (layers, mean max min and heads, patches)."""
    numbers, tokens = np.frombuffer(packed.reader, "<f4"), maps.weights.shape[-1]
    return numbers[:tokens], numbers[tokens:].reshape(maps.layers, 3 + maps.heads, maps.patches)


def weights(packed: PackedMaps, maps: AttentionMaps) -> np.ndarray:
    """(layers, heads, tokens, tokens), as well as a byte can say it."""
    tokens = maps.weights.shape[-1]
    rows = maps.heads * tokens
    found = []
    for layer in np.split(np.frombuffer(b"".join(packed.layers), np.uint8), maps.layers):
        low, step = layer[: 8 * rows].view("<f4").reshape(2, maps.heads, tokens, 1)
        found.append(low + step * layer[8 * rows :].reshape(maps.heads, tokens, tokens))
    return np.stack(found)
