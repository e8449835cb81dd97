"""Anatomy on Home."""

from __future__ import annotations

from core.figures.positional import positional_thumbnail
from pages.shared.cache import positional_of
from pages.shared.pickers import Picture
from pages.shared.tiles import SMALL, Tiles, square, tile

TOUR = ("**Anatomy**: the positions that the model learned, without ever being told that images have rows.",)


def positions(picture: Picture) -> None:
    """The same for every photo."""
    tile(
        square(positional_thumbnail(positional_of(SMALL, "cosine"))),
        "Anatomy",
        "How alike the learned positions of the patches are: the grid, rediscovered.",
        "anatomy",
    )


TILES: Tiles = ((1, positions),)
