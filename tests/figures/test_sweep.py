"""Pictures of sweeps: every trial is where its numbers say, and odd studies are drawn too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.figures.sweep import (
    plot_epochs,
    plot_history,
    plot_importance,
    plot_parallel,
    plot_slices,
    scale_of,
)
from core.runs.studies import Importance, StudySummary, StudyTrial

PLOTS = (plot_history, plot_epochs, plot_parallel, plot_slices)


def trial(number: int, status: str, values: tuple[float, ...], rate: float = 1e-3, **params: object) -> StudyTrial:
    return StudyTrial(
        number=number,
        status=status,  # type: ignore[arg-type]
        value=values[-1] if values else None,
        epochs=tuple(enumerate(values, 1)),
        params={"training.learning_rate": rate, "model.depth": number, "training.augmentation": "none", **params},  # type: ignore[dict-item]
        run=f"s-t{number:03d}",
    )


SUMMARY = StudySummary(
    name="s",
    recipe="vit_scratch",
    base=(),
    space=("training.learning_rate=log:0.0001..0.01", "model.depth=int:1..6"),
    epochs=3,
    max_images=100,
    budget=8,
    trials=(
        trial(1, "finished", (0.1, 0.2, 0.3), 1e-4),
        trial(2, "pruned", (0.1, 0.15), 3e-3),
        trial(3, "finished", (0.3, 0.4, 0.5), 1e-3),
        trial(4, "failed", ()),
        trial(5, "finished", (0.2, 0.3, 0.4), 1e-2),
        trial(6, "running", (0.2,)),
    ),
)


def named(figure: object) -> dict[str, object]:
    return {trace.name: trace for trace in figure.data}  # type: ignore[attr-defined]


def test_history_shows_every_trial_once_and_the_running_best() -> None:
    traces = named(plot_history(SUMMARY))
    assert list(traces["best so far"].y) == [0.3, 0.5, 0.5]  # type: ignore[attr-defined]
    assert list(traces["finished"].x) == [1, 3, 5]  # type: ignore[attr-defined]
    assert list(traces["pruned"].x) == [2]  # type: ignore[attr-defined]
    assert list(traces["running"].y) == [0.2]  # type: ignore[attr-defined]
    assert list(traces["best"].x) == [3]  # type: ignore[attr-defined]


def test_parallel_coordinates_hold_the_finished_trials_on_readable_axes() -> None:
    (lines,) = plot_parallel(SUMMARY).data
    by_label = {dimension.label: dimension for dimension in lines.dimensions}
    assert list(by_label) == ["learning rate", "depth", "augmentation", "val accuracy"]
    assert by_label["learning rate"].values == pytest.approx([-4, -3, -2])
    assert list(by_label["learning rate"].ticktext) == ["0.0001", "0.0003", "0.001", "0.003", "0.01"]
    assert list(by_label["depth"].ticktext) == ["1", "3", "5"]
    assert list(by_label["val accuracy"].values) == [0.3, 0.5, 0.4]
    for dimension in lines.dimensions:
        low, high = dimension.range
        assert low < high
        assert all(low <= place <= high for place in [*dimension.values, *dimension.tickvals])


def test_epochs_and_slices_show_the_pruned_ones_as_pruned() -> None:
    pruned = [trace for trace in plot_epochs(SUMMARY).data if trace.name == "pruned"]
    assert [list(trace.y) for trace in pruned] == [[0.1, 0.15]]
    slices = plot_slices(SUMMARY).data
    assert len(slices) == 2 * 3
    assert sum(len(trace.x) for trace in slices if trace.name == "pruned") == 3


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("trials", [(), SUMMARY.trials[:1], SUMMARY.trials[1:2], SUMMARY.trials[3:4]])
def test_studies_that_have_hardly_begun_are_drawn(plot: object, trials: tuple[StudyTrial, ...]) -> None:
    assert plot(replace(SUMMARY, trials=trials)).layout.height  # type: ignore[operator]


@pytest.mark.parametrize("plot", PLOTS)
def test_scores_that_are_no_shares_are_not_in_per_cent(plot: object) -> None:
    lower = [
        replace(each, value=-700 - each.number, epochs=tuple((epoch, -700 - each.number) for epoch, _ in each.epochs))
        for each in SUMMARY.trials
        if each.value is not None
    ]
    drawn = plot(replace(SUMMARY, trials=tuple(lower), score="val_elbo")).to_json()  # type: ignore[operator]
    assert "%}" not in drawn
    assert ".0%" not in drawn
    assert "accuracy" not in drawn
    if plot is plot_history:
        assert "validation ELBO (nats per image)" in drawn
    accuracies = plot(SUMMARY).to_json()  # type: ignore[operator]
    assert "accuracy" in accuracies


def test_importance_is_sorted_with_the_greatest_on_top() -> None:
    (bars,) = plot_importance(Importance(method="m", shares={"a.small": 0.2, "a.large_one": 0.8})).data
    assert list(bars.y) == ["small", "large one"]
    assert list(bars.text) == ["20%", "80%"]


@given(
    st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=20)
    | st.lists(st.integers(-5, 50), min_size=1, max_size=30)
    | st.lists(st.sampled_from(["none", "crop", True, 4]), min_size=1)
)
def test_any_values_have_a_scale_that_keeps_their_order(values: list[float]) -> None:
    for log in (False, True):
        if log and not all(isinstance(value, float) for value in values):
            continue
        scale = scale_of(values, log=log)
        assert len(scale.places) == len(values)
        assert len(scale.ticks) == len(scale.labels) >= 1
        assert np.isfinite(scale.places).all()
        if all(not isinstance(value, str) for value in values):
            order = np.argsort(np.array(values, dtype=float), kind="stable")
            assert (np.diff(scale.places[order]) >= 0).all()
