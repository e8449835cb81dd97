import numpy as np
import pytest

from core.figures.conditions import (
    MOST_STACKED,
    RIGHT,
    WRONG,
    Tile,
    condition_sheet,
    plot_categories,
    plot_condition_counts,
    plot_conditions,
)
from core.methods.clip.conditions import accuracy_by_condition

RESULT = accuracy_by_condition(
    np.array([0, 1, 0, 0]),
    np.array([0, 1, 0, 1]),
    np.array([0, 0, 1, 1]),
    np.array([0, 1, 0, 1]),
    names=("Whole", "<b>Blurred</b>"),
    categories=("cat", "dog & co"),
    references=(None, 0.8),
)
PIXELS = np.zeros((8, 8, 3), np.uint8)


def test_the_sheet_frames_right_and_wrong_and_escapes_names():
    tiles = [
        [Tile(pixels=PIXELS, shows="cat", said="cat"), Tile(pixels=None, shows="cat", said="")],
        [Tile(pixels=PIXELS, shows="dog & co", said="<i>cat</i>")],
    ]
    found = condition_sheet(RESULT, ["everything", ""], tiles)
    assert found.count("<img") == 2
    assert RIGHT in found
    assert WRONG in found
    assert "<b>Blurred</b>" not in found.replace("<b>&lt;b&gt;Blurred&lt;/b&gt;</b>", "")
    assert "<i>" not in found
    assert "cannot" in found
    assert "100%" in found
    assert "keeps everything" in found


def test_accuracies_intervals_and_references_are_drawn():
    figure = plot_conditions(RESULT)
    first = figure.data[0]
    low, high = RESULT.rows[0].interval
    assert first.x[0] == 100
    assert first.x[0] - first.error_x.arrayminus[0] == pytest.approx(100 * low)
    assert first.x[0] + first.error_x.array[0] == pytest.approx(100 * high)
    assert figure.data[-1].x == (80.0,)
    assert figure.layout.shapes[0].x0 == 50  # chance


def test_categories_by_conditions():
    cells = plot_categories(RESULT).data[0]
    assert np.array(cells.z).tolist() == [[100, 100], [100, 0]]
    assert cells.y == ("cat", "dog &amp; co")


def test_counts_are_stacked_by_category_in_each_condition():
    figure = plot_condition_counts(RESULT)
    assert figure.layout.barmode == "stack"
    assert {bar.name: tuple(bar.x) for bar in figure.data} == {"cat": (1, 1), "dog &amp; co": (1, 1)}
    assert figure.data[0].y == ("Whole (2)", "&lt;b&gt;Blurred&lt;/b&gt; (2)")


def test_of_many_categories_the_largest_are_told_apart_and_the_sum_stays():
    categories = [f"category {number}" for number in range(30)]
    labels = np.repeat(np.arange(30), np.arange(1, 31))
    zeros = np.zeros_like(labels)
    result = accuracy_by_condition(labels, labels, zeros, np.arange(len(labels)), names=("All",), categories=categories)
    bars = plot_condition_counts(result).data
    assert len(bars) == MOST_STACKED + 1
    assert [bar.name for bar in bars[:2]] == ["category 18", "category 19"]
    assert bars[-1].name == "18 other categories"
    assert tuple(bars[-1].x) == (sum(range(1, 19)),)
    assert sum(bar.x[0] for bar in bars) == len(labels)
