"""RandAugment and AutoAugment on whole batches: every image draws its own, equal draws are computed together.

Papers: Cubuk et al. 2020, "RandAugment", arXiv:1909.13719; Cubuk et al. 2019, "AutoAugment", arXiv:1805.09501 (the
policy found for CIFAR-10). Operations and magnitudes are torchvision's, on uint8 images; uncovered pixels are black.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from core.device import send
from core.errors import ConfigError


def _affine(
    images: Tensor, *, shear: tuple[float, float] = (0, 0), shift: tuple[float, float] = (0, 0), centred: bool = True
) -> Tensor:
    degrees = [math.degrees(math.atan(each)) for each in shear]
    pixels = [int(each) for each in shift]
    return F.affine(
        images, angle=0.0, translate=pixels, scale=1.0, shear=degrees, center=None if centred else [0.0, 0.0]
    )


# Name → (images (batch, channels, height, width) uint8, magnitude) → images.
OPERATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "Identity": lambda images, _: images,
    "ShearX": lambda images, slope: _affine(images, shear=(slope, 0), centred=False),
    "ShearY": lambda images, slope: _affine(images, shear=(0, slope), centred=False),
    "TranslateX": lambda images, pixels: _affine(images, shift=(pixels, 0)),
    "TranslateY": lambda images, pixels: _affine(images, shift=(0, pixels)),
    "Rotate": lambda images, degrees: F.rotate(images, angle=degrees),
    "Brightness": lambda images, change: F.adjust_brightness(images, 1 + change),
    "Color": lambda images, change: F.adjust_saturation(images, 1 + change),
    "Contrast": lambda images, change: F.adjust_contrast(images, 1 + change),
    "Sharpness": lambda images, change: F.adjust_sharpness(images, 1 + change),
    "Posterize": lambda images, bits: F.posterize(images, bits=int(bits)),
    "Solarize": lambda images, share: F.solarize(images, threshold=255 * share),
    "AutoContrast": lambda images, _: F.autocontrast(images),
    "Equalize": lambda images, _: F.equalize(images),
    "Invert": lambda images, _: F.invert(images),
}

# Largest magnitude of the operations whose sign is drawn too; a translation's is a share of the side.
_SIGNED = {
    "ShearX": 0.3, "ShearY": 0.3, "TranslateX": 150 / 331, "TranslateY": 150 / 331, "Rotate": 30.0,
    "Brightness": 0.9, "Color": 0.9, "Contrast": 0.9, "Sharpness": 0.9,
}  # fmt: skip

RANDAUGMENT = tuple(name for name in OPERATIONS if name != "Invert")

# Each of the 25 sub-policies is two steps of (operation, its probability, its magnitude out of 0 to 9).
AUTOAUGMENT_CIFAR10: tuple[tuple[tuple[str, float, int], tuple[str, float, int]], ...] = (
    (("Invert", 0.1, 0), ("Contrast", 0.2, 6)),
    (("Rotate", 0.7, 2), ("TranslateX", 0.3, 9)),
    (("Sharpness", 0.8, 1), ("Sharpness", 0.9, 3)),
    (("ShearY", 0.5, 8), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.5, 0), ("Equalize", 0.9, 0)),
    (("ShearY", 0.2, 7), ("Posterize", 0.3, 7)),
    (("Color", 0.4, 3), ("Brightness", 0.6, 7)),
    (("Sharpness", 0.3, 9), ("Brightness", 0.7, 9)),
    (("Equalize", 0.6, 0), ("Equalize", 0.5, 0)),
    (("Contrast", 0.6, 7), ("Sharpness", 0.6, 5)),
    (("Color", 0.7, 7), ("TranslateX", 0.5, 8)),
    (("Equalize", 0.3, 0), ("AutoContrast", 0.4, 0)),
    (("TranslateY", 0.4, 3), ("Sharpness", 0.2, 6)),
    (("Brightness", 0.9, 6), ("Color", 0.2, 8)),
    (("Solarize", 0.5, 2), ("Invert", 0.0, 0)),
    (("Equalize", 0.2, 0), ("AutoContrast", 0.6, 0)),
    (("Equalize", 0.2, 0), ("Equalize", 0.6, 0)),
    (("Color", 0.9, 9), ("Equalize", 0.6, 0)),
    (("AutoContrast", 0.8, 0), ("Solarize", 0.2, 8)),
    (("Brightness", 0.1, 3), ("Color", 0.7, 0)),
    (("Solarize", 0.4, 5), ("AutoContrast", 0.9, 0)),
    (("TranslateY", 0.9, 9), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.9, 0), ("Solarize", 0.8, 3)),
    (("Equalize", 0.8, 0), ("Invert", 0.1, 0)),
    (("TranslateY", 0.7, 9), ("AutoContrast", 0.9, 0)),
)


def magnitude(operation: str, level: int, levels: int, height: int, width: int) -> float:
    """How strong `operation` is at `level` of 0 to `levels` - 1, in the unit that it takes; 0 where it takes none."""
    if operation in _SIGNED:
        side = {"TranslateX": width, "TranslateY": height}.get(operation, 1)
        return float(torch.linspace(0, _SIGNED[operation] * side, levels)[level])
    if operation == "Posterize":
        return float((8 - torch.arange(levels) / ((levels - 1) / 4)).round()[level])
    if operation == "Solarize":
        return float(torch.linspace(1, 0, levels)[level])
    return 0.0


def randaugment(
    images: Tensor, generator: torch.Generator, *, operations: int = 2, level: int = 9, levels: int = 31
) -> Tensor:
    """`operations` drawn evenly out of 14, each at `level` and with a random sign.

    `images`: (batch, channels, height, width) uint8, 1 or 3 channels → the same. `generator` is a CPU generator.
    """
    _check_channels(images)
    table = [(name, magnitude(name, level, levels, *images.shape[-2:])) for name in RANDAUGMENT]
    for _ in range(operations):
        choice = torch.randint(len(table), (len(images),), generator=generator)
        negative = torch.rand(len(images), generator=generator) <= 0.5
        images = apply_grouped(images, table, choice, negative)
    return images


def autoaugment(images: Tensor, generator: torch.Generator) -> Tensor:
    """One of the 25 sub-policies of CIFAR-10 per image, its two steps each with their own probability.

    `images`: (batch, channels, height, width) uint8, 1 or 3 channels → the same. `generator` is a CPU generator.
    """
    _check_channels(images)
    policy = torch.randint(len(AUTOAUGMENT_CIFAR10), (len(images),), generator=generator)
    for step in (0, 1):
        steps = [each[step] for each in AUTOAUGMENT_CIFAR10]
        happens = torch.rand(len(images), generator=generator) <= torch.tensor([share for _, share, _ in steps])[policy]
        negative = torch.rand(len(images), generator=generator) <= 0.5
        # Sub-policies that share an operation and its magnitude become one group.
        kinds = sorted({(name, level) for name, _, level in steps})
        kind_of = torch.tensor([kinds.index((name, level)) for name, _, level in steps])
        table = [(name, magnitude(name, level, 10, *images.shape[-2:])) for name, level in kinds]
        images = apply_grouped(images, table, kind_of[policy].where(happens, -1), negative)
    return images


def apply_grouped(images: Tensor, table: Sequence[tuple[str, float]], choice: Tensor, negative: Tensor) -> Tensor:
    """Each image under the row of `table` (operation, magnitude) that it chose; a choice of -1 leaves it alone.

    Args:
        choice: (batch,) rows of `table`, on the CPU, so that grouping never waits for a GPU.
        negative: (batch,) whether the magnitude's sign is turned, where the operation has one.
    """
    signed = torch.tensor([name in _SIGNED for name, _ in table])
    key = (2 * choice + (negative & signed[choice])).where(choice >= 0, -1)
    done = images.clone()
    for each in key.unique().tolist():
        if each < 0 or table[each // 2][0] == "Identity":
            continue
        name, strength = table[each // 2]
        rows = send((key == each).nonzero().squeeze(1), images.device)
        done[rows] = OPERATIONS[name](images[rows], -strength if each % 2 else strength)
    return done


def _check_channels(images: Tensor) -> None:
    if images.shape[1] not in (1, 3):
        raise ConfigError(
            f"RandAugment and AutoAugment are defined for 1 or 3 channels, got {images.shape[1]}.",
            "Set training.augmentation=crop_flip.",
        )
