"""Patch masking: hide part of a photo and watch the prediction change.

Masks live on a grid of patches and are applied to pixels, so a CNN can be asked the same question as a ViT. Hiding a
patch needs something in its place, and every choice is visible to the model: see `core.methods.masking.orders.Fill`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from core.data.transforms import Normalisation, standardise, to_pixels
from core.device import as_input_of, inference
from core.errors import ConfigError, ShapeError
from core.finite import require_finite
from core.methods.accuracy.targets import Target, target_confidence
from core.methods.masking.orders import (
    Fill,
    MaskingCurve,
    RandomBand,
    Responses,
    masking_order,
    removal_keeps,
    removal_shares,
)
from core.methods.masking.passes import PLAIN, Answer, Passes
from core.reports import OnProgress, silent
from core.seeding import stream_seed, torch_generator

if TYPE_CHECKING:  # imported by who computes: pages show what is known already before PyTorch is there
    from torch import Tensor, nn


def mask_patches(images: Tensor, keep: Tensor, fill: Fill, *, normalisation: Normalisation, seed: int = 0) -> Tensor:
    """The images with the patches that are not kept filled in: (n, channels, height, width).

    The noise depends on `seed` and the image size alone, so that two masks of one image differ only in their masks.

    Args:
        images: (n, channels, height, width), normalised; a single image is repeated for every mask.
        keep: bool (n, rows, columns); the grid may have any shape, and sides that do not divide the image give
            patches that differ by a pixel. A single mask is used for every image.
        normalisation: what the images went through; black and noise are colours before it.

    Raises:
        ShapeError: counts do not match, or there are more patches than pixels along a side.
    """
    import torch

    count = max(len(images), len(keep))
    if {len(images), len(keep)} - {1, count} or keep.ndim != 3:
        raise ShapeError(
            f"Got {len(images)} images and masks of shape {tuple(keep.shape)}; expected (images, rows, columns)."
        )
    require_finite("The images", images, "Decode them again.")
    kept = _pixels(keep.to(images.device, torch.bool), (images.shape[-2], images.shape[-1]))
    return torch.where(kept[:, None], images, _filling(images, fill, normalisation, seed))


def masked_pixels(
    image: Tensor, keep: np.ndarray, fill: Fill, *, normalisation: Normalisation, seed: int = 0
) -> np.ndarray:
    """What `mask_patches` shows the model of one `image` (1, channels, height, width), as a picture.

    `keep`: bool (rows, columns). Returns (height, width, channels) uint8: the normalisation undone, nothing else.
    """
    import torch

    masked = mask_patches(image, torch.from_numpy(keep)[None], fill, normalisation=normalisation, seed=seed)
    return to_pixels(masked, normalisation)[0].cpu().numpy()


@inference
def masked_responses(
    module: nn.Module,
    image: Tensor,
    target: Target,
    keeps: np.ndarray,
    *,
    fill: Fill = "mean",
    normalisation: Normalisation,
    seed: int = 0,
    passes: Passes = PLAIN,
    on_progress: OnProgress = silent,
) -> Responses:
    """What the model says about `image` under each of `keeps`, equal masks computed once, in the order given.

    Args:
        image: (1, channels, height, width), normalised.
        keeps: bool (masks, rows, columns).
        on_progress: called with the share done in [0, 1] and what is going on, in words.
    """
    if len(image) != 1:
        raise ShapeError(f"Expected one image, got a batch of {len(image)}.")
    image = as_input_of(module, image)
    keeps = np.ascontiguousarray(keeps, dtype=bool)
    names = [keep.tobytes() for keep in keeps]
    known = {} if passes.known is None else passes.known
    new = {name: keep for name, keep in zip(names, keeps, strict=True) if name not in known}
    filling = _filling(image, fill, normalisation, seed) if new else image
    size = passes.size_on(image.device)
    for start in range(0, len(new), size):
        with passes.turn():
            # Whoever had the model meanwhile may have asked the same.
            batch = {name: new[name] for name in list(new)[start : start + size] if name not in known}
            if batch:
                answers = _answers(module, image, target, np.stack(list(batch.values())), filling)
                known |= dict(zip(batch, answers, strict=True))
        done = min(start + size, len(new))
        on_progress(done / len(new), f"{done} of {len(new)} masked images")
    confidence, classes, probabilities = zip(*(known[name] for name in names), strict=True)
    of_class = target.class_index is not None
    return Responses(
        confidence=np.array(confidence, dtype=np.float32),
        top_class=np.array(classes, dtype=np.int64) if of_class else None,
        top_probability=np.array(probabilities, dtype=np.float32) if of_class else None,
    )


def _answers(module: nn.Module, image: Tensor, target: Target, keeps: np.ndarray, filling: Tensor) -> list[Answer]:
    """One pass: the answer under each of `keeps` (masks, rows, columns)."""
    import torch

    kept = _pixels(torch.from_numpy(keeps).to(image.device), (image.shape[-2], image.shape[-1]))
    masked = torch.where(kept[:, None], image, filling)
    if target.class_index is None:
        cosines = target_confidence(module, masked, target).float().cpu().numpy()
        require_finite("The model's answers to masked images", cosines)
        return [(cosine, None, None) for cosine in cosines.tolist()]
    over_classes = module(masked).float().softmax(dim=1)
    confidence = over_classes[:, target.class_index].cpu().numpy()
    require_finite("The model's answers to masked images", confidence)
    best = over_classes.max(dim=1)
    return list(zip(confidence.tolist(), best.indices.tolist(), best.values.tolist(), strict=True))


def masking_curve(
    module: nn.Module,
    image: Tensor,
    target: Target,
    order: np.ndarray,
    *,
    grid: tuple[int, int],
    fill: Fill = "mean",
    steps: int = 20,
    normalisation: Normalisation,
    seed: int = 0,
    passes: Passes = PLAIN,
    on_progress: OnProgress = silent,
) -> MaskingCurve:
    """Remove the patches of `image` (1, channels, height, width) in `order`, in `steps` equal steps.

    `seed` is that of the noise fill.
    """
    shares = removal_shares(len(order), steps)
    responses = masked_responses(
        module,
        image,
        target,
        removal_keeps(order, shares, grid),
        fill=fill,
        normalisation=normalisation,
        seed=seed,
        passes=passes,
        on_progress=on_progress,
    )
    return MaskingCurve(
        shares=shares.astype(np.float32),
        confidence=responses.confidence,
        top_class=responses.top_class,
        top_probability=responses.top_probability,
    )


def random_band(
    module: nn.Module,
    image: Tensor,
    target: Target,
    *,
    grid: tuple[int, int],
    fill: Fill = "mean",
    steps: int = 20,
    orders: int = 10,
    normalisation: Normalisation,
    seed: int = 0,
    passes: Passes = PLAIN,
    on_progress: OnProgress = silent,
) -> RandomBand:
    """The masking curve of `orders` random orders, seeded `seed`, `seed + 1`, …"""
    shares = removal_shares(grid[0] * grid[1], steps)
    seeds = tuple(range(seed, seed + orders))
    keeps = [removal_keeps(masking_order("random", grid, seed=each), shares, grid) for each in seeds]
    responses = masked_responses(
        module,
        image,
        target,
        np.concatenate(keeps),
        fill=fill,
        normalisation=normalisation,
        seed=seed,
        passes=passes,
        on_progress=on_progress,
    )
    curves = responses.confidence.reshape(orders, steps + 1)
    return RandomBand(
        shares=shares.astype(np.float32),
        curves=curves,
        mean=curves.mean(axis=0),
        std=curves.std(axis=0, ddof=1) if orders > 1 else np.zeros(steps + 1, dtype=np.float32),
        seeds=seeds,
    )


def _pixels(keep: Tensor, size: tuple[int, int]) -> Tensor:
    """(n, rows, columns) → (n, height, width): each pixel belongs to the patch that its top left corner lies in."""
    import torch

    rows, columns = keep.shape[-2:]
    if rows > size[0] or columns > size[1]:
        raise ShapeError(f"A {rows}×{columns} grid has more patches than the {size[0]}×{size[1]} image has pixels.")
    row = torch.arange(size[0], device=keep.device) * rows // size[0]
    column = torch.arange(size[1], device=keep.device) * columns // size[1]
    return keep[:, row][:, :, column]


def _filling(images: Tensor, fill: Fill, normalisation: Normalisation, seed: int) -> Tensor:
    """What lies under the patches, broadcastable to `images`."""
    import torch

    if fill == "mean":
        return images.mean(dim=(2, 3), keepdim=True)
    if fill == "blur":
        return _blur(images, max(images.shape[-2:]) / 16)
    if fill == "black":
        return standardise(torch.zeros(1, images.shape[1], 1, 1, device=images.device), normalisation).to(images.dtype)
    if fill == "noise":
        # Drawn on the CPU: the same seed then gives the same picture on every device.
        noise = torch.rand(1, *images.shape[1:], generator=torch_generator(stream_seed("masking noise", seed))).to(
            images.device
        )
        return standardise(noise, normalisation).to(images.dtype)
    raise ConfigError(f"There is no fill {fill!r}.", "Choose mean, blur, black or noise.")


def _blur(images: Tensor, deviation: float) -> Tensor:
    """Gaussian blur, edges reflected."""
    import torch
    import torch.nn.functional as F

    channels = images.shape[1]
    for axis in (2, 3):
        radius = min(math.ceil(3 * deviation), images.shape[axis] - 1)
        offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
        kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
        shape = (channels, 1, -1, 1) if axis == 2 else (channels, 1, 1, -1)
        weight = (kernel / kernel.sum()).expand(channels, 1, -1).reshape(shape)
        padding = (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0)
        images = F.conv2d(F.pad(images, padding, mode="reflect"), weight, groups=channels)
    return images
