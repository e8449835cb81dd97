"""Attention on Home."""

from __future__ import annotations

import numpy as np

from core.figures.overlay import mosaic, overlay
from core.methods.attention.attention import readout_maps
from pages.shared.cache import described_model, display_photo, explanation_of, maps_of, rollout_of
from pages.shared.foreign import plain
from pages.shared.pickers import Picture
from pages.shared.tiles import SMALL, Tiles, eye, square, tile

TOUR = (
    "**Attention**: move the pointer over the cup, then over the table. Who looks where?",
    "Same page, the mosaic: find a head that looks at neighbours only, and one that finds the cup.",
    "**Explanations** tab: three methods, three maps. Which one do you believe?",
)


def last_layer(picture: Picture) -> None:
    """The mean of all heads."""
    name = eye()
    photo = display_photo(described_model(name), picture.digest, picture.image)
    last = np.abs(readout_maps(maps_of(name, picture.digest, picture.image))[-1])
    text = f"What {plain(described_model(name).spec.title)} looks at in its last layer."
    tile(square(overlay(photo, last.mean(axis=0))), "Attention", text, "attention")


def heads(picture: Picture) -> None:
    """The end of the mosaic."""
    name = eye()
    maps = maps_of(name, picture.digest, picture.image)
    photo = display_photo(described_model(name), picture.digest, picture.image)
    grid = mosaic(photo, readout_maps(maps)[-maps.heads :], cell=72, signed=maps.signed)
    tile(square(grid), "Layers and heads", "The last layers (rows) and every head (columns).", "attention")


def rollout(picture: Picture) -> None:
    """All layers together."""
    name = eye()
    photo = display_photo(described_model(name), picture.digest, picture.image)
    values = rollout_of(name, picture.digest, "mean", 0.0, True, picture.image)[-1]
    tile(square(overlay(photo, values)), "Rollout", "Attention followed back through all layers.", "attention")


def relevance(picture: Picture) -> None:
    """What spoke for the predicted class."""
    photo = display_photo(described_model(SMALL), picture.digest, picture.image)
    values = explanation_of(SMALL, picture.digest, "relevance", None, picture.image)
    text = f"What spoke for the class that {plain(described_model(SMALL).spec.title)} predicts."
    tile(square(overlay(photo, values)), "Relevance", text, "attention")


TILES: Tiles = ((1, last_layer), (1, heads), (1, rollout), (1, relevance))
