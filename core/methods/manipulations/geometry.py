"""Manipulations of place and of detail: (images, 3, height, width) in [0, 1] each."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.methods.manipulations.draws import Draws, normal
from core.seeding import stream


def scramble(images: Tensor, strength: float, draws: Draws) -> Tensor:
    """Equal tiles in another order: one permutation an image, never the identity.

    There are at most as many tiles along a side as pixels. Where the tiles do not fill a side, they stand in its
    middle, and the pixels around them stay where they are.
    """
    height, width = images.shape[-2:]
    rows, columns = min(int(strength), height), min(int(strength), width)
    tall, wide = height // rows, width // columns
    top, left = (height - rows * tall) // 2, (width - columns * wide) // 2
    inner = (..., slice(top, top + rows * tall), slice(left, left + columns * wide))
    tiles = images[inner].unflatten(2, (rows, tall)).unflatten(4, (columns, wide))
    tiles = tiles.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)  # (images, tiles, 3, tall, wide)
    order = np.stack([_other_order(stream("order of tiles", *image), rows * columns) for image in draws.images])
    image = torch.arange(len(images), device=images.device)[:, None]
    moved = tiles[image, torch.from_numpy(order).to(images.device)]
    moved = moved.unflatten(1, (rows, columns)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
    if moved.shape == images.shape:
        return moved
    changed = images.clone()
    changed[inner] = moved
    return changed


def elastic(images: Tensor, strength: float, smoothness: float, draws: Draws) -> Tensor:
    """A smooth random displacement: `strength` percent of the shorter side along each axis (root mean square).

    `smoothness`, the standard deviation of the Gaussian that smooths the field, is a share of the shorter side too, so
    that a picture is distorted alike at any size.

    Source: Simard, Steinkraus and Platt 2003; torchvision's `v2.ElasticTransform`, see `from_torchvision`.
    Differs from torchvision: the field is Gaussian and equally strong up to the border, each image has its own, and
    what lies outside is the picture mirrored, not black.
    """
    height, width = images.shape[-2:]
    side = min(height, width)
    streams = [stream("field of displacements", *image) for image in draws.images]
    field = normal(streams, 2, height, width, like=images)
    vertical, horizontal = (_gaussian_rows(size, smoothness * side).to(images.device) for size in (height, width))
    # Rows of unit length: the smoothed field has variance 1 everywhere.
    vertical, horizontal = F.normalize(vertical, dim=1), F.normalize(horizontal, dim=1)
    moved = vertical @ field @ horizontal.T * (strength / 100 * side)  # pixels
    down = torch.arange(height, device=images.device)[:, None] + moved[:, 0]
    right = torch.arange(width, device=images.device) + moved[:, 1]
    grid = torch.stack([(2 * right + 1) / width - 1, (2 * down + 1) / height - 1], dim=-1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def from_torchvision(alpha: float, sigma: float, size: int) -> tuple[float, float]:
    """Strength and smoothness of `elastic` that move pixels as far as `v2.ElasticTransform(alpha, sigma)` does.

    torchvision smooths numbers uniform in [−1, 1] (variance 1/3) with a Gaussian of `sigma` pixels, which divides their
    standard deviation by 2 √π sigma, and moves a pixel by alpha / 2 times that, at any `size` of the shorter side.
    """
    moved = alpha / 2 / 3**0.5 / (2 * torch.pi**0.5 * sigma)
    return 100 * moved / size, sigma / size


def blur(images: Tensor, strength: float) -> Tensor:
    """A Gaussian of `strength` pixels; at the border over what there is."""
    height, width = images.shape[-2:]
    return _along_sides(images, _gaussian_rows(height, strength), _gaussian_rows(width, strength))


def pixelate(images: Tensor, strength: float) -> Tensor:
    """The mean over squares of `strength` pixels; the last of a side are smaller where they do not fit."""
    height, width = images.shape[-2:]
    return _along_sides(images, _block_rows(height, int(strength)), _block_rows(width, int(strength)))


def _along_sides(images: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Weighted means along both sides; the weights (height, height) and (width, width) sum to 1 in each row."""
    return vertical.to(images) @ images @ horizontal.to(images).T


def _gaussian_rows(size: int, deviation: float) -> Tensor:
    """(size, size) weights of a Gaussian around each place, each row summing to 1."""
    place = torch.arange(size, dtype=torch.float64)
    # A deviation whose square is no number is that of the place itself: nothing is blurred.
    return torch.softmax(-((place[:, None] - place) ** 2) / (2 * max(deviation, 1e-3) ** 2), dim=1).float()


def _block_rows(size: int, side: int) -> Tensor:
    block = torch.arange(size) // side
    same = (block[:, None] == block).float()
    return same / same.sum(dim=1, keepdim=True)


def _other_order(generator: np.random.Generator, count: int) -> np.ndarray:
    """A permutation, uniform among all but the identity; of a single tile there is no other."""
    order = generator.permutation(count)
    while count > 1 and bool((order == np.arange(count)).all()):
        order = generator.permutation(count)
    return order
