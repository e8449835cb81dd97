"""Learning curves say what the histories say, and can be told apart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.figures.curves import (
    Curve,
    colour_of,
    has_axis,
    metric_names,
    plot_learning_curves,
    plot_metric,
    plot_schedule,
)


def history(epochs: int, top: float, *, total: int = 10) -> list[dict[str, float]]:
    return [
        {
            "epoch": epoch,
            "epochs": total,
            "step": epoch * 5,
            "steps": total * 5,
            "train_loss": 2 / epoch,
            "val_loss": 1.8 / epoch,
            "train_accuracy": top * epoch / total - 0.05,
            "val_accuracy": top * epoch / total,
            "learning_rate": 1e-3 / epoch,
        }
        for epoch in range(1, epochs + 1)
    ]


ONE = Curve(title="one", history=history(10, 0.8), test=(0.79, 0.77, 0.81))
TWO = Curve(title="two", history=history(4, 0.5))


def lines(figure, name):
    return [trace for trace in figure.data if trace.name == name and trace.x[0] is not None]


def test_every_report_is_a_point_of_its_run_in_one_colour():
    figure = plot_learning_curves([ONE, TWO], "accuracy")
    train, val = lines(figure, "one")
    assert list(val.y) == [line["val_accuracy"] for line in ONE.history]
    assert list(train.y) == [line["train_accuracy"] for line in ONE.history]
    assert (train.line.dash, val.line.dash) == ("dot", "solid")
    assert {train.line.color, val.line.color} == {colour_of(0)}
    assert {trace.line.color for trace in lines(figure, "two")} == {colour_of(1)}


@pytest.mark.parametrize(("x", "last"), [("epoch", 10), ("step", 50)])
def test_the_axis_is_what_was_asked_for(x, last):
    figure = plot_learning_curves([ONE], "loss", x=x)
    assert lines(figure, "one")[1].x[-1] == last


def test_minutes_need_seconds_in_every_report():
    assert not has_axis([ONE], "minutes")
    timed = Curve(title="timed", history=[{"step": 1, "val_loss": 1.0, "seconds": 90}])
    assert has_axis([timed], "minutes")
    assert not has_axis([timed, ONE], "minutes")
    assert lines(plot_learning_curves([timed], "loss", x="minutes"), "timed")[0].x[0] == 1.5


def test_the_test_accuracy_has_its_interval():
    marker = next(trace for trace in plot_learning_curves([ONE], "accuracy").data if trace.error_y.array)
    assert marker.y[0] == 0.79
    assert marker.error_y.array[0] == pytest.approx(0.02)
    assert marker.error_y.arrayminus[0] == pytest.approx(0.02)
    assert not [trace for trace in plot_learning_curves([ONE], "loss").data if trace.error_y.array]


def test_lines_are_named_at_their_ends_and_names_do_not_overlap():
    close = [Curve(title=f"run {i}", history=history(10, 0.8 + i * 1e-4)) for i in range(5)]
    figure = plot_learning_curves(close, "accuracy")
    heights = sorted(note.y for note in figure.layout.annotations)
    assert [note.text for note in figure.layout.annotations] == [f"<b>run {i}</b>" for i in range(5)]
    assert min(np.diff(heights)) > 0.05 * 0.8


def test_seven_runs_have_seven_colours_and_the_eighth_another_dash():
    curves = [Curve(title=f"run {i}", history=history(3, 0.5)) for i in range(8)]
    figure = plot_learning_curves(curves, "accuracy")
    val = [lines(figure, curve.title)[1] for curve in curves]
    assert len({(trace.line.color, trace.line.dash) for trace in val}) == 8
    assert len({trace.line.color for trace in val[:7]}) == 7


def test_smoothing_keeps_a_constant_and_leaves_the_raw_line_visible():
    flat = Curve(title="flat", history=[{"epoch": e, "val_loss": 2.0} for e in range(1, 9)])
    figure = plot_learning_curves([flat], "loss", smoothing=0.9)
    smooth = lines(figure, "flat")[0]
    assert np.allclose(smooth.y, 2.0)
    assert any(trace.opacity == 0.25 for trace in figure.data)
    noisy = Curve(title="noisy", history=[{"epoch": e, "val_loss": 2.0 + (-1) ** e} for e in range(1, 30)])
    smoothed = lines(plot_learning_curves([noisy], "loss", smoothing=0.9), "noisy")[0]
    assert np.std(smoothed.y[5:]) < 0.2


def test_a_running_axis_ends_where_the_run_will():
    figure = plot_learning_curves([TWO], "accuracy", total=10)
    assert figure.layout.xaxis.range[1] == pytest.approx(10, rel=0.02)


def test_the_loss_is_drawn_before_the_first_epoch_has_ended():
    curve = Curve(title="new", history=[], losses=[(10, 2.3), (20, 2.1)], steps_per_epoch=40)
    drawn = [list(trace.x) for trace in plot_learning_curves([curve], "loss").data if trace.x[0] is not None]
    assert drawn == [[0.25, 0.5]]
    drawn = [list(trace.x) for trace in plot_learning_curves([curve], "loss", x="step").data if trace.x[0] is not None]
    assert drawn == [[10, 20]]
    for figure in (plot_learning_curves([curve], "loss", x="minutes"), plot_learning_curves([curve], "accuracy")):
        assert all(trace.x[0] is None for trace in figure.data)


def test_gaps_and_missing_quantities_are_left_out():
    odd = Curve(title="odd", history=[{"epoch": 1, "val_loss": math.nan}, {"epoch": 2, "val_loss": None}, {"epoch": 3}])
    figure = plot_learning_curves([odd], "loss")
    assert lines(figure, "odd") == []
    assert plot_learning_curves([Curve(title="none", history=[])], "accuracy").layout.annotations == ()


def test_any_quantity_can_be_drawn_and_counters_are_none():
    assert metric_names([ONE]) == ["train_loss", "val_loss", "train_accuracy", "val_accuracy", "learning_rate"]
    figure = plot_metric([ONE, TWO], "learning_rate")
    assert list(lines(figure, "two")[0].y) == [line["learning_rate"] for line in TWO.history]


def test_the_schedule_marks_its_peak():
    rates = np.concatenate([np.linspace(0, 2e-3, 20), np.linspace(2e-3, 0, 80)])
    figure = plot_schedule(rates, epochs=50, warmup_share=0.2)
    assert figure.data[0].x[-1] == 50
    assert "0.002" in figure.layout.annotations[0].text
    assert figure.layout.annotations[0].x == pytest.approx(50 * 19 / 99)
