"""One place that turns a seed into randomness, so that every result can be asked for again."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch globally; for worker processes only, never for a library call."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def torch_generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator on `device` that owns its state."""
    return torch.Generator(device=device).manual_seed(seed)
