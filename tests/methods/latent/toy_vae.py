"""VAEs with weights set by hand, whose latents do what a test says."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from core.models.vae import VAE, VAEConfig

SIDE = 4


def tiny(seed: int = 0, **changes: Any) -> VAE:
    """Random weights, a little larger than usual, so that latents matter."""
    torch.manual_seed(seed)
    model = VAE(VAEConfig(**{"image_size": SIDE, "hidden_dim": 8, "latent_dim": 3, **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model.eval()


def collapsed(model: VAE, dimensions: tuple[int, ...]) -> VAE:
    """`model` with the posteriors of some dimensions at N(0, 1), whatever the picture."""
    last: Any = model.encoder[-1]  # type: ignore[index]
    with torch.no_grad():
        for dimension in dimensions:
            for row in (dimension, dimension + model.config.latent_dim):
                last.weight[row] = 0
                last.bias[row] = 0
    return model


def pictures(count: int = 12, channels: int = 1, seed: int = 0) -> np.ndarray:
    """(count, 4, 4, channels) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, channels), dtype=np.uint8)
