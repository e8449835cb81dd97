"""The masking figures draw what was measured: curves, band, the point under the slider, and which patches are gone."""

from __future__ import annotations

import numpy as np
import pytest

from core.figures.masking import masked_thumbnail, plot_masking_curves
from core.figures.overlay import PAPER
from core.methods.masking.orders import MaskingCurve, RandomBand

SHARES = np.array([0, 0.5, 1], dtype=np.float32)
CURVE = MaskingCurve(
    shares=SHARES,
    confidence=np.array([0.9, 0.4, -0.1], dtype=np.float32),
    top_class=np.array([1, 1, 0]),
    top_probability=np.array([0.9, 0.6, 0.5]),
)
BAND = RandomBand(
    shares=SHARES,
    curves=np.zeros((3, 3), dtype=np.float32),
    mean=np.array([0.9, 0.5, 0.2]),
    std=np.array([0.2, 0.1, 0.05]),
    seeds=(0, 1, 2),
)


def drawn(band: RandomBand | None = BAND, current: tuple[str, int] | None = ("most_attended", 1)) -> list:
    figure = plot_masking_curves(
        {"most_attended": CURVE}, {"most_attended": "highest"}, band, current=current,
        classes=("tench, Tinca tinca", "dog"), measure="probability",
    )  # fmt: skip
    assert figure.layout.yaxis.range[0] == pytest.approx(-0.1)  # nothing that was measured lies outside
    assert figure.layout.yaxis.title.text == "probability"
    return list(figure.data)


def test_the_band_is_two_deviations_wide_and_no_probability_is_above_one() -> None:
    outline, mean, _, _ = drawn()
    np.testing.assert_allclose(outline.x, [0, 50, 100, 100, 50, 0])
    np.testing.assert_allclose(outline.y, [1, 0.7, 0.3, 0.1, 0.3, 0.5])
    assert outline.name == "random, 3 orders (± 2 sd)"
    np.testing.assert_allclose(mean.y, BAND.mean)
    assert len(drawn(band=None)) == 2


def test_each_curve_says_what_the_model_says_and_the_slider_has_its_point() -> None:
    _, _, curve, point = drawn()
    np.testing.assert_allclose(curve.x, [0, 50, 100])
    np.testing.assert_allclose(curve.y, CURVE.confidence)
    assert list(curve.customdata) == ["<br>says dog 90%", "<br>says dog 60%", "<br>says tench 50%"]
    assert (curve.name, curve.mode, curve.line.width) == ("highest", "lines", 4)
    assert (list(point.x), list(point.y)) == ([50], [pytest.approx(0.4)])
    assert len(drawn(current=None)) == 3
    assert len(drawn(current=("hand", 0))) == 3
    assert drawn(current=("hand", 0))[-1].line.width == 2


def test_the_highest_patches_are_paper_and_the_others_the_photo() -> None:
    photo = np.full((4, 8, 3), 9, dtype=np.uint8)
    thumbnail = masked_thumbnail(photo, np.array([[0.0, 3.0], [1.0, 2.0]]), share=0.5)
    expected = photo.copy()
    expected[:, 4:] = PAPER  # the right column holds the two highest
    np.testing.assert_array_equal(thumbnail, expected)
