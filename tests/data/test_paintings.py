"""Pictures painted by a formula: the same for the same seed, colourful, and found by their address."""

from __future__ import annotations

import numpy as np
import pytest

from core.data.paintings import PAINTINGS, SIDE, paint
from core.data.pictures import open_picture
from core.errors import UnknownNameError


@pytest.mark.parametrize("name", PAINTINGS)
def test_a_painting_is_told_by_its_name_and_seed(name: str) -> None:
    first = np.asarray(paint.__wrapped__(name))
    assert first.shape == (SIDE, SIDE, 3)
    np.testing.assert_array_equal(first, np.asarray(paint.__wrapped__(name)))
    assert (first != np.asarray(paint(name, 1))).mean() > 0.2
    assert first.std(axis=(0, 1)).min() > 20  # no wall of one colour
    np.testing.assert_array_equal(np.asarray(open_picture(f"painted:{name}")), first)


def test_the_swirl_turns() -> None:
    """Around its brightest lights strokes run along circles: there grey values change less along them than across."""
    grey = np.asarray(paint("swirl").convert("L"), dtype=float)
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    down, right = np.gradient(grey)
    along, across = 0.0, 0.0
    for row, column in ((0.3, 0.27), (0.42, 0.74), (0.82, 0.42)):
        y, x = rows - row, columns - column
        away = np.hypot(y, x) + 1e-9
        ring = (away > 0.06) & (away < 0.12)
        across += np.abs((down * y + right * x) / away)[ring].mean()
        along += np.abs((right * y - down * x) / away)[ring].mean()
    assert across > 1.5 * along


def test_an_unknown_painting_is_a_sentence() -> None:
    with pytest.raises(UnknownNameError, match="painting named 'starry_night'"):
        open_picture("painted:starry_night")
