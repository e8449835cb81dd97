"""The figures of a diffusion classifier over a data set hold the numbers that they are given."""

from __future__ import annotations

import numpy as np
import pytest

from core.figures.elimination_cost import plot_accuracy_by_calls, plot_replays
from core.methods.accuracy.confusion import Accuracy
from core.methods.diffusion.elimination_cost import BudgetCurve

CURVE = BudgetCurve(
    calls=np.array([10, 40, 160, 600]), spent=np.array([10.0, 38.0, 120.0, 240.0]), correct=np.array([3, 4, 9, 12]),
    images=20,
)  # fmt: skip


def test_the_line_is_the_accuracy_and_the_band_its_interval() -> None:
    figure = plot_accuracy_by_calls(CURVE, others=[("<b>CLIP</b>", Accuracy(correct=18, count=20))], chance=0.1)
    band, line = figure.data
    np.testing.assert_allclose(line.x, [10, 40, 160, 600])
    np.testing.assert_allclose(line.y, [15, 20, 45, 60])
    assert len(band.x) == 8
    np.testing.assert_allclose(band.y[:4][::-1], 100 * CURVE.intervals[::-1, 1])
    np.testing.assert_allclose(band.y[4:][::-1], 100 * CURVE.intervals[:, 0])
    assert [shape.y0 for shape in figure.layout.shapes] == pytest.approx([90, 10])
    texts = [each.text for each in figure.layout.annotations]
    assert texts == ["&lt;b&gt;CLIP&lt;/b&gt; 90%", "guessing"]
    assert figure.layout.xaxis.ticktext == ("10", "20", "50", "100", "200", "500")
    assert figure.layout.yaxis.range[1] > 90


def test_names_of_close_lines_do_not_lie_on_each_other() -> None:
    rights = {"a": 83, "b": 85, "c": 84, "d": 30}
    others = [(name, Accuracy(correct=correct, count=100)) for name, correct in rights.items()]
    notes = plot_accuracy_by_calls(CURVE, others=others).layout.annotations
    assert [each.text[0] for each in notes] == ["b", "c", "a", "d"]
    assert [each.yanchor for each in notes] == ["bottom", "top", "bottom", "bottom"]
    assert [each.x for each in notes] == [0.01, 0.01, 0.5, 0.01]


def test_plans_are_rows_the_cheapest_on_top() -> None:
    same = [Accuracy(correct=correct, count=100) for correct in (99, 90, 100)]
    figure = plot_replays(["p < 0.002", "p < 0.2", "no pruning"], [3.0, 8.0, 1.0], same, chosen=0)
    assert [trace.x[0] for trace in figure.data] == pytest.approx([90, 99, 100])
    assert [text.split("<b>")[1][:4] for text in figure.layout.yaxis.ticktext] == ["8.0×", "3.0×", "1.0×"]
    colours = [trace.marker.color for trace in figure.data]
    assert colours[1] != colours[0] == colours[2], "the plan of the run stands out"
    low, high = same[1].interval
    assert figure.data[0].error_x.arrayminus[0] == pytest.approx(90 - 100 * low)
    assert figure.data[0].error_x.array[0] == pytest.approx(100 * high - 90)
