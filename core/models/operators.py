"""Six ways to mix the positions of a feature map: convolution, attention, and four that are both.

Maps are (batch, channels, height, width), or (batch, heads, channels, height, width) where every head has its own
kernel; attention is (batch, [heads,] positions, positions) with positions in raster order, row i what position i reads.
Queries, keys and values are the map itself (free of parameters) unless projections of it are given.

Source: Dai et al. 2021, "CoAtNet", arXiv:2106.04803, equations 1 to 3 (convolution, attention, both combinations);
Hou et al. 2022, "Conv2Former", arXiv:2211.11943, equation 2 (convolution that modulates values). Attention that
modulates a convolution is this project's definition.
Differs from the papers: a temperature and projections are explicit, where CoAtNet leaves both out of its equations;
kernels may be smaller than the map, and what is outside of one is stated; Conv2Former's GELU, which its code has
and its equation has not, is a choice.

Kernels, their orders and borders: `core.models.kernels`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import ConfigError, ShapeError
from core.models.kernels import (
    KernelOrder,
    Padding,
    as_correlation,
    check_kernel_size,
    in_windows,
    offset_weights,
    pad_sides,
    radius_of,
    shifted,
    window_mask,
)

Outside = Literal["zero", "excluded"]
Window = Literal["whole", "renormalised"]
Modulation = Literal["none", "softmax", "softmax_rescaled"]
ModulationAxis = Literal["space", "channels"]
Activation = Literal["none", "gelu"]


class Mixed(NamedTuple):
    """What an operator makes of a map.

    Attributes:
        output: as the map that was given.
        weights: (batch, [heads,] positions, positions), by which positions were mixed; None where there is no softmax
            between positions. What rows sum to, each operator says.
        modulation: as the map, by which values were multiplied; None but for convolution-modulated attention.
    """

    output: Tensor
    weights: Tensor | None = None
    modulation: Tensor | None = None


def depthwise_convolution(
    x: Tensor, kernel: Tensor, *, padding: Padding = "zero", order: KernelOrder = "convolution"
) -> Mixed:
    """Every channel convolved with its own kernel: y_i = Σ_{j∈L(i)} w_{i-j} ⊙ x_j.

    `kernel`: (channels, rows, columns), or (heads, channels, rows, columns).

    Raises:
        ConfigError: a side of the kernel is even, or larger than a map that is continued on the other side.
        ShapeError: the axes do not belong together.
    """
    _check(x, kernel, padding, shared=False)
    filters = as_correlation(kernel, order).to(x.dtype).flatten(0, -3)[:, None]
    maps = x.flatten(1, -3)
    radius = radius_of(kernel)
    if padding == "circular":
        maps = F.pad(maps, pad_sides(radius), mode="circular")
        radius = (0, 0)
    return Mixed(F.conv2d(maps, filters, padding=radius, groups=len(filters)).reshape(x.shape))


def self_attention(
    x: Tensor, *, query: Tensor | None = None, key: Tensor | None = None, temperature: float = 1.0
) -> Mixed:
    """Every position reads all, by how similar they are: A_ij = softmax_j(q_i·k_j / T), y_i = Σ_j A_ij x_j.

    Rows of A sum to 1. Without projections q = k = x, and after a layer norm a position is most like itself: A is then
    nearly the identity unless T is about √channels or more. `query` and `key` are maps as x, of any number of channels.

    Raises:
        ConfigError: the temperature is not positive.
    """
    weights = _softmax(_similarity(x, query, key, temperature))
    return Mixed(_mix(weights, x), weights)


def post_normalisation(
    x: Tensor,
    kernel: Tensor,
    *,
    query: Tensor | None = None,
    key: Tensor | None = None,
    temperature: float = 1.0,
    padding: Padding = "zero",
    order: KernelOrder = "convolution",
) -> Mixed:
    """Attention plus a convolution that all channels share: y_i = Σ_j (A_ij + w_{i-j}) x_j.

    `kernel`: (rows, columns), or (heads, rows, columns). Rows of A + w sum to 1 + Σ_j w_{i-j}, and may be negative.
    CoAtNet, equation 3, first form.

    Raises:
        ConfigError: as `depthwise_convolution` and `self_attention`.
        ShapeError: the axes do not belong together.
    """
    _check(x, kernel, padding, shared=True)
    attention = _softmax(_similarity(x, query, key, temperature))
    # One product: A·x and w∗x would each write a map.
    weights = attention + offset_weights(kernel, _grid(x), padding=padding, order=order).to(attention.dtype)
    return Mixed(_mix(weights, x), weights)


def pre_normalisation(
    x: Tensor,
    kernel: Tensor,
    *,
    query: Tensor | None = None,
    key: Tensor | None = None,
    temperature: float = 1.0,
    padding: Padding = "zero",
    order: KernelOrder = "convolution",
    outside: Outside = "zero",
) -> Mixed:
    """Attention that prefers some offsets: A_ij = softmax_j(q_i·k_j / T + w_{i-j}), y_i = Σ_j A_ij x_j.

    `kernel`: (rows, columns), or (heads, rows, columns). Rows of A sum to 1, whatever is added to all of w. CoAtNet,
    equation 3, second form, which CoAtNet then uses.

    Args:
        outside: w of an offset beyond the kernel: "zero" leaves it to similarity alone, "excluded" is -∞ and makes
            the attention local.

    Raises:
        ConfigError: as `depthwise_convolution` and `self_attention`.
        ShapeError: the axes do not belong together.
    """
    _check(x, kernel, padding, shared=True)
    bias = offset_weights(
        kernel, _grid(x), padding=padding, order=order, outside=0.0 if outside == "zero" else -torch.inf
    )
    weights = _softmax(_similarity(x, query, key, temperature), bias)
    return Mixed(_mix(weights, x), weights)


def attention_modulated_convolution(
    x: Tensor,
    kernel: Tensor,
    *,
    query: Tensor | None = None,
    key: Tensor | None = None,
    temperature: float = 1.0,
    padding: Padding = "zero",
    order: KernelOrder = "convolution",
    window: Window = "renormalised",
) -> Mixed:
    """A convolution whose taps attention turns up and down: y_i = Σ_{j∈L(i)} w_{i-j} ⊙ A_ij x_j.

    `kernel`: (channels, rows, columns), or (heads, channels, rows, columns). The weights returned are A within the
    windows, 0 elsewhere; the kernel is the same everywhere, and is not in them.

    Args:
        window: over what A is a softmax. "renormalised": over L(i), rows sum to 1. "whole": over all positions, rows
            sum to the share that falls into the window, so that larger maps have smaller outputs.

    Raises:
        ConfigError: as `depthwise_convolution` and `self_attention`.
        ShapeError: the axes do not belong together.
    """
    _check(x, kernel, padding, shared=False)
    inside = window_mask(tuple(kernel.shape[-2:]), _grid(x), padding=padding, device=x.device)
    similarity = _similarity(x, query, key, temperature)
    if window == "renormalised":
        weights = _softmax(similarity.masked_fill(~inside, -torch.inf))
    else:
        weights = _softmax(similarity) * inside
    taps = as_correlation(kernel, order).to(x.dtype)[..., None, None]  # ([heads,] channels, rows, columns, 1, 1)
    modulating = in_windows(weights, kernel, _grid(x), padding).to(x.dtype).unsqueeze(-5)
    output = torch.zeros_like(x)
    # Tap by tap: all windows at once are as many times larger as there are taps, and took 3 times as long on a CPU
    # (64 maps of 80 × 8 × 8, 25 taps, forward and backward).
    for row, column, read in shifted(x, kernel, padding):
        output = output + read * modulating[..., row, column, :, :] * taps[..., row, column, :, :]
    return Mixed(output, weights)


def convolution_modulated_attention(
    x: Tensor,
    kernel: Tensor,
    *,
    value: Tensor | None = None,
    padding: Padding = "zero",
    order: KernelOrder = "convolution",
    normalisation: Modulation = "none",
    axis: ModulationAxis = "space",
    activation: Activation = "none",
) -> Mixed:
    """A convolution in the place of the attention matrix: y = f(w ∗ x) ⊙ v; linear in the number of positions.

    `kernel`: (channels, rows, columns), or (heads, channels, rows, columns).

    Args:
        value: the map that is multiplied, as x; x itself if none is given.
        normalisation: "none" is Conv2Former's plain product. "softmax" over `axis` shrinks the output by about the
            length of that axis; "softmax_rescaled" multiplies that length back.
        axis: of the softmax: "space", all positions of a channel, or "channels", all channels (of a head) at a
            position.
        activation: of the convolution's output, before the normalisation.

    Raises:
        ConfigError: as `depthwise_convolution`.
        ShapeError: the axes do not belong together.
    """
    modulation = depthwise_convolution(x, kernel, padding=padding, order=order).output
    if activation == "gelu":
        modulation = F.gelu(modulation)
    if normalisation != "none":
        along = modulation.flatten(-2) if axis == "space" else modulation
        dim = -1 if axis == "space" else -3
        scale = along.shape[dim] if normalisation == "softmax_rescaled" else 1
        modulation = (_softmax(along, dim=dim) * scale).reshape(x.shape)
    return Mixed(modulation * (x if value is None else value), modulation=modulation)


def _similarity(x: Tensor, query: Tensor | None, key: Tensor | None, temperature: float) -> Tensor:
    """q_i·k_j / T, (batch, [heads,] positions, positions)."""
    if not temperature > 0:
        raise ConfigError(f"The temperature is {temperature}.", "Choose one above 0.")
    queries, keys = (x if query is None else query).flatten(-2), (x if key is None else key).flatten(-2)
    if queries.shape != keys.shape or queries.shape[-1] != x.shape[-2] * x.shape[-1]:
        raise ShapeError(
            f"Queries are {tuple(queries.shape)} and keys {tuple(keys.shape)}, positions last; "
            f"expected the same, at the {x.shape[-2] * x.shape[-1]} positions of the map."
        )
    return (queries / temperature).transpose(-2, -1) @ keys


def _softmax(logits: Tensor, bias: Tensor | None = None, dim: int = -1) -> Tensor:
    """In fp32 whatever the input is, so that rows sum to 1 in half precision too."""
    if bias is not None:
        logits = logits + bias
    exact = torch.promote_types(logits.dtype, torch.float32)
    return logits.softmax(dim=dim, dtype=exact)


def _mix(weights: Tensor, x: Tensor) -> Tensor:
    """y_i = Σ_j weights_ij x_j, as a map."""
    return (x.flatten(-2) @ weights.to(x.dtype).transpose(-2, -1)).reshape(x.shape)


def _grid(x: Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]


def _check(x: Tensor, kernel: Tensor, padding: Padding, *, shared: bool) -> None:
    """Raise unless map and kernel belong together; a shared kernel has no axis of channels."""
    if x.ndim not in (4, 5):
        raise ShapeError(f"The map has axes {tuple(x.shape)}; expected (batch, [heads,] channels, height, width).")
    expected = x.shape[1:-3] if shared else x.shape[1:-2]
    if kernel.shape[:-2] != expected:
        name = "one kernel" if shared else "one kernel a channel"
        raise ShapeError(
            f"The kernel has axes {tuple(kernel.shape)}; expected {name}, ({', '.join(map(str, expected))}"
            f"{', ' * bool(expected)}rows, columns), for a map of {tuple(x.shape)}."
        )
    check_kernel_size(tuple(kernel.shape[-2:]), _grid(x), padding)
