"""Several data sets as one, at one size: their classes one after another, their images resized when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from core.data.arrays import ArrayDataset
from core.data.loading import Rows
from core.errors import ConfigError


class Resized:
    """Images that stay as they are stored and come out at `size` pixels a side; reads like the array of those."""

    def __init__(self, images: np.ndarray, size: int) -> None:
        """images: (images, side, side, 3) uint8, or what reads like it."""
        self._images, self._size = images, size
        self.shape = (len(images), size, size, 3)
        self.dtype = np.dtype(np.uint8)
        self.nbytes = int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: Any) -> np.ndarray:
        import torch

        from core.data.transforms import resize

        found = np.array(self._images[chosen])
        if found.shape[-2] == self._size:
            return found
        single = found.ndim == 3
        pixels = torch.from_numpy(found[None] if single else found).permute(0, 3, 1, 2).float()
        resized = resize(pixels, self._size).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        return resized[0] if single else resized


def mix_datasets(parts: Sequence[ArrayDataset], size: int, repeats: Sequence[int] = ()) -> ArrayDataset:
    """All of `parts` as one split, its classes those of the first, then those of the second, and so on.

    Args:
        repeats: how often each part's images are in it; once where it is empty.

    Raises:
        ConfigError: a part's images are not square and of three channels.
    """
    for part in parts:
        height, width, channels = part.images.shape[1:]
        if height != width or channels != 3:
            raise ConfigError(
                f"{part.name} has images of {height} by {width} pixels and {channels} channels.",
                "Choose data sets of square colour images.",
            )
    starts = np.cumsum([0, *(len(part) for part in parts)])
    rows = [
        np.tile(np.arange(first, last), times)
        for first, last, times in zip(starts, starts[1:], repeats or [1] * len(parts), strict=False)
    ]
    offsets = np.cumsum([0, *(len(part.classes) for part in parts)])
    labels = np.concatenate([np.asarray(part.labels) + offset for part, offset in zip(parts, offsets, strict=False)])
    order = np.concatenate(rows)
    images: list[Any] = [Resized(part.images, size) for part in parts]
    return replace(
        parts[0],
        name="+".join(part.name for part in parts),
        images=Rows(images, order),  # type: ignore[arg-type]
        labels=labels[order],
        classes=tuple(name for part in parts for name in part.classes),
    )


def class_groups(parts: Sequence[ArrayDataset]) -> np.ndarray:
    """Of each class of `mix_datasets(parts)`, which part it belongs to: (classes,) int64."""
    return np.repeat(np.arange(len(parts)), [len(part.classes) for part in parts])
