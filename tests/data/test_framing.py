"""Squashed, padded, or another square: what an address says is what is seen, and recipes open the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.data.examples import load_example
from core.data.framing import View, framed, split_view
from core.data.pictures import open_picture
from core.data.transforms import HALF_NORMALISATION, Preprocessing, crop_to_square, shared_part
from tests.examples import examples


def coordinates(width: int, height: int) -> Image.Image:
    """A photo whose red and green say how far along and down a pixel is."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(
        np.stack([x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), 0 * x], axis=-1).astype(np.uint8)
    )


@given(place=st.floats(0, 1), framing=st.sampled_from([None, "crop", "squash", "pad"]))
@examples(50)
def test_an_address_says_what_was_chosen(place: float, framing: str | None) -> None:
    view = View(framing=framing, place=place) if framing == "crop" else View(framing=framing)
    address, found = split_view(f"data:pets/test/3/4{view.ending()}")
    assert address == "data:pets/test/3/4"
    assert found.framing == framing
    assert abs(found.place - view.place) <= 0.0005


@pytest.mark.parametrize(
    "address", ["example:cat", "a;b.jpg", "a;crop=2", "a;crop=0.1234", "a;crop=-1", "a;stretch", "a;crop=", ";"]
)
def test_what_is_no_ending_stays_in_the_address(address: str) -> None:
    assert split_view(address) == (address, View())


@pytest.mark.parametrize(("size", "axis"), [((300, 100), 0), ((100, 300), 1)])
@pytest.mark.parametrize("place", [0.0, 0.25, 1.0])
def test_the_square_is_where_it_was_put(size: tuple[int, int], axis: int, place: float) -> None:
    square = np.asarray(framed(coordinates(*size), View(framing="crop", place=place)))
    assert square.shape == (100, 100, 3)
    assert abs(int(square[0, 0, axis]) - round(place * 2 / 3 * 255)) <= 2
    assert (square[0, 0, 1 - axis], square[-1, -1, 1 - axis]) == (0, 255)


def test_squashing_and_padding_lose_nothing() -> None:
    photo = coordinates(300, 100)
    squashed, padded = (np.asarray(framed(photo, View(framing=each))) for each in ("squash", "pad"))
    assert squashed.shape == padded.shape == (300, 300, 3)
    assert tuple(squashed[0, 0, :2]) == (0, 0)
    assert tuple(squashed[-1, -1, :2]) == (255, 255)
    assert (padded[:99] == padded[0, 0]).all()
    np.testing.assert_array_equal(padded[100:200], np.asarray(photo))


def test_a_panorama_is_not_squashed_into_a_square_of_its_length() -> None:
    assert max(framed(Image.new("RGB", (20_000, 500)), View(framing="squash")).size) == 1600


def test_a_chosen_middle_is_what_a_model_that_crops_sees_anyway() -> None:
    photo, preprocessing = load_example("cat"), Preprocessing(size=64, normalisation=HALF_NORMALISATION)
    own = np.asarray(crop_to_square(photo, preprocessing)).astype(int)
    chosen = np.asarray(crop_to_square(framed(photo, View(framing="crop")), preprocessing)).astype(int)
    assert np.abs(own - chosen).mean() < 3


def test_recipes_open_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cat = load_example("cat")
    cat.save("photo.png")
    for address in ("example:cat", "photo.png"):
        found = open_picture(f"{address};crop=0.2")
        np.testing.assert_array_equal(np.asarray(found), np.asarray(framed(cat, View(framing="crop", place=0.2))))


def test_what_two_models_both_see() -> None:
    wide = (400, 200)
    crop, squash, pad = (
        Preprocessing(size=100, framing=each, normalisation=HALF_NORMALISATION) for each in ("crop", "squash", "pad")
    )
    inner = Preprocessing(size=100, crop_share=0.5, normalisation=HALF_NORMALISATION)
    assert shared_part(wide, [crop, crop]) == [(1, 1), (1, 1)]
    assert shared_part(wide, [crop, squash]) == [(1, 1), (0.5, 1)]
    assert shared_part(wide, [squash, pad]) == [(1, 1), (1, 0.5)]
    assert shared_part(wide, [crop, inner]) == [(0.5, 0.5), (1, 1)]
