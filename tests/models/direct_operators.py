"""The six operators by their definitions: sums over positions, one after the other, in double precision."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Place = tuple[int, int]


def places(grid: Place) -> list[Place]:
    """All positions in raster order."""
    return [(row, column) for row in range(grid[0]) for column in range(grid[1])]


def offset(i: Place, j: Place, grid: Place, size: Place, padding: str) -> Place | None:
    """Where w_{i-j} lies in a kernel indexed from -r to r; None if j is outside of the window of i."""
    found = []
    for here, there, length, side in zip(i, j, grid, size, strict=True):
        steps = [here - there + turn * length for turn in ((-1, 0, 1) if padding == "circular" else (0,))]
        inside = [step + side // 2 for step in steps if abs(step) <= side // 2]
        if not inside:
            return None
        found.append(inside[0])
    return found[0], found[1]


def windows(grid: Place, size: Place, padding: str) -> Iterator[tuple[int, int, Place]]:
    """Every pair (i, j) with j in L(i), and where its weight lies."""
    for number, i in enumerate(places(grid)):
        for other, j in enumerate(places(grid)):
            place = offset(i, j, grid, size, padding)
            if place is not None:
                yield number, other, place


def depthwise_convolution(x: Array, w: Array, *, padding: str) -> Array:
    """y_i = Σ_{j∈L(i)} w_{i-j} ⊙ x_j; x: (channels, height, width), w: (channels, rows, columns)."""
    flat, y = x.reshape(len(x), -1), np.zeros((len(x), x[0].size))
    for i, j, place in windows(x.shape[1:], w.shape[1:], padding):
        for channel in range(len(x)):
            y[channel, i] += w[channel][place] * flat[channel, j]
    return y.reshape(x.shape)


def softmax_rows(logits: Array) -> Array:
    """Row by row; -∞ is allowed."""
    rows = []
    for row in logits:
        powers = [math.exp(value - max(row)) for value in row]
        rows.append([power / sum(powers) for power in powers])
    return np.array(rows)


def similarities(x: Array, temperature: float) -> Array:
    """x_i·x_j / T."""
    flat = x.reshape(len(x), -1)
    return np.array([[flat[:, i] @ flat[:, j] / temperature for j in range(x[0].size)] for i in range(x[0].size)])


def mix(weights: Array, x: Array) -> Array:
    """y_i = Σ_j weights_ij x_j."""
    flat, y = x.reshape(len(x), -1), np.zeros((len(x), x[0].size))
    for i, row in enumerate(weights):
        for j, weight in enumerate(row):
            y[:, i] += weight * flat[:, j]
    return y.reshape(x.shape)


def self_attention(x: Array, *, temperature: float) -> tuple[Array, Array]:
    """A_ij = softmax_j(x_i·x_j / T), y = Ax; output and A."""
    weights = softmax_rows(similarities(x, temperature))
    return mix(weights, x), weights


def post_normalisation(x: Array, w: Array, *, temperature: float, padding: str) -> tuple[Array, Array]:
    """y_i = Σ_j (A_ij + w_{i-j}) x_j, w: (rows, columns); output and A + w."""
    weights = softmax_rows(similarities(x, temperature))
    for i, j, place in windows(x.shape[1:], w.shape, padding):
        weights[i, j] += w[place]
    return mix(weights, x), weights


def pre_normalisation(x: Array, w: Array, *, temperature: float, padding: str, outside: str) -> tuple[Array, Array]:
    """A_ij = softmax_j(x_i·x_j / T + w_{i-j}), y = Ax; output and A."""
    logits = similarities(x, temperature)
    bias = np.full(logits.shape, 0.0 if outside == "zero" else -np.inf)
    for i, j, place in windows(x.shape[1:], w.shape, padding):
        bias[i, j] = w[place]
    weights = softmax_rows(logits + bias)
    return mix(weights, x), weights


def attention_modulated_convolution(
    x: Array, w: Array, *, temperature: float, padding: str, window: str
) -> tuple[Array, Array]:
    """y_i = Σ_{j∈L(i)} w_{i-j} ⊙ A_ij x_j, w: (channels, rows, columns); output and A within the windows."""
    pairs = list(windows(x.shape[1:], w.shape[1:], padding))
    whole = softmax_rows(similarities(x, temperature))
    weights = np.zeros(whole.shape)
    for i, j, _ in pairs:
        weights[i, j] = whole[i, j]
    if window == "renormalised":
        weights = weights / weights.sum(axis=1, keepdims=True)
    flat, y = x.reshape(len(x), -1), np.zeros((len(x), x[0].size))
    for i, j, place in pairs:
        for channel in range(len(x)):
            y[channel, i] += w[channel][place] * weights[i, j] * flat[channel, j]
    return y.reshape(x.shape), weights


def convolution_modulated_attention(
    x: Array, w: Array, value: Array, *, padding: str, normalisation: str, axis: str
) -> Array:
    """y = f(w ∗ x) ⊙ v."""
    modulation = depthwise_convolution(x, w, padding=padding).reshape(len(x), -1)
    if normalisation != "none":
        rows = modulation if axis == "space" else modulation.T
        scaled = softmax_rows(rows) * (rows.shape[1] if normalisation == "softmax_rescaled" else 1)
        modulation = scaled if axis == "space" else scaled.T
    return modulation.reshape(x.shape) * value
