"""Predictions in percent, best on top; attention distances by layer and head."""

from __future__ import annotations

import numpy as np
import pytest

from core.figures.attention import plot_attention_distance, plot_predictions, short_label
from core.methods.accuracy.predictions import Prediction


def test_predictions_are_percent_and_two_classes_of_one_name_are_two_bars() -> None:
    found = [
        Prediction(label="crane, bird", class_index=134, probability=0.7),
        Prediction(label="crane", class_index=517, probability=0.2),
    ]
    figure = plot_predictions(found)
    [bars] = figure.data
    assert list(bars.x) == pytest.approx([70, 20])
    assert list(bars.y) == [0, 1]
    assert list(bars.text) == ["70.0 %", "20.0 %"]
    assert list(figure.layout.yaxis.ticktext) == ["crane ", "crane "]
    assert list(figure.layout.yaxis.tickvals) == [0, 1]
    assert figure.layout.yaxis.autorange == "reversed"
    assert list(figure.layout.xaxis.range) == pytest.approx([0, 115])
    assert bars.marker.color[0] != bars.marker.color[1]


def test_distances_are_dots_by_head_beside_each_other_and_their_mean_by_layer() -> None:
    first, second = np.array([[1.0, 3.0], [5.0, 9.0]]), np.array([[2.0, 2.0], [4.0, 4.0]])
    figure = plot_attention_distance([first, second], ["one", "two"], image_size=32)
    dots, line, others, _ = figure.data
    np.testing.assert_array_equal(dots.y, [1, 3, 5, 9])
    assert [list(each) for each in dots.customdata] == [[1, 1], [1, 2], [2, 1], [2, 2]]
    np.testing.assert_array_equal(line.y, [2, 7])
    np.testing.assert_array_equal(line.x, [0, 1])
    # Every dot is nearest to its own layer, and the two models do not lie on each other.
    np.testing.assert_array_equal(np.round(dots.x), [0, 0, 1, 1])
    assert max(dots.x[:2]) < min(others.x[:2])
    assert dots.x[0] < dots.x[1]
    assert list(figure.layout.xaxis.ticktext) == ["1", "2"]
    assert "32" in figure.layout.yaxis.title.text
    assert figure.layout.showlegend
    assert not plot_attention_distance([first], ["one"], image_size=32).layout.showlegend


def test_a_label_is_its_first_name_cut_to_the_width() -> None:
    assert short_label("tabby, tabby cat") == "tabby"
    assert short_label("x" * 28) == "x" * 28
    assert short_label("x" * 29) == "x" * 27 + "…"
    assert short_label("abcdef", 4) == "abc…"
