"""Augmentation of whole batches as tensors, on whatever device they are, from a generator that is passed in."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Regime = Literal["none", "crop_flip", "crop_flip_erase"]


def augment(images: Tensor, regime: Regime, generator: torch.Generator) -> Tensor:
    """`images`: (batch, channels, height, width) float in [0, 1] → the same shape.

    `crop_flip`: pad an eighth of the side with zeros, crop back at random, mirror half of the images.
    `crop_flip_erase`: and grey out a random square of half the side in half of them (DeVries & Taylor 2017,
    arXiv:1708.04552, with probability 1/2).
    """
    if regime == "none":
        return images
    images = _crop(_flip(images, generator), generator)
    return _erase(images, generator) if regime == "crop_flip_erase" else images


def _flip(images: Tensor, generator: torch.Generator) -> Tensor:
    mirrored = torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(-1), images)


def _crop(images: Tensor, generator: torch.Generator) -> Tensor:
    batch, channels, height, width = images.shape
    margin = height // 8
    padded = F.pad(images, (margin,) * 4)
    top, left = torch.randint(0, 2 * margin + 1, (2, batch, 1), generator=generator, device=images.device)
    rows = (top + torch.arange(height, device=images.device))[:, None, :, None]
    columns = (left + torch.arange(width, device=images.device))[:, None, None, :]
    item = torch.arange(batch, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[item, channel, rows, columns]


def _erase(images: Tensor, generator: torch.Generator) -> Tensor:
    batch, _, height, width = images.shape
    side = height // 2
    centre = torch.rand(2, batch, 1, 1, 1, generator=generator, device=images.device)
    chosen = torch.rand(batch, 1, 1, 1, generator=generator, device=images.device) < 0.5
    rows = torch.arange(height, device=images.device)[None, None, :, None]
    columns = torch.arange(width, device=images.device)[None, None, None, :]
    inside = ((rows - centre[0] * height).abs() < side / 2) & ((columns - centre[1] * width).abs() < side / 2)
    return torch.where(inside & chosen, images.mean(dim=(1, 2, 3), keepdim=True), images)
