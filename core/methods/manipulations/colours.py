"""Manipulations of colour and of light: (images, 3, height, width) in [0, 1] each."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from core.methods.manipulations.draws import Draws, normal
from core.seeding import stream

ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


def fade(images: Tensor, strength: float) -> Tensor:
    """Towards the brightness of each pixel (0.299 R + 0.587 G + 0.114 B); `strength` in percent."""
    return v2.adjust_saturation(images, 1 - strength / 100)


def rotate_hue(images: Tensor, strength: float) -> Tensor:
    """`strength` degrees along the colour circle, in HSV."""
    return v2.adjust_hue(images, strength / 360)


def reorder(images: Tensor, strength: float) -> Tensor:
    """The channels in the order of that number in `ORDERS`."""
    return images[:, list(ORDERS[int(strength)])]


def colour_digits(images: Tensor, strength: float, draws: Draws) -> Tensor:
    """Red, green or blue for each image: the other two channels keep 100 − `strength` percent."""
    chosen = torch.tensor([int(stream("colour of a digit", *image).integers(3)) for image in draws.images])
    kept = torch.full((len(images), 3), 1 - strength / 100)
    kept[torch.arange(len(images)), chosen] = 1
    return images * kept.to(images.device)[:, :, None, None]


def brighten(images: Tensor, strength: float) -> Tensor:
    """Times `strength`."""
    return v2.adjust_brightness(images, strength)


def change_contrast(images: Tensor, strength: float) -> Tensor:
    """`strength` times as far from the image's mean brightness."""
    return v2.adjust_contrast(images, strength)


def add_noise(images: Tensor, strength: float, draws: Draws) -> Tensor:
    """Gaussian noise with a standard deviation of `strength` grey levels of 255."""
    streams = [stream("noise on an image", *image) for image in draws.images]
    return images + normal(streams, *images.shape[1:], like=images) * (strength / 255)


def noise_patch(images: Tensor, strength: float, area: float, draws: Draws, *, anywhere: bool) -> Tensor:
    """Gaussian noise in one square of `area` of the picture; at one place for all images, or at each image's own."""
    height, width = images.shape[-2:]
    side = int(np.clip(round((area * height * width) ** 0.5), 1, min(height, width)))
    streams = [stream("noise in a patch", *image) for image in draws.images]
    together = stream("place of every patch", *draws.all).random(2)
    shares = np.array([each.random(2) if anywhere else together for each in streams])
    corners = torch.from_numpy((shares * (height - side + 1, width - side + 1)).astype(np.int64)).to(images.device)
    noise = normal(streams, 3, side, side, like=images) * (strength / 255)
    inside = torch.arange(side, device=images.device)
    rows, columns = corners[:, :1] + inside, corners[:, 1:] + inside
    changed = images.clone()
    image, channel = torch.arange(len(images), device=images.device), torch.arange(3, device=images.device)
    place = (image[:, None, None, None], channel[:, None, None], rows[:, None, :, None], columns[:, None, None, :])
    changed[place] += noise
    return changed


def write_jpeg(images: Tensor, strength: float) -> Tensor:
    """Through a JPEG file of quality 100 − `strength`; values are rounded to 8 bits first, as in any file."""
    pixels = (images * 255).round().to(torch.uint8).cpu()
    return v2.jpeg(pixels, 100 - int(strength)).to(images.device, images.dtype) / 255
