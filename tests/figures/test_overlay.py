"""Overlays put heat where the values are, and keep scales honest."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from core.figures.overlay import (
    captioned,
    difference,
    dim_outside,
    mosaic,
    overlay,
    scale_of,
    to_data_uri,
    to_png,
)
from core.figures.positional import positional_tile, positional_tiles
from core.methods.anatomy.positional import PositionalSimilarity

GREY = np.full((64, 64, 3), 128, dtype=np.uint8)


def heat(pixels: np.ndarray) -> np.ndarray:
    """How far each pixel is from grey."""
    return np.abs(pixels.astype(int) - pixels.mean(axis=2, keepdims=True)).sum(axis=2)


def test_heat_is_where_the_value_is() -> None:
    values = np.zeros((4, 4))
    values[1, 3] = 1
    drawn = heat(overlay(GREY, values, smooth=False))
    row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    assert (row // 16, column // 16) == (1, 3)


def test_signed_zero_is_neutral_and_signs_differ() -> None:
    values = np.array([[1.0, 0.0, -1.0]])
    drawn = overlay(np.full((30, 90, 3), 128, np.uint8), values, signed=True, smooth=False).astype(int)
    positive, zero, negative = drawn[15, 15], drawn[15, 45], drawn[15, 75]
    assert positive[0] > positive[2]
    assert negative[2] > negative[0]
    assert np.ptp(zero) < 12


def test_a_signed_scale_is_symmetric_also_where_the_values_are_not() -> None:
    values = np.array([[3.0, 0.0, -1.0]])
    low, high = scale_of(values, signed=True)
    assert low == -high
    assert high > 2.9
    drawn = overlay(np.full((30, 90, 3), 128, np.uint8), values, signed=True, smooth=False).astype(int)
    positive, zero, negative = drawn[15, 15], drawn[15, 45], drawn[15, 75]
    assert np.ptp(zero) < 12  # zero has no colour
    assert positive[0] > positive[2]
    assert negative[2] > negative[0]
    assert np.ptp(positive) > np.ptp(negative)  # and a third of the value a paler one


def test_cosines_are_drawn_about_zero() -> None:
    tiles = np.full((1, 2, 1, 2), 0.9)
    tiles[0, 1] = 0.0
    similarity = PositionalSimilarity(matrix=tiles.reshape(2, 2), tiles=tiles, grid=(1, 2), measure="cosine")
    sheet = positional_tiles(similarity, scale=4).astype(int)
    assert np.ptp(sheet[2, -2]) < 12
    figure = positional_tile(similarity, 0, 0)
    assert (figure.data[0].zmin, figure.data[0].zmid, figure.data[0].zmax) == (-1, 0, 1)


def test_a_shared_scale_dims_the_weaker_map() -> None:
    strong, weak = np.full((2, 2), 1.0), np.full((2, 2), 0.2)
    own, shared = overlay(GREY, weak), overlay(GREY, weak, scale=scale_of(strong))
    assert np.array_equal(own, overlay(GREY, strong))
    assert not np.array_equal(own, shared)


def test_mosaic_layout() -> None:
    maps = np.random.default_rng(0).random((3, 2, 4, 4))
    sheet = mosaic(GREY, maps, cell=20, gap=4)
    assert sheet.shape == (3 * 24 - 4, 2 * 24 - 4, 4)
    assert sheet[0, 0, 3] == 255
    assert sheet[0, 21, 3] == 0


def test_mask_keeps_the_inside_and_greys_the_outside() -> None:
    photo = np.zeros((40, 40, 3), np.uint8)
    photo[..., 0] = 200
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:3] = True
    shown = dim_outside(photo, mask)
    np.testing.assert_array_equal(shown[20, 20], [200, 0, 0])
    assert np.ptp(shown[2, 2]) < 5


def test_equal_maps_have_no_difference() -> None:
    values = np.random.default_rng(1).random((4, 4))
    same = difference(GREY, values, values * 3)
    assert heat(same).max() < 20
    other = difference(GREY, values, values[::-1])
    assert heat(other).max() > 60


def test_files() -> None:
    sheet = captioned([GREY, GREY], ["left", "right"])
    assert sheet.shape == (92, 136, 3)
    assert Image.open(io.BytesIO(to_png(sheet))).size == (136, 92)
    assert to_data_uri(GREY).startswith("data:image/webp;base64,")
