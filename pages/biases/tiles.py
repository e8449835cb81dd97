"""Biases on Home."""

from __future__ import annotations

import numpy as np

from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.steps import Step
from pages.biases.photo import versions_of
from pages.shared.pickers import Picture
from pages.shared.tiles import Tiles, tile

SHOWN = ("grey", "hue", "scramble", "elastic", "silhouette", "edges", "noise_patch", "pixelate")
SIDE = 160

TOUR = (
    "**Biases**: take the colour away, then the shape, then the texture. Which answers stay? Those were not needed "
    "for them.",
)


def manipulated_photos(picture: Picture) -> None:
    """The photo under some manipulations, side by side."""
    variants = tuple((Step(name, MANIPULATIONS[name].usual),) for name in SHOWN)
    versions = versions_of(picture.digest, SIDE, 0, variants, picture.image)
    gap = np.full((SIDE, 6, 3), 255, np.uint8)
    strip = np.concatenate([part for version in versions for part in (version, gap)][:-1], axis=1)
    tile(strip, "Biases", "One photo without its colour, its shape, its texture. Which models still name it?", "biases")


TILES: Tiles = ((3, manipulated_photos),)
