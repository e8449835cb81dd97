"""Confusion in percent of the true class; accuracies in order, with both ends of their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from core.figures.confusion import plot_class_accuracies, plot_compared_accuracies, plot_confusion
from core.methods.accuracy.confusion import Accuracy


def right(correct: int, count: int) -> Accuracy:
    return Accuracy(correct=correct, count=count)


CONFUSION = np.array([[6, 2, 0], [0, 4, 0], [0, 0, 0]])


def test_each_row_is_percent_of_its_true_class_and_a_class_without_images_is_empty() -> None:
    figure = plot_confusion(CONFUSION, ["cat, feline", "<dog>", "ship"])
    [heat] = figure.data
    np.testing.assert_allclose(heat.z, [[75, 25, 0], [0, 100, 0], [0, 0, 0]])
    assert (heat.zmin, heat.zmax) == (0, 100)
    assert list(heat.customdata[0][1]) == ["cat", "&lt;dog&gt;", 2]
    written = {(note.x, note.y): note.text for note in figure.layout.annotations}
    assert written == {(0, 0): "75", (1, 0): "25", (1, 1): "100"}
    assert list(figure.layout.yaxis.ticktext) == ["cat", "&lt;dog&gt;", "ship"]
    assert figure.layout.yaxis.autorange == "reversed"
    assert list(figure.layout.xaxis.ticktext) == list(figure.layout.yaxis.ticktext)


def test_of_many_classes_those_in_most_errors_are_shown_and_columns_are_not_named() -> None:
    many = np.eye(14, dtype=int) * 3
    many[4, 5], many[9, 1] = 2, 1
    names = [f"class {number}" for number in range(14)]
    assert list(plot_confusion(many, names, most=2).layout.yaxis.ticktext) == ["class 4", "class 5"]
    assert list(plot_confusion(many, names).layout.xaxis.tickvals) == []
    assert not plot_confusion(many, names).layout.annotations


def test_classes_are_sorted_by_accuracy_with_both_ends_of_the_interval() -> None:
    accuracies = [
        right(1, 4),
        right(3, 4),
        right(0, 0),
        right(2, 4),
    ]
    figure = plot_class_accuracies(["a", "b", "none", "c"], accuracies, overall=0.5)
    [dots] = figure.data
    assert list(dots.x) == [75, 50, 25]
    assert [list(each) for each in dots.customdata] == [["b", 4], ["c", 4], ["a", 4]]
    low, high = right(3, 4).interval
    assert dots.error_x.array[0] == pytest.approx(100 * high - 75)
    assert dots.error_x.arrayminus[0] == pytest.approx(75 - 100 * low)
    assert figure.layout.shapes[0].x0 == figure.layout.shapes[0].x1 == 50
    several = plot_class_accuracies([f"{n}" for n in range(6)], [right(n, 6) for n in range(6)], overall=0.4, most=4)
    assert [each[0] for each in several.data[0].customdata] == ["5", "4", "1", "0"]


def test_compared_accuracies_are_a_row_each_and_the_chosen_one_has_its_colour() -> None:
    figure = plot_compared_accuracies(["one", "two"], [right(30, 40), right(20, 40)], chosen=1)
    first, second = figure.data
    assert (first.x[0], first.y[0], second.x[0], second.y[0]) == (75, 0, 50, 1)
    low, high = right(30, 40).interval
    assert first.error_x.array[0] == pytest.approx(100 * high - 75)
    assert first.error_x.arrayminus[0] == pytest.approx(75 - 100 * low)
    assert first.text[0] == right(30, 40).short()
    assert first.marker.color != second.marker.color
    assert list(figure.layout.yaxis.ticktext) == ["one ", "two "]


def test_long_names_of_compared_accuracies_are_broken_so_that_a_telephone_shows_them() -> None:
    title = "validation images: noise error at six fixed time steps, one noise"
    figure = plot_compared_accuracies(["short", title], [right(30, 40), right(20, 40)], chosen=-1)
    short, long = figure.layout.yaxis.ticktext
    assert short == "short "
    assert long.replace("<br>", " ").strip() == title
    assert max(map(len, long.split("<br>"))) <= 21
    # The numbers above the first and the last point stay in the plot, and the rows apart.
    low, high = figure.layout.xaxis.range
    assert low < 100 * right(20, 40).interval[0]
    assert high > 100 * right(30, 40).interval[1]
    assert (
        figure.layout.height
        > plot_compared_accuracies(["a", "b"], [right(30, 40), right(20, 40)], chosen=1).layout.height
    )
