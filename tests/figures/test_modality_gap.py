"""The clouds move, the frame does not; nothing is drawn that was not measured."""

from __future__ import annotations

import numpy as np
import pytest

from core.figures.modality_gap import plot_alignment, plot_budget, plot_clouds, plot_control, stop_title
from core.methods.modality_gap.alignment import find_variant
from core.methods.modality_gap.alignment_steps import Plane, alignment_steps
from core.methods.modality_gap.modality_gap import measure, pair_budget
from tests.methods.test_modality_gap import halves

FITTED, HELD_OUT = halves(80)
NAMES = [f"class {number}" for number in range(10)]


@pytest.mark.parametrize("plane", ["gap", "pca"])
def test_the_frame_stays_while_the_clouds_move(plane: Plane) -> None:
    steps_shown = alignment_steps(FITTED, HELD_OUT, find_variant("centred"), steps=2, shuffles=1)
    figures = [
        plot_clouds(steps_shown, stop, names=NAMES, labels=HELD_OUT.labels, plane=plane, by_class=stop > 0)
        for stop in (0, len(steps_shown) - 1)
    ]
    first, last = figures
    assert first.layout.xaxis.range == last.layout.xaxis.range
    assert first.layout.yaxis.range == last.layout.yaxis.range
    assert len(first.data[1].x) == len(HELD_OUT)
    assert not np.allclose(first.data[1].x, last.data[1].x)
    assert set(first.data[1].customdata) <= set(NAMES)


def test_the_way_has_its_control_only_where_something_is_rotated() -> None:
    for name, expected in (("centred", 1), ("mean_shift", 0)):
        steps_shown = alignment_steps(FITTED, HELD_OUT, find_variant(name), steps=2, shuffles=1)
        figure = plot_alignment(steps_shown, 1, classes=10)
        assert sum("shuffled" in (trace.name or "") for trace in figure.data) == expected
        held_out = next(trace for trace in figure.data if "held out" in (trace.name or ""))
        np.testing.assert_allclose(held_out.y, [100 * station.accuracy for station in steps_shown])


def test_stops_have_names() -> None:
    titles = [stop_title(*stop) for stop in ((0, 0), (0.5, 0), (1, 0), (1, 0.5), (1, 1))]
    assert titles == ["as given", "centred 50%", "centred", "rotated 50%", "rotated"]


def test_control_and_budget_show_the_measured_heights() -> None:
    before, after = (measure(FITTED, HELD_OUT, find_variant(name), shuffles=2) for name in ("before", "centred"))
    control = plot_control(before, after, classes=10)
    assert control.data[1].y[1] == pytest.approx(100 * after.accuracy)
    assert control.data[0].y[2] == pytest.approx(100 * after.shuffled_fitted_accuracies.mean())
    rows = pair_budget(FITTED, HELD_OUT, find_variant("centred"), counts=(5, 20))
    budget = plot_budget(rows, before=before, classes=10)
    accuracy = next(trace for trace in budget.data if trace.name == "held-out accuracy")
    np.testing.assert_allclose(accuracy.y, [row.accuracy for row in rows])
