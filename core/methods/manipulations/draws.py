"""Random numbers of manipulations: each image has its own, whatever stands beside it in a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.seeding import stream


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

    def each(self, tag: str) -> list[np.random.Generator]:
        """A generator for each image."""
        return [stream(f"manipulation: {tag}", self.seed, self.time, key) for key in self.keys]

    def one(self, tag: str) -> np.random.Generator:
        """A generator that all images share."""
        return stream(f"manipulation of all: {tag}", self.seed, self.time)

    def normal(self, tag: str, *shape: int, like: Tensor) -> Tensor:
        """Standard normal numbers (images, *shape) where `like` is."""
        drawn = np.empty((len(self.keys), *shape), np.float32)
        for row, generator in zip(drawn, self.each(tag), strict=True):
            generator.standard_normal(out=row, dtype=np.float32)
        return torch.from_numpy(drawn).to(like.device)
