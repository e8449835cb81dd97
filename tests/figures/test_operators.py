"""Operators as pictures, the trap as curves, mixers as points: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pytest

from core.figures.operators import (
    SHORT_TITLES,
    feature_sheet,
    heat,
    operator_rows,
    plot_identity_trap,
    plot_mixers,
    tiles,
)
from core.figures.theme import SEQUENTIAL, colour_table
from core.methods.operators.layer import run_layer
from core.methods.operators.mixer_results import MixerResult
from core.methods.operators.single_layer import OPERATORS, OperatorSettings, random_layers
from core.methods.operators.trap_curves import PATCHES, trap_curves


def test_heat_runs_from_0_and_is_white_at_0_of_signed_maps():
    table = colour_table(SEQUENTIAL)
    values = np.array([[0.0, 1.0], [2.0, -1.0]])
    drawn = heat(values, scale=(0, 2))
    assert drawn.tolist() == [[table[0].tolist(), table[128].tolist()], [table[255].tolist(), table[0].tolist()]]
    red, blue = heat(np.array([[1.0, -1.0]]), signed=True)[0].astype(int)
    assert red[0] > red[2]
    assert blue[2] > blue[0]


def test_channels_lie_side_by_side_on_one_scale():
    maps = np.zeros((5, 2, 3))
    maps[4, 1, 2] = 7
    sheet = feature_sheet(maps)
    assert sheet.shape == (2 * 3 - 1, 4 * 4 - 1, 3)
    strongest = np.unravel_index(np.argmin(sheet[..., 1].astype(int) + 999 * (sheet[..., 0] == 128)), sheet.shape[:2])
    assert strongest == (3 + 1, 2)


@pytest.mark.parametrize("shape", [(5, 8), (1, 1)])
def test_every_row_is_a_picture_of_six(shape):
    picture = np.random.default_rng(0).random((*shape, 3), dtype=np.float32)
    results = [run_layer(layer) for layer in random_layers(picture, OperatorSettings()).values()]
    rows = operator_rows(results, picture, 0)
    assert set(SHORT_TITLES) == set(OPERATORS)
    assert set(rows) == {"output", "features", "attention", "field", "reach"}
    for name, pixels in rows.items():
        assert pixels.dtype == np.uint8, name
        assert pixels.shape[1] > 6 * 200, name


def test_pixels_stay_squares():
    small = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    sheet = tiles([small, small], ["one", "two"])
    big = sheet[-216:, :216]
    assert (big[:108, :108] == small[0, 0]).all()
    assert (big[108:, 108:] == small[1, 1]).all()


def test_curves_of_the_trap():
    picture = np.random.default_rng(0).random((8, 8, 3), dtype=np.float32)
    layers = random_layers(picture, OperatorSettings())
    curves = trap_curves(layers.values(), [0.1, 1.0, 100.0], picture=picture)
    assert list(curves) == ["without projections", "with random projections", PATCHES]
    figure = plot_identity_trap(curves, 2.0)
    for trace, curve in zip(figure.data, curves.values(), strict=True):
        np.testing.assert_array_equal(trace.y, curve.diagonal)
    # On a logarithmic axis: the line at 2, its words at log10(2).
    assert [shape.x0 for shape in figure.layout.shapes] == [2.0, 8**0.5, 8.0]
    assert [note.x for note in figure.layout.annotations] == pytest.approx(np.log10([2.0, 8**0.5, 8.0]))
    # Four patches with 64 channels are told apart where 64 pixels with 8 are not.
    assert curves[PATCHES].diagonal[1] > 0.9 > 0.5 > curves["with random projections"].diagonal[1]


def test_without_comparisons_there_is_no_trap():
    picture = np.random.default_rng(0).random((4, 4, 3), dtype=np.float32)
    layers = random_layers(picture, OperatorSettings())
    assert trap_curves([layers["convolution"], layers["convolution_modulated_attention"]], [1.0]) == {}
    assert list(trap_curves([layers["convolution"], layers["pre"]], [1.0], picture=picture)) == [
        "without projections",
        "with random projections",
    ]


def test_a_point_a_mixer_with_its_interval():
    row = MixerResult(
        operator="pre", accuracy=0.7, interval=(0.6, 0.75), seeds=3, images=10, split="test", parameters=1,
        multiply_adds=2, images_per_second=50.0, batch=4, field_share=0.25, reach_share=1.0,
    )  # fmt: skip
    [trace] = plot_mixers([row]).data
    assert (trace.x[0], trace.y[0]) == (50.0, 0.7)
    assert (trace.error_y.array[0], trace.error_y.arrayminus[0]) == pytest.approx((0.05, 0.1))
    assert trace.marker.size == pytest.approx(30)
