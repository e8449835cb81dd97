"""Masking on Home."""

from __future__ import annotations

import numpy as np

from core.figures.masking import masked_thumbnail
from core.methods.attention.attention import readout_maps
from pages.shared.cache import described_model, display_photo, maps_of
from pages.shared.pickers import Picture
from pages.shared.tiles import Tiles, eye, square, tile

TOUR = ("**Masking**: take the most attended patches away, then as many at random. That is how you find out.",)


def masked(picture: Picture) -> None:
    """The photo without what is most attended."""
    name = eye()
    photo = display_photo(described_model(name), picture.digest, picture.image)
    last = np.abs(readout_maps(maps_of(name, picture.digest, picture.image))[-1])
    tile(
        square(masked_thumbnail(photo, last.mean(axis=0), share=0.4)),
        "Masking",
        "The 40 % of patches most attended, taken away. Does the prediction survive?",
        "masking",
    )


TILES: Tiles = ((1, masked),)
