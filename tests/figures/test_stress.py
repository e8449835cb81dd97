"""Figures of models under manipulations: every number where it belongs, intervals included, names taken literally."""

from __future__ import annotations

import numpy as np
import pytest

from core.figures.domains import plot_domains, plot_other_classes
from core.figures.ratios import NamedRatio, plot_ratios
from core.figures.shape_bias import plot_shape_bias
from core.figures.stress import StressTable, plot_consistency, plot_stress, plot_stress_curves
from core.methods.biases.ratios import Estimate
from core.methods.biases.shape_bias import shape_bias
from core.methods.biases.shifts import ShiftReport
from core.methods.biases.stress_table import model_pairs, stress_table

LABELS = np.arange(40) % 4
CONDITIONS = ("", "scramble:4", "scramble:2", "grey:100")


@pytest.fixture
def table() -> StressTable:
    right = np.zeros((40, 2, 4), dtype=bool)
    for model, counts in enumerate(((40, 10, 20, 30), (30, 20, 25, 30))):
        for condition, count in enumerate(counts):
            right[:count, model, condition] = True
    answers = np.where(right, LABELS[:, None, None], (LABELS[:, None, None] + 1) % 4)
    return StressTable(
        models=("First", "<b>Second</b>"), conditions=CONDITIONS, classes=4,
        rows=tuple(stress_table(LABELS, answers, 4)), pairs=tuple(model_pairs(LABELS, answers)),
    )  # fmt: skip


def test_a_field_for_each_condition_and_model(table: StressTable) -> None:
    corrected = plot_stress(table)
    # (.25 − .25) / .75, (.5 − .25) / .75, (.75 − .25) / .75 of the first; of the second beside (.75 − .25).
    expected = [[0, (0.5 - 0.25) / 0.5], [1 / 3, (0.625 - 0.25) / 0.5], [2 / 3, 1]]
    np.testing.assert_allclose(np.array(corrected.data[0].z, dtype=float), expected)
    accuracies = plot_stress(table, "accuracy")
    assert np.array(accuracies.data[0].z)[0].tolist() == [100, 75]
    assert accuracies.layout.yaxis.ticktext[0].strip() == "As they are"
    assert list(corrected.layout.xaxis.ticktext) == ["A", "B"]
    assert [trace.name for trace in corrected.data[1:]] == ["A First", "B &lt;b&gt;Second&lt;/b&gt;"]
    assert (accuracies.data[0].zmin, corrected.data[0].zmin) == (25, 0)


def test_strengths_go_up_from_none_with_their_intervals(table: StressTable) -> None:
    assert table.manipulations() == {"scramble": [2, 1]}
    figure = plot_stress_curves(table, "scramble", "accuracy")
    first = figure.data[0]
    assert list(first.x) == [1, 2, 4]
    assert list(first.y) == [100, 50, 25]
    low, high = table.row(0, 2).accuracy.interval
    assert first.error_y.array[1] == pytest.approx(100 * high - 50)
    assert first.error_y.arrayminus[1] == pytest.approx(50 - 100 * low)
    assert figure.layout.shapes[0].y0 == 25


def test_agreement_is_symmetric_and_of_the_condition_asked_for(table: StressTable) -> None:
    before, after = (np.array(plot_consistency(table, condition).data[0].z, dtype=float) for condition in (1, 3))
    assert np.isnan(before[0, 0])
    assert before[0, 1] == before[1, 0]
    assert after[0, 1] == pytest.approx(1)
    assert before[0, 1] < after[0, 1]


def test_ratios_stand_beside_published_ones_cue_by_cue() -> None:
    rows = [
        NamedRatio(model="A", cue=cue, ratio=Estimate(value=0.5, low=0.4, high=0.6), corrected=Estimate(value=0.2))
        for cue in ("shape", "colour")
    ]
    figure = plot_ratios(rows, {"shape": {"VGG": 0.33}})
    labels = [label.strip() for label in figure.layout.yaxis.ticktext]
    assert labels == ["Shape · A", "Shape · VGG (report)", "Colour · A"]
    corrected, plain, published = figure.data
    assert (list(corrected.y), list(plain.y), list(published.y)) == ([0, 2], [0, 2], [1])
    assert list(published.x) == [0.33]


def test_shape_bias_by_category_with_what_was_decided() -> None:
    shapes, textures = np.repeat([0, 1], 10), np.repeat([1, 2], 10)
    predicted = np.array([0] * 3 + [1] * 5 + [2] * 2 + [0] * 10)
    figure = plot_shape_bias({"A": shape_bias(predicted, shapes, textures, ("bear", "cat", "dog"))})
    bias, decided = figure.data
    assert list(bias.x) == [0.375]
    assert list(decided.x) == [0.8, 0]
    assert {shape.x0 for shape in figure.layout.shapes} == {0.375, 0.4, 0.5, 2 / 3}


def report(model: str, place: str, away: float, home: float | None) -> ShiftReport:
    kind = "semantic" if home is None else "covariate"
    homes = {} if home is None else {"home_accuracy": home, "home_low": home, "home_high": home, "home_count": 20}
    return ShiftReport(
        step=1, steps=1, model=model, shift=kind, place=place, classes=4, test_accuracy=away, test_low=away - 0.1,
        test_high=away + 0.1, test_count=20, train_count=40, **homes,
    )  # fmt: skip


def test_domains_at_home_and_away_and_other_classes() -> None:
    shifts = [report("a", "photo", 0.5, 0.9), report("a", "art_painting", 0.3, 0.8), report("a", "others", 0.7, None)]
    figure = plot_domains(shifts, {"a": "A"})
    home, away = figure.data[-2:]
    assert (list(home.y), list(away.y)) == ([90, 80], [50, 30])
    assert away.error_y.array[0] == pytest.approx(10)
    assert list(figure.layout.xaxis.ticktext) == ["photo", "art painting"]
    others = plot_other_classes(shifts, {"a": "A"}, {"others": "<i>Others"})
    assert list(others.data[0].y) == [70]
    assert others.layout.shapes[0].y0 == 25
    assert "<i>" not in str(others.layout.xaxis.ticktext)
