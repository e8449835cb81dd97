"""From decoded pixels to what a model wants: resize, crop, normalise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:  # model catalogues describe preprocessing without paying for torch
    from PIL import Image
    from torch import Tensor


Resample = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]  # the filters of Pillow
# How a photo becomes a square: its middle is cut out, it is squashed, or bands are laid beside it.
Framing = Literal["crop", "squash", "pad"]
FRAMINGS: tuple[Framing, ...] = get_args(Framing)
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

    It is resized so that it measures `size / crop_share`: the shorter side (`crop`), both (`squash`) or the longer
    side (`pad`). Then a `size`-pixel square is cut from the centre; what it reaches beyond the photo is `ground`.

    Attributes:
        ground: red, green and blue of the bands beside a photo, 0 to 255.
        centre: how an odd rest is divided: rounded to even as torchvision, timm and open_clip do, or down as
            transformers does.
        engine: which library's filters resize. They differ by several levels where bicubic ones overshoot;
            transformers has torchvision's work on tensors, the others Pillow's.
    """

    size: int
    normalisation: Normalisation
    crop_share: float = 1.0
    resample: Resample = "bicubic"
    framing: Framing = "crop"
    ground: tuple[int, int, int] = (0, 0, 0)
    centre: Literal["even", "down"] = "even"
    engine: Literal["pillow", "torchvision"] = "pillow"

    @property
    def resized(self) -> int:
        """The side that `framing` fits to, in pixels, before the square is cut."""
        return round(self.size / self.crop_share)


def crop_to_square(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """The square RGB picture that the model will see, at the model's resolution.

    Within one grey level what timm, torchvision, transformers and open_clip make of it: see tests/models/test_parity.
    """
    from PIL import Image

    resized = _resize(image.convert("RGB"), _resized(image.size, preprocessing), preprocessing)
    size = preprocessing.size
    left, top = (_offset(side - size, preprocessing.centre) for side in resized.size)
    if min(resized.size) >= size:
        return resized.crop((left, top, left + size, top + size))
    square = Image.new("RGB", (size, size), preprocessing.ground)
    square.paste(resized, (-left, -top))
    return square


def seen_part(size: tuple[int, int], preprocessing: Preprocessing) -> tuple[float, float, float, float]:
    """The part of a photo of `size` (width, height) that the model sees: left, top, right and bottom, in shares of it.

    Below 0 and above 1 where bands are laid beside it.
    """
    sides = _resized(size, preprocessing)
    (left, right), (top, bottom) = (
        ((side - preprocessing.size) / 2 / side, (side + preprocessing.size) / 2 / side) for side in sides
    )
    return left, top, right, bottom


def shared_part(size: tuple[int, int], several: Sequence[Preprocessing]) -> list[tuple[float, float]]:
    """The middle of a photo of `size` (width, height) that all models see: its shares of the width and height of what
    each one sees."""
    parts = [seen_part(size, each) for each in several]
    sides = [(right - left, bottom - top) for left, top, right, bottom in parts]
    across, down = (min(1.0, *each) for each in zip(*sides, strict=True))
    return [(across / width, down / height) for width, height in sides]


def _resize(image: Image.Image, size: tuple[int, int], preprocessing: Preprocessing) -> Image.Image:
    """`image`, RGB, at `size` (width, height)."""
    import numpy as np
    from PIL import Image

    if preprocessing.engine == "pillow":
        return image.resize(size, Image.Resampling[preprocessing.resample.upper()])
    import torch
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as tv

    filters = {"nearest": InterpolationMode.NEAREST_EXACT}
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    mode = filters.get(preprocessing.resample, InterpolationMode(preprocessing.resample))
    resized = tv.resize(pixels, [size[1], size[0]], interpolation=mode, antialias=True)
    return Image.fromarray(resized.permute(1, 2, 0).contiguous().numpy())


def _resized(size: tuple[int, int], preprocessing: Preprocessing) -> tuple[int, int]:
    """Width and height of a photo of `size` before the square is cut."""
    to = preprocessing.resized
    if preprocessing.framing == "squash":
        return to, to
    if preprocessing.framing == "pad":
        # Rounded as timm and open_clip do.
        ratio = max(side / to for side in size)
        return max(1, round(size[0] / ratio)), max(1, round(size[1] / ratio))
    # torchvision, timm and transformers round the longer side down.
    return to * size[0] // min(size), to * size[1] // min(size)


def _offset(rest: int, centre: Literal["even", "down"]) -> int:
    """Where the square begins; below 0 by the width of a band, of which libraries round the first down."""
    if rest < 0:
        return -(-rest // 2)
    return round(rest / 2) if centre == "even" else rest // 2


def display_preprocessing(preprocessing: Preprocessing, image: Image.Image, *, as_seen: bool = False) -> Preprocessing:
    """How to cut a photo for the screen: what the model sees of it, at its resolution (`as_seen`) or at the screen's.

    Small pictures stay at the model's resolution: enlarged, they would show detail that nobody took.
    """
    if as_seen:
        return preprocessing
    side = DISPLAY_SIDE if min(image.size) > 96 else preprocessing.size
    return replace(preprocessing, size=side, resample="bicubic", engine="pillow")


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
