"""Content and style at one size, and what has to be said of them before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from core.errors import ConfigError

LEAST_SIDE, MOST_SIDE = 32, 512
# A longer one is cut, from its middle: of a panorama at 128 pixels nothing would be left.
MOST_ASPECT = 3
# Grey values, as a standard deviation: below it a picture is of one colour.
_ONE_COLOUR = 1.0


def fit_pictures(content: Image.Image, style: Image.Image, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Both as (height, width, 3) uint8 of one size, the longer side of the content being `side` pixels.

    The style is scaled to cover the content and cut from its middle, as in the paper, where both have one size.

    Raises:
        ConfigError: `side` is out of bounds.
    """
    if not LEAST_SIDE <= side <= MOST_SIDE:
        raise ConfigError(f"The size is {side} pixels.", f"Choose one from {LEAST_SIDE} to {MOST_SIDE}.")
    width, height = content.size
    scale = side / min(max(width, height), MOST_ASPECT * min(width, height))
    size = (min(side, max(1, round(width * scale))), min(side, max(1, round(height * scale))))
    return covered(content, size), covered(style, size)


def covered(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """`image` scaled until it covers (width, height) and cut from its middle, (height, width, 3) uint8."""
    image = image.convert("RGB")
    scale = max(size[0] / image.width, size[1] / image.height)
    # Rounding must not push the box out of the picture.
    left, top = max(0.0, (image.width - size[0] / scale) / 2), max(0.0, (image.height - size[1] / scale) / 2)
    box = (left, top, image.width - left, image.height - top)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS, box=box)).copy()


def style_notes(content: Image.Image, style: Image.Image, side: int) -> Iterator[str]:
    """What a viewer should know of the two pictures, in sentences."""
    if np.asarray(style.convert("RGB"), dtype=np.float32).std(axis=(0, 1)).max() < _ONE_COLOUR:
        yield (
            "The style is of one colour: away from the edge its Gram matrices have rank one, so there is no texture to "
            "take over, only that colour."
        )
    if max(content.size) < min(side, LEAST_SIDE):
        yield (
            f"The content has only {content.width} × {content.height} pixels and is enlarged: there is little in it "
            "that could be kept."
        )
    if max(content.size) > MOST_ASPECT * min(content.size):
        yield f"The content is more than {MOST_ASPECT} times as long as wide: its middle is used."
