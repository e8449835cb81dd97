"""Any two pictures at one size: panoramas, scraps, greyscale, transparency, one colour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import ConfigError
from core.methods.style_transfer.pictures import covered, fit_pictures, style_notes


def chequered(width: int, height: int, mode: str = "RGB") -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(((rows + columns) % 2 * 255).astype(np.uint8)).convert(mode)


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((300, 200), (64, 43)),
        ((200, 300), (43, 64)),
        ((4, 4), (64, 64)),
        ((1000, 20), (64, 21)),
        ((20, 1000), (21, 64)),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "1"])
def test_the_longer_side_is_as_asked_and_both_are_alike(
    size: tuple[int, int], fitted: tuple[int, int], mode: str
) -> None:
    content, style = fit_pictures(chequered(*size, mode), chequered(50, 40, mode), 64)
    assert content.shape == style.shape == (fitted[1], fitted[0], 3)
    assert content.dtype == style.dtype == np.uint8


@settings(deadline=None, max_examples=200)
@given(st.integers(2, 1600), st.integers(2, 1600), st.sampled_from([32, 64, 96, 129]))
@example(900, 60, 64)
def test_pictures_of_any_size_fit(width: int, height: int, side: int) -> None:
    content, style = fit_pictures(Image.new("RGB", (width, height)), Image.new("RGB", (height, width)), side)
    assert content.shape == style.shape
    assert max(content.shape) == side
    assert 3 * min(content.shape[:2]) >= side - 2


def test_a_picture_is_scaled_evenly_and_cut_from_its_middle() -> None:
    picture = np.zeros((10, 30, 3), dtype=np.uint8)
    picture[:, :10], picture[:, 10:20], picture[:, 20:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    middle = covered(Image.fromarray(picture), (10, 10))
    assert (middle[:, 2:-2] == (0, 255, 0)).all()
    whole = covered(Image.fromarray(picture), (30, 10))
    np.testing.assert_array_equal(whole, picture)


@pytest.mark.parametrize("side", [0, 31, 513, -4])
def test_a_size_out_of_bounds_is_a_sentence(side: int) -> None:
    with pytest.raises(ConfigError, match=f"size is {side} pixels"):
        fit_pictures(chequered(40, 40), chequered(40, 40), side)


def test_what_a_viewer_should_know_is_said_and_nothing_else() -> None:
    usual = chequered(200, 150)
    assert list(style_notes(usual, usual, 64)) == []
    [plain] = style_notes(usual, Image.new("RGB", (60, 60), "navy"), 64)
    assert "one colour" in plain
    assert "rank one" in plain
    [small] = style_notes(chequered(4, 4), usual, 64)
    assert "only 4 × 4 pixels" in small
    [long] = style_notes(chequered(1000, 100), usual, 64)
    assert "more than 3 times as long" in long
