"""From a photo to a map that operators can take, and from what they make of it back to colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.data.transforms import Preprocessing, crop_to_square
from core.errors import ShapeError
from core.finite import require_finite

if TYPE_CHECKING:
    from PIL import Image

# Of the mean variance of a channel: enough to decide between channels that say the same.
_RIDGE = 1e-3


def small_picture(image: Image.Image, side: int) -> np.ndarray:
    """(height, width, 3) float32 in [0, 1], its longer side at most `side`; smaller pictures stay as they are."""
    scale = min(1.0, side / max(image.size))
    width, height = (max(1, round(length * scale)) for length in image.size)
    reduced = image.convert("RGB")
    if scale < 1:
        from PIL import Image as Pillow

        reduced = reduced.resize((width, height), Pillow.Resampling.BOX)
    return np.asarray(reduced, dtype=np.float32) / 255


def patch_picture(
    image: Image.Image, preprocessing: Preprocessing, grid: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The mean colour of every patch that a network sees, (rows, columns, 3), and the square that it sees; in [0, 1].

    `grid`: rows and columns of patches.
    """
    photo = np.asarray(crop_to_square(image, preprocessing), dtype=np.float32) / 255
    (rows, columns), (height, width) = grid, photo.shape[:2]
    patches = photo.reshape(rows, height // rows, columns, width // columns, 3)
    return patches.mean(axis=(1, 3)), photo


def colour_readout(values: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """How the colours of a picture are read from its own values best, linearly: (3, channels) float32.

    Ridge regression on deviations from the means over positions.

    Args:
        values: (channels, height, width), what an operator mixes.
        picture: (height, width, 3), at the same positions.

    Raises:
        ShapeError: the positions are not the same.
    """
    if values.shape[1:] != picture.shape[:2]:
        raise ShapeError(f"The values are at {values.shape[1:]} positions, the picture at {picture.shape[:2]}.")
    require_finite("The values", values)
    require_finite("The picture", picture)
    read = values.reshape(len(values), -1).T.astype(np.float64)
    told = picture.reshape(-1, 3).astype(np.float64)
    read, told = read - read.mean(axis=0), told - told.mean(axis=0)
    products = read.T @ read
    products += np.eye(len(values)) * max(_RIDGE * np.trace(products) / len(values), 1e-9)
    return np.linalg.solve(products, read.T @ told).T.astype(np.float32)


def read_colours(output: np.ndarray, readout: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """What went out as a picture (height, width, 3) in [0, 1], at the mean and the contrast of `picture`.

    An output without any contrast is the mean colour everywhere.
    """
    require_finite("The output", output)
    require_finite("The picture", picture)
    colours = np.einsum("kc,chw->hwk", readout.astype(np.float64), output)
    colours -= colours.mean(axis=(0, 1))
    mean, spread = picture_contrast(picture)
    own = float(np.sqrt(np.square(colours).mean()))
    if own > 1e-12:
        colours *= spread / own
    return np.clip(mean + colours, 0, 1).astype(np.float32)


def picture_contrast(picture: np.ndarray) -> tuple[np.ndarray, float]:
    """The mean colour (3,), and the root mean square of deviations from it over positions and colours."""
    require_finite("The picture", picture)
    mean = picture.mean(axis=(0, 1), dtype=np.float64)
    return mean, float(np.sqrt(np.square(picture - mean).mean(dtype=np.float64)))
