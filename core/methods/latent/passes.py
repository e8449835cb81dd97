"""Stored pictures through a VAE and back as arrays, batch by batch on the model's device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.errors import ShapeError
from core.finite import require_finite
from core.models.vae import VAE
from core.seeding import stream_seed, torch_generator


def pixel_batches(model: VAE, images: Any, batch_size: int = 512) -> Iterator[tuple[int, Tensor]]:
    """The place of each batch's first image, and the batch, (batch, channels, height, width) in [0, 1].

    Args:
        images: (images, height, width, channels) uint8, or what reads like it.

    Raises:
        ShapeError: the model takes another size or another number of channels.
    """
    channels, side, _ = model.config.shape
    if len(images.shape) != 4 or tuple(images.shape[1:]) != (side, side, channels):
        raise ShapeError(
            f"This VAE takes pictures of {side} by {side} pixels and {channels} "
            f"channel{'s' * (channels > 1)}, got shape {tuple(images.shape[1:])}.",
            "Choose the data set that it was trained on, or resize the pictures.",
        )
    if not len(images):
        raise ShapeError("There are no pictures.", "Choose at least one.")
    model.eval()
    device = device_of(model)
    for start in range(0, len(images), batch_size):
        pixels = torch.from_numpy(np.array(images[start : start + batch_size])).to(device)
        yield start, pixels.permute(0, 3, 1, 2).float() / 255


def device_of(model: VAE) -> torch.device:
    """Where the model's weights are."""
    return next(model.parameters()).device


def noise_for(places: range, draws: int, dims: int, seed: int) -> Tensor:
    """(images, draws, dims) standard normal: an image's noise depends on `seed` and its place, not on its batch."""
    found = torch.empty((len(places), draws, dims))
    for row, place in enumerate(places):
        generator = torch_generator(stream_seed("latents of a pass", seed, place))
        found[row] = torch.randn((draws, dims), generator=generator)
    return found


def decoded(model: VAE, latents: np.ndarray, batch_size: int = 1024) -> np.ndarray:
    """(count, latent_dim) → the expected pictures, (count, height, width, channels) float32 in [0, 1].

    Raises:
        ShapeError: the latents have another number of dimensions.
    """
    require_finite("The latents", latents)
    model.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(latents), batch_size):
            part = torch.from_numpy(np.array(latents[start : start + batch_size], dtype=np.float32))
            pictures = model.mean_image(model.decode(part.to(device_of(model))))
            parts.append(pictures.permute(0, 2, 3, 1).float().cpu().numpy())
    found = np.concatenate(parts)
    require_finite("The decoded pictures", found)
    return found
