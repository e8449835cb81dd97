"""Random numbers of manipulations: each image has its own, whatever stands beside it in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Draws:
    """Where a step's randomness comes from.

    Attributes:
        seed: of the whole work.
        keys: each image's own number.
        time: how often the same manipulation came before in these steps: a second noise is another noise.
    """

    seed: int
    keys: tuple[int, ...]
    time: int

    @property
    def images(self) -> list[tuple[int, int, int]]:
        """The numbers of a stream for each image."""
        return [(self.seed, self.time, key) for key in self.keys]

    @property
    def all(self) -> tuple[int, int]:
        """The numbers of a stream that all images share."""
        return self.seed, self.time


def normal(streams: Sequence[np.random.Generator], *shape: int, like: Tensor) -> Tensor:
    """Standard normal numbers (streams, *shape) where `like` is."""
    drawn = np.empty((len(streams), *shape), np.float32)
    for row, each in zip(drawn, streams, strict=True):
        each.standard_normal(out=row, dtype=np.float32)
    return torch.from_numpy(drawn).to(like.device)
