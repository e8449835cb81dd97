"""The four ways a ViT can know where a patch is.

Paper: Dosovitskiy et al. 2021, arXiv:2010.11929, appendix D.4 (none, 1D, 2D); Vaswani et al. 2017,
section 3.5 (sinusoidal).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from core.errors import ConfigError

Positional = Literal["none", "learned_1d", "learned_2d", "sinusoidal"]


class NoPositions(nn.Module):
    """A bag of patches: shuffling them changes nothing that the class token can see."""

    def table(self) -> Tensor | None:
        """None: there is nothing to add."""
        return None


class Learned1D(nn.Module):
    """One free vector per token, raster order; the layout has to be discovered."""

    def __init__(self, grid: tuple[int, int], embed_dim: int, prefix_tokens: int) -> None:
        super().__init__()
        tokens = prefix_tokens + grid[0] * grid[1]
        self.positions = nn.Parameter(torch.empty(tokens, embed_dim).normal_(std=0.02))

    def table(self) -> Tensor:
        """(tokens, embed_dim)."""
        return self.positions


class Learned2D(nn.Module):
    """Half of the dimensions name the column, half the row.

    Differs from the paper: it does not say what the class token gets; here a vector of its own.
    """

    def __init__(self, grid: tuple[int, int], embed_dim: int, prefix_tokens: int) -> None:
        super().__init__()
        if embed_dim % 2:
            raise ConfigError(f"2D positions need an even embed_dim, got {embed_dim}.")
        self.rows = nn.Parameter(torch.empty(grid[0], embed_dim // 2).normal_(std=0.02))
        self.columns = nn.Parameter(torch.empty(grid[1], embed_dim // 2).normal_(std=0.02))
        self.prefix = nn.Parameter(torch.empty(prefix_tokens, embed_dim).normal_(std=0.02))

    def table(self) -> Tensor:
        """(tokens, embed_dim): patch (r, c) gets [columns[c]; rows[r]]."""
        columns = self.columns.repeat(len(self.rows), 1)
        rows = self.rows.repeat_interleave(len(self.columns), dim=0)
        return torch.cat([self.prefix, torch.cat([columns, rows], dim=1)])


class Sinusoidal(nn.Module):
    """Fixed sines and cosines over the raster index: nothing to learn, and rows are not columns."""

    def __init__(self, grid: tuple[int, int], embed_dim: int, prefix_tokens: int) -> None:
        super().__init__()
        positions = sinusoids(prefix_tokens + grid[0] * grid[1], embed_dim)
        self.register_buffer("positions", positions, persistent=False)

    def table(self) -> Tensor:
        """(tokens, embed_dim)."""
        positions: Tensor = self.positions  # type: ignore[assignment]
        return positions


class FixedPositions(nn.Module):
    """A table that is given, (tokens, embed_dim): that of another grid, interpolated."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("positions", table.detach(), persistent=False)

    def table(self) -> Tensor:
        """(tokens, embed_dim)."""
        positions: Tensor = self.positions  # type: ignore[assignment]
        return positions


def sinusoids(positions: int, embed_dim: int) -> Tensor:
    """(positions, embed_dim): sin in the even dimensions, cos in the odd ones, wavelengths 2π to 10000·2π."""
    if embed_dim % 2:
        raise ConfigError(f"Sinusoidal positions need an even embed_dim, got {embed_dim}.")
    index = torch.arange(positions, dtype=torch.float64)[:, None]
    frequency = 10000.0 ** (-torch.arange(0, embed_dim, 2, dtype=torch.float64) / embed_dim)
    angles = index * frequency
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).float()


def build_positions(
    kind: Positional, grid: tuple[int, int], embed_dim: int, prefix_tokens: int
) -> NoPositions | Learned1D | Learned2D | Sinusoidal | FixedPositions:
    """The module whose `table()` is added once, after the class token is put in front."""
    if kind == "none":
        return NoPositions()
    kinds: dict[str, type[Learned1D] | type[Learned2D] | type[Sinusoidal]] = {
        "learned_1d": Learned1D,
        "learned_2d": Learned2D,
        "sinusoidal": Sinusoidal,
    }
    return kinds[kind](grid, embed_dim, prefix_tokens)
