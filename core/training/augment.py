"""Augmentation of whole batches as tensors, on whatever device they are, from a generator that is passed in.

The generator lives on the CPU whatever the images' device is: all draws are a few numbers per image, and the same seed
gives the same pictures on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from core.device import send

Regime = Literal["none", "flip", "crop_flip", "crop_flip_erase", "randaugment", "autoaugment", "mix", "strong"]


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """What a regime consists of, in the order of application.

    Attributes:
        summary: for the form's help, in words.
        flip: mirror half of the images.
        crop: pad an eighth of the side with zeros, crop back at random. A model that draws would learn the black edge.
        policy: RandAugment (2 operations of magnitude 9 of 30) or AutoAugment (the CIFAR-10 policy).
        erase: "cutout" greys out a square of half the side in half of the images, cut off at the border (DeVries &
            Taylor 2017, arXiv:1708.04552, with probability 1/2); "random" a rectangle of 2 to 33 % of the area in a
            quarter of them (Zhong et al. 2020, arXiv:1708.04896, filled with the image's mean).
        mix: half of the images are blended with another of the batch (mixup, Zhang et al. 2018, arXiv:1710.09412,
            α 0.8), the others get a rectangle of another (CutMix, Yun et al. 2019, arXiv:1905.04899, α 1).
    """

    summary: str
    flip: bool = True
    crop: bool = True
    policy: Literal["none", "randaugment", "autoaugment"] = "none"
    erase: Literal["none", "cutout", "random"] = "none"
    mix: bool = False


REGIMES: dict[Regime, Ingredients] = {
    "none": Ingredients(summary="images as they are", flip=False, crop=False),
    "flip": Ingredients(summary="mirrored half of the time", crop=False),
    "crop_flip": Ingredients(summary="random crop of the padded image, mirrored half of the time"),
    "crop_flip_erase": Ingredients(summary="crop, flip, half of the images lose a square", erase="cutout"),
    "randaugment": Ingredients(summary="crop, flip, two random operations of medium strength", policy="randaugment"),
    "autoaugment": Ingredients(summary="crop, flip, the policy that AutoAugment found", policy="autoaugment"),
    "mix": Ingredients(summary="crop, flip, mixup or CutMix; for 200 epochs and more", mix=True),
    "strong": Ingredients(
        summary="crop, flip, RandAugment, random erasing, mixup or CutMix; for 200 epochs and more",
        policy="randaugment",
        erase="random",
        mix=True,
    ),
}


def augment(images: Tensor, regime: Regime, generator: torch.Generator) -> Tensor:
    """All of `regime` that an image can undergo alone; `mix` is the rest.

    `images`: (batch, channels, height, width) uint8 → the same.

    Raises:
        ConfigError: the regime's operations are not defined for so many channels.
    """
    ingredients = REGIMES[regime]
    if ingredients.flip:
        images = _flip(images, generator)
    if ingredients.crop:
        images = _crop(images, generator)
    if ingredients.policy != "none":
        # Here, because torchvision takes as long to import as torch and forms only need the names.
        from core.training.policies import autoaugment, randaugment

        policy = randaugment if ingredients.policy == "randaugment" else autoaugment
        images = policy(images, generator)
    if ingredients.erase == "cutout":
        images = _cutout(images, generator)
    elif ingredients.erase == "random":
        images = _erase(images, generator)
    return images


def mix(images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mixup for half of the images, CutMix for the others, each with the image at the mirrored place in the batch.

    Args:
        images: (batch, channels, height, width) float.
        targets: (batch, classes) float, rows sum to 1.

    Returns:
        The mixed images, and targets mixed by the share that each image really got: for CutMix the share of pixels
        inside the box after it was clipped to the image.
    """
    batch, _, height, width = images.shape
    share = send(_beta(0.8, batch, generator), images.device)
    cut, inside = _boxes(_beta(1.0, batch, generator), height, width, generator, images.device)
    is_cut = send(torch.rand(batch, generator=generator) < 0.5, images.device)
    # One weight per pixel says how much of the image itself stays: λ everywhere, or 0 in the box and 1 around it.
    weight = torch.where(is_cut[:, None, None], 1 - inside.float(), share[:, None, None])[:, None]
    kept = torch.where(is_cut, 1 - cut, share)[:, None]
    return images * weight + images.flip(0) * (1 - weight), targets * kept + targets.flip(0) * (1 - kept)


def _flip(images: Tensor, generator: torch.Generator) -> Tensor:
    mirrored = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    return torch.where(send(mirrored, images.device), images.flip(-1), images)


def _crop(images: Tensor, generator: torch.Generator) -> Tensor:
    batch, _, height, width = images.shape
    margin = height // 8
    top, left = send(torch.randint(0, 2 * margin + 1, (2, batch), generator=generator), images.device)
    # (batch, channels, places, places, height, width), a view: every crop that there is.
    crops = F.pad(images, (margin,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    return crops[torch.arange(batch, device=images.device), :, top, left]


def _cutout(images: Tensor, generator: torch.Generator) -> Tensor:
    batch, _, height, width = images.shape
    half = torch.full((batch,), height // 2 / 2)
    centre = torch.rand(2, batch, generator=generator) * torch.tensor([[height], [width]])
    chosen = torch.rand(batch, generator=generator) < 0.5
    return _grey_out(images, _rectangles(centre, half, half, height, width, images.device), chosen)


def _erase(images: Tensor, generator: torch.Generator) -> Tensor:
    batch, _, height, width = images.shape
    area = height * width * (0.02 + (0.33 - 0.02) * torch.rand(batch, generator=generator))
    log_ratio = math.log(0.3) + (math.log(3.3) - math.log(0.3)) * torch.rand(batch, generator=generator)
    ratio = log_ratio.exp()
    # Where the drawn rectangle is longer than the image, torchvision draws again; here it is shortened.
    tall = (area * ratio).sqrt().round().clamp(1, height)
    wide = (area / ratio).sqrt().round().clamp(1, width)
    place = torch.rand(2, batch, generator=generator)
    centre = torch.stack([(place[0] * (height - tall + 1)).floor() + tall / 2 - 0.5,
                          (place[1] * (width - wide + 1)).floor() + wide / 2 - 0.5])  # fmt: skip
    chosen = torch.rand(batch, generator=generator) < 0.25
    return _grey_out(images, _rectangles(centre, tall / 2, wide / 2, height, width, images.device), chosen)


def _boxes(
    share: Tensor, height: int, width: int, generator: torch.Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """CutMix's boxes of √(1 - λ) of either side around any pixel: the share inside after clipping, and the masks."""
    side = (1 - share).sqrt()
    centre = torch.rand(2, len(share), generator=generator) * torch.tensor([[height], [width]])
    inside = _rectangles(centre, side * height / 2, side * width / 2, height, width, device)
    return inside.float().mean(dim=(1, 2)), inside


def _rectangles(
    centre: Tensor, half_height: Tensor, half_width: Tensor, height: int, width: int, device: torch.device
) -> Tensor:
    """(batch, height, width) bool, True where a pixel is less than half a side from the centre, on both axes."""
    centre, half_height, half_width = (send(each, device) for each in (centre, half_height, half_width))
    rows = (torch.arange(height, device=device) - centre[0][:, None]).abs() < half_height[:, None]
    columns = (torch.arange(width, device=device) - centre[1][:, None]).abs() < half_width[:, None]
    return rows[:, :, None] & columns[:, None, :]


def _grey_out(images: Tensor, inside: Tensor, chosen: Tensor) -> Tensor:
    """The mean of all its pixels and channels `inside` (batch, height, width) of every `chosen` (batch,) image."""
    mean = images.float().mean(dim=(1, 2, 3), keepdim=True).round().to(images.dtype)
    mask = inside & send(chosen, images.device)[:, None, None]
    return torch.where(mask[:, None], mean, images)


def _beta(alpha: float, count: int, generator: torch.Generator) -> Tensor:
    """(count,) draws from Beta(α, α); `torch.distributions` would draw from the global generator."""
    return torch._sample_dirichlet(torch.full((count, 2), alpha), generator)[:, 0]
