"""Patch tokens drawn over their photos."""

from __future__ import annotations

import numpy as np
from PIL import Image

from core.figures.overlay import overlay
from core.figures.patches import image_sheet

OPACITY = 0.75
CELL = 224


def colours_over(photo: np.ndarray, colours: np.ndarray, figure: np.ndarray) -> np.ndarray:
    """A photo (height, width, 3) uint8 under its patches' colours, (rows, columns, 3) in [0, 1], where `figure`."""
    size = (photo.shape[1], photo.shape[0])
    wide = [
        np.asarray(Image.fromarray(np.round(values).astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
        for values in (colours * 255, figure * 255 * OPACITY)
    ]
    share = wide[1][..., None] / 255
    return np.round(photo * (1 - share) + wide[0] * share).astype(np.uint8)


def colour_sheet(photos: list[np.ndarray], colours: np.ndarray, figure: np.ndarray) -> np.ndarray:
    """All photos in a row, coloured: RGBA."""
    drawn = [colours_over(*each) for each in zip(photos, colours, figure, strict=True)]
    return image_sheet([np.stack([_square(each) for each in drawn])], cell=CELL)


def likeness_sheet(photos: list[np.ndarray], likeness: np.ndarray) -> np.ndarray:
    """All photos in a row under how like each patch is to the chosen one (photos, rows, columns): RGBA.

    The scale begins with the 2 % least alike: in some layers all are alike, and their differences are the point.
    """
    low = float(np.quantile(likeness, 0.02))
    scale = (min(low, 0.999), 1.0)
    drawn = [overlay(photo, part, scale=scale, smooth=False) for photo, part in zip(photos, likeness, strict=True)]
    return image_sheet([np.stack([_square(each) for each in drawn])], cell=CELL)


def _square(pixels: np.ndarray) -> np.ndarray:
    """At the size of a cell, whatever size each photo is shown at."""
    return np.asarray(Image.fromarray(pixels).resize((CELL, CELL), Image.Resampling.LANCZOS))
