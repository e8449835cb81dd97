"""From decoded pixels to what a model wants: resize, crop, normalise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # model catalogues describe preprocessing without paying for torch
    from PIL import Image
    from torch import Tensor


Resample = Literal["bilinear", "bicubic"]
GREY_WEIGHTS = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, as Pillow's mode L
DISPLAY_SIDE = 560  # of a photo on the screen, in pixels


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Per-channel mean and standard deviation of pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


CIFAR10_NORMALISATION = Normalisation(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))
IMAGENET_NORMALISATION = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
HALF_NORMALISATION = Normalisation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What happens to a photo before the model sees it.

    The shorter side is resized to `size / crop_share`, then a `size`-pixel square is cut from the centre.
    """

    size: int
    normalisation: Normalisation
    crop_share: float = 1.0
    resample: Resample = "bicubic"


def crop_to_square(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """The square RGB picture that the model will see, at the model's resolution.

    To the pixel what torchvision's Resize and CenterCrop make of it: the longer side is rounded down.
    """
    from PIL import Image

    shorter = round(preprocessing.size / preprocessing.crop_share)
    width, height = (shorter * side // min(image.size) for side in image.size)
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    resized = image.convert("RGB").resize((width, height), filters[preprocessing.resample])
    left, top = round((width - preprocessing.size) / 2), round((height - preprocessing.size) / 2)
    return resized.crop((left, top, left + preprocessing.size, top + preprocessing.size))


def display_preprocessing(preprocessing: Preprocessing, image: Image.Image, *, as_seen: bool = False) -> Preprocessing:
    """How to cut a photo for the screen: what the model sees of it, at its resolution (`as_seen`) or at the screen's.

    Small pictures stay at the model's resolution: enlarged, they would show detail that nobody took.
    """
    if as_seen:
        return preprocessing
    side = DISPLAY_SIDE if min(image.size) > 96 else preprocessing.size
    return replace(preprocessing, size=side, resample="bicubic")


def normalise(images: Tensor, normalisation: Normalisation) -> Tensor:
    """(batch, height, width, channels) uint8 → (batch, channels, height, width) float, normalised."""
    return standardise(images.permute(0, 3, 1, 2).float() / 255, normalisation)


def resize(images: Tensor, size: int) -> Tensor:
    """(batch, channels, height, width), float or bytes → the same at `size` a side, bicubic, on their device.

    Bytes on a CPU only.
    """
    import torch.nn.functional as F

    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bicubic", antialias=True)


def standardise(images: Tensor, normalisation: Normalisation) -> Tensor:
    """(batch, channels, height, width) in [0, 1] → zero mean and unit spread per channel.

    Colour becomes grey where the normalisation is of a single channel: the model sees no more.
    """
    import torch

    if len(normalisation.mean) == 1 and images.shape[1] == 3:
        weights = torch.tensor(GREY_WEIGHTS, dtype=images.dtype, device=images.device)[:, None, None]
        images = (images * weights).sum(dim=1, keepdim=True)
    mean = torch.tensor(normalisation.mean, device=images.device)[:, None, None]
    std = torch.tensor(normalisation.std, device=images.device)[:, None, None]
    return (images - mean) / std


def to_pixels(images: Tensor, normalisation: Normalisation) -> Tensor:
    """(batch, channels, height, width) normalised → (batch, height, width, channels) uint8: `normalise` undone."""
    import torch

    mean = torch.tensor(normalisation.mean, device=images.device)[:, None, None]
    std = torch.tensor(normalisation.std, device=images.device)[:, None, None]
    return (((images.float() * std + mean) * 255).round().clamp(0, 255)).to(torch.uint8).permute(0, 2, 3, 1)


def to_batch(pictures: list[Image.Image], preprocessing: Preprocessing) -> Tensor:
    """Photos → (batch, 3, size, size) normalised for the model."""
    import numpy as np
    import torch

    squares = np.stack([np.asarray(crop_to_square(picture, preprocessing)) for picture in pictures])
    return normalise(torch.from_numpy(squares.copy()), preprocessing.normalisation)
