"""Patch features on Home."""

from __future__ import annotations

from core.figures.patch_features import colours_over
from core.methods.patch_features.patch_features import patch_colours
from pages.patch_features.features import tokens_of
from pages.shared.cache import display_photo, loaded_model
from pages.shared.pickers import Picture
from pages.shared.tiles import Tiles, eye, square, tile

TOUR = ("**Patch features**: point at an eye of the cat. Which patch of the flower is most like it, and why?",)


def colours(picture: Picture) -> None:
    """The last layer as colours."""
    name = eye()
    found = tokens_of(name, (picture.digest,), [picture])
    drawn = patch_colours(found.tokens[-1], found.grid)
    photo = display_photo(loaded_model(name), picture.digest, picture.image)
    tile(
        square(colours_over(photo, drawn.colours[0], drawn.figure[0])),
        "Patch features",
        "Patches that the last layer holds to be alike have the same colour.",
        "patch_features",
    )


TILES: Tiles = ((1, colours),)
