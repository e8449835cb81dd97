"""From a photo to a map and back to colours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from core.data.transforms import HALF_NORMALISATION, Preprocessing
from core.errors import ShapeError
from core.methods.operators.picture import (
    colour_readout,
    patch_picture,
    picture_contrast,
    read_colours,
    small_picture,
)
from core.methods.operators.single_layer import OperatorSettings, patch_map, random_layers

PICTURE = np.random.default_rng(0).random((6, 7, 3), dtype=np.float32)


def test_colours_that_went_in_linearly_are_read_back():
    mixing = np.random.default_rng(1).normal(size=(8, 3))
    values = np.einsum("ck,hwk->chw", mixing, PICTURE)
    readout = colour_readout(values, PICTURE)
    np.testing.assert_allclose(read_colours(values, readout, PICTURE), PICTURE, atol=0.02)
    # Scale and offset of an output are not seen: it is shown at the picture's mean and contrast.
    np.testing.assert_allclose(read_colours(5 * values + 3, readout, PICTURE), PICTURE, atol=0.02)


def test_an_output_without_contrast_is_the_mean_colour():
    values = np.random.default_rng(1).normal(size=(4, 6, 7))
    flat = read_colours(np.ones((4, 6, 7)), colour_readout(values, PICTURE), PICTURE)
    np.testing.assert_allclose(flat, np.broadcast_to(PICTURE.mean(axis=(0, 1)), PICTURE.shape), atol=1e-6)
    one = PICTURE[:1, :1]
    np.testing.assert_allclose(read_colours(values[:, :1, :1], colour_readout(values[:, :1, :1], one), one), one)


def test_contrast_by_hand():
    mean, spread = picture_contrast(np.array([[[0, 0, 0], [1, 1, 1]]], dtype=np.float32))
    assert mean.tolist() == [0.5, 0.5, 0.5]
    assert spread == 0.5


def test_positions_have_to_be_the_same():
    with pytest.raises(ShapeError, match=r"values are at \(2, 2\) positions, the picture at \(6, 7\)"):
        colour_readout(np.zeros((3, 2, 2)), PICTURE)


def test_pictures_are_reduced_and_never_enlarged():
    grey = Image.new("L", (200, 100), 128)
    assert small_picture(grey, 32).shape == (16, 32, 3)
    assert small_picture(grey.resize((5, 3)), 32).shape == (3, 5, 3)
    assert small_picture(Image.new("RGB", (1600, 20)), 64).shape == (1, 64, 3)
    np.testing.assert_allclose(small_picture(grey, 8), 128 / 255)


def test_patches_of_what_a_network_sees():
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    pixels[:2, 2:] = 255
    image, network = Image.fromarray(pixels), Preprocessing(size=4, normalisation=HALF_NORMALISATION)
    patches, photo = patch_picture(image, network, (2, 2))
    assert patches[..., 0].tolist() == [[0, 1], [0, 0]]
    np.testing.assert_array_equal(photo, pixels / np.float32(255))


def test_a_neighbourhood_of_one_is_the_colour_and_a_larger_one_reaches_as_far():
    settings = {"normalise": False, "channels": 4}
    moved = PICTURE.copy()
    moved[3, 3] += 0.5
    moved[0, 0] -= 0.5  # the mean stays: only these two have changed
    for side, reach in ((1, 0), (3, 1), (5, 2)):
        plain, other = (
            random_layers(each, OperatorSettings(neighbourhood=side, **settings))["attention"].inputs.numpy()
            for each in (PICTURE, moved)
        )
        assert plain.shape == (4, 6, 7)
        changed = np.abs(plain - other).max(axis=0) > 1e-4
        expected = np.zeros((6, 7), dtype=bool)
        expected[3 - reach : 4 + reach, 3 - reach : 4 + reach] = True
        expected[: 1 + reach, : 1 + reach] = True
        assert (changed == expected).all()


def test_patches_as_a_vit_cuts_them():
    found = patch_map(PICTURE, patch_size=3, channels=5)
    assert found.shape == (1, 5, 2, 2)  # the seventh column is left over
    with pytest.raises(ShapeError, match="a patch at least"):
        patch_map(PICTURE, patch_size=8)
    with pytest.raises(ShapeError, match="height, width, colours"):
        patch_map(PICTURE[..., 0])
