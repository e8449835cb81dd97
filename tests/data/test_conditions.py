import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from core.data.conditions import CONDITIONS, blur, change, edges, find_object, shuffle_parts, silhouette
from core.data.examples import load_example
from core.data.transforms import HALF_NORMALISATION, Preprocessing, crop_to_square
from core.errors import ConfigError, UnknownNameError


def _disc(side: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """A red disc on a green ground with noise, and where it is."""
    random = np.random.default_rng(0)
    picture = Image.new("RGB", (side, side), (40, 150, 60))
    ImageDraw.Draw(picture).ellipse((side * 0.25, side * 0.3, side * 0.75, side * 0.8), fill=(200, 50, 40))
    pixels = np.asarray(picture).astype(int) + random.integers(-15, 16, (side, side, 3))
    return pixels.clip(0, 255).astype(np.uint8), np.asarray(picture)[..., 0] > 100


def _photo(side: int = 96) -> np.ndarray:
    return np.asarray(crop_to_square(load_example("cat"), Preprocessing(size=side, normalisation=HALF_NORMALISATION)))


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_condition_draws_a_picture_of_the_same_shape_and_leaves_the_first_alone(name):
    photo = _photo()
    before = photo.copy()
    changed = change(photo, name)
    assert changed.shape == photo.shape
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(photo, before)
    np.testing.assert_array_equal(changed, change(photo, name))
    assert (changed is photo) == (name == "whole")


def test_an_object_is_found_by_its_colour():
    picture, truth = _disc()
    found = find_object(picture)
    assert (found & truth).sum() / (found | truth).sum() > 0.85
    drawn = silhouette(picture)
    assert set(np.unique(drawn)) == {0, 255}
    assert (drawn[found] == 0).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_where_there_is_nothing_there_is_no_silhouette_of_it(level):
    flat = np.full((64, 64, 3), level, np.uint8)
    found = silhouette(flat)
    assert found is None or (found == 0).mean() <= 0.85


@given(parts=st.integers(2, 8), seed=st.integers(0, 500), side=st.integers(16, 40))
def test_shuffling_keeps_every_part_and_leaves_none_in_its_place(parts, seed, side):
    image = np.arange(side * side * 3).reshape(side, side, 3) % 251
    image = image.astype(np.uint8)
    image[..., 0] = np.arange(side)[:, None] * side // 8 + np.arange(side)[None] % 7
    shuffled = shuffle_parts(image, parts, seed)
    block = side // parts

    def squares(picture):
        inside = picture[: block * parts, : block * parts]
        return inside.reshape(parts, block, parts, block, 3).swapaxes(1, 2).reshape(parts * parts, -1)

    assert sorted(map(bytes, squares(shuffled))) == sorted(map(bytes, squares(image)))
    np.testing.assert_array_equal(shuffled[block * parts :], image[block * parts :])


def test_no_part_stays():
    image = np.repeat(np.repeat(np.arange(16, dtype=np.uint8).reshape(4, 4), 8, 0), 8, 1)[..., None].repeat(3, 2)
    for seed in range(20):
        assert not (shuffle_parts(image, 4, seed) == image).any()


def test_blur_keeps_the_mean_and_takes_the_contrast():
    photo = _photo()
    blurred = blur(photo, 5)
    assert abs(blurred.mean() - photo.mean()) < 1
    assert blurred.std() < 0.8 * photo.std()
    assert blur(photo, 10).std() < blurred.std()


def test_edges_are_where_brightness_changes():
    picture, _ = _disc()
    drawn = edges(picture, 1.0)[..., 0]
    rows, columns = np.nonzero(drawn < 128)
    distance = np.abs(np.hypot(rows - 0.55 * 96, columns - 0.5 * 96) - 0.25 * 96)
    assert len(rows) > 60
    assert distance.max() < 5
    assert (edges(np.full((32, 32, 3), 90, np.uint8), 1.0) == 255).all()


def test_what_there_is_not():
    with pytest.raises(UnknownNameError, match="geons"):
        change(_photo(), "geons")
    with pytest.raises(ConfigError):
        shuffle_parts(_photo(16), 1, 0)
    with pytest.raises(ConfigError):
        shuffle_parts(_photo(16), 20, 0)
