"""Small images, large: what augmentation makes of them, and the patches that a ViT cuts them into."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def image_sheet(rows: Sequence[np.ndarray], *, cell: int = 112, gap: int = 6, first_apart: bool = True) -> np.ndarray:
    """Rows of images, each (count, height, width, 3) uint8, as one picture with every pixel visible.

    RGBA, so that the gaps show the page.

    Args:
        first_apart: a wider gap sets the first row apart from the others.
    """
    count = max(len(row) for row in rows)
    apart = gap if first_apart and len(rows) > 1 else 0
    height = len(rows) * (cell + gap) - gap + apart
    sheet = np.zeros((height, count * (cell + gap) - gap, 4), dtype=np.uint8)
    for line, row in enumerate(rows):
        top = line * (cell + gap) + (apart if line else 0)
        for column, image in enumerate(row):
            left = column * (cell + gap)
            sheet[top : top + cell, left : left + cell, :3] = enlarge(image, cell)
            sheet[top : top + cell, left : left + cell, 3] = 255
    return sheet


def patch_grid(image: np.ndarray, patch_size: int, *, side: int = 320) -> np.ndarray:
    """The image (height, width, 3) uint8 at `side` pixels with a line around every patch."""
    size = image.shape[0]
    large = enlarge(image, side).copy()
    lines = np.round(np.arange(0, size + 1, patch_size) * side / size).astype(int)
    for line in lines[1:-1]:
        # Half-way to white: patches of two pixels would drown under full lines.
        large[max(0, line - 1) : line + 1] = large[max(0, line - 1) : line + 1] // 2 + 127
        large[:, max(0, line - 1) : line + 1] = large[:, max(0, line - 1) : line + 1] // 2 + 127
    return large


def sharp(image: np.ndarray, side: int = 448) -> np.ndarray:
    """A small image up to `side` pixels, each pixel a square of the same size: browsers blur what they enlarge."""
    return enlarge(image, image.shape[0] * max(1, side // image.shape[0]))


def enlarge(image: np.ndarray, side: int) -> np.ndarray:
    """Nearest neighbours, so that a pixel stays a square: (side, side, 3) uint8."""
    rows, columns = np.arange(side) * image.shape[0] // side, np.arange(side) * image.shape[1] // side
    large = image[rows][:, columns]
    return np.broadcast_to(large, (side, side, 3)) if large.shape[-1] == 1 else large
