"""Kernels on a grid of positions: which tap weighs which pair of positions, and what each position reads.

An even kernel has no centre and is refused. Borders: "zero" has nothing beyond the border, "circular" continues on the
other side. Kernels are in one of two orders: "convolution", indexed by i - j as equations are, or "correlation",
indexed by j - i as torch's layers that are called convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import ConfigError

Padding = Literal["zero", "circular"]
KernelOrder = Literal["convolution", "correlation"]


def check_kernel_size(size: tuple[int, ...], grid: tuple[int, int], padding: Padding) -> None:
    """Raise `ConfigError` unless a kernel of these rows and columns has a centre and, circular, fits into the map."""
    if any(side % 2 == 0 for side in size):
        raise ConfigError(
            f"The kernel has {' × '.join(map(str, size))} taps, and an even one has no centre.",
            "Choose an odd size, such as 3, 5 or 7.",
        )
    if padding == "circular" and any(side > length for side, length in zip(size, grid, strict=True)):
        raise ConfigError(
            f"A circular kernel of {' × '.join(map(str, size))} meets itself on a map of "
            f"{' × '.join(map(str, grid))} positions.",
            "Choose a smaller kernel or zero padding.",
        )


def offset_weights(
    kernel: Tensor,
    grid: tuple[int, int],
    *,
    padding: Padding = "zero",
    order: KernelOrder = "convolution",
    outside: float = 0.0,
) -> Tensor:
    """w_{i-j} of every pair of positions, (..., positions, positions), of a kernel (..., rows, columns).

    Multiplied with a map it is the convolution; added to similarities, their relative bias.

    Args:
        outside: of pairs further apart than the kernel reaches.
    """
    table = as_correlation(kernel, order)
    for dim, size in ((-2, grid[0]), (-1, grid[1])):
        table = _offsets_of_axis(table, dim, size, padding, outside)
    # Entry (a, b) of the table is offset j - i = (a - rows + 1, b - columns + 1): of query row i the keys 0, 1, …
    # are the entries from rows - 1 - i on.
    pairs = (
        table.unfold(-2, grid[0], 1).unfold(-2, grid[1], 1).flip(-4, -3)
    )  # (…, rows i, columns i, rows j, columns j)
    positions = grid[0] * grid[1]
    return pairs.reshape(*kernel.shape[:-2], positions, positions)


def window_mask(
    kernel_size: tuple[int, ...], grid: tuple[int, int], *, padding: Padding, device: torch.device | None = None
) -> Tensor:
    """Which positions j are in the window L(i) of each i: (positions, positions) of truth values."""
    ones = torch.ones(kernel_size, device=device)
    return offset_weights(ones, grid, padding=padding, order="correlation") > 0


def shifted(x: Tensor, kernel: Tensor, padding: Padding) -> Iterator[tuple[int, int, Tensor]]:
    """For each tap of the kernel, in the order of a correlation, its row and column and what every position reads."""
    mode = "circular" if padding == "circular" else "constant"
    padded = F.pad(x.flatten(1, -3), pad_sides(radius_of(kernel)), mode=mode).unflatten(1, x.shape[1:-2])
    for row in range(kernel.shape[-2]):
        for column in range(kernel.shape[-1]):
            yield row, column, padded[..., row : row + x.shape[-2], column : column + x.shape[-1]]


def in_windows(weights: Tensor, kernel: Tensor, grid: tuple[int, int], padding: Padding) -> Tensor:
    """Weights between positions by tap: (..., rows, columns, height, width), 0 beyond a border."""
    device, (height, width), (above, left) = weights.device, grid, radius_of(kernel)
    row = torch.arange(-above, above + 1, device=device)[:, None] + torch.arange(height, device=device)
    column = torch.arange(-left, left + 1, device=device)[:, None] + torch.arange(width, device=device)
    key = (row % height)[:, None, :, None] * width + (column % width)[None, :, None, :]
    taken = weights.transpose(-2, -1).gather(-2, key.reshape(-1, height * width).expand(*weights.shape[:-2], -1, -1))
    if padding == "zero":
        beyond = ((row < 0) | (row >= height))[:, None, :, None] | ((column < 0) | (column >= width))[None, :, None, :]
        taken = taken.masked_fill(beyond.reshape(-1, height * width), 0)
    return taken.unflatten(-1, grid).unflatten(-3, tuple(kernel.shape[-2:]))


def as_correlation(kernel: Tensor, order: KernelOrder) -> Tensor:
    """The kernel with its axes in the order of a correlation."""
    return kernel if order == "correlation" else kernel.flip(-2, -1)


def radius_of(kernel: Tensor) -> tuple[int, int]:
    """Taps above and to the left of the centre."""
    return kernel.shape[-2] // 2, kernel.shape[-1] // 2


def pad_sides(radius: tuple[int, int]) -> tuple[int, int, int, int]:
    """As `F.pad` wants them."""
    return radius[1], radius[1], radius[0], radius[0]


def _offsets_of_axis(table: Tensor, dim: int, size: int, padding: Padding, outside: float) -> Tensor:
    """The axis `dim` of a centred kernel as offsets j - i from -(size - 1) to size - 1."""
    radius = table.shape[dim] // 2
    if padding == "circular":
        # Offset d is the same as d - size: one period from -radius on, rolled to begin at -(size - 1) ≡ 1.
        period = _pad_axis(table, dim, 0, size - table.shape[dim], outside)
        period = period.roll(-radius - 1, dims=dim)
        return torch.cat([period, period.narrow(dim, 0, size - 1)], dim=dim)
    reach = min(radius, size - 1)
    table = table.narrow(dim, radius - reach, 2 * reach + 1)
    return _pad_axis(table, dim, size - 1 - reach, size - 1 - reach, outside)


def _pad_axis(table: Tensor, dim: int, before: int, after: int, value: float) -> Tensor:
    sides = (before, after) if dim == -1 else (0, 0, before, after)
    return F.pad(table, sides, value=value)
