"""Figures of zero-shot answers say what the numbers say."""

from __future__ import annotations

import numpy as np
import pytest

from core.figures.confusion import MOST_CLASSES, plot_class_accuracies, plot_compared_accuracies, plot_confusion
from core.figures.zero_shot import (
    leading_labels,
    plot_label_bars,
    plot_similarity_matrix,
    plot_strategy_slopes,
    plot_template_scores,
    word_marks,
)
from core.methods.accuracy.confusion import Accuracy, class_accuracies, confusion_matrix
from core.methods.clip.zero_shot import Scale, zero_shot_scores

LABELS = ("cat", "<b>dog</b>", "cup")


def scores(cosines: list[float], labels: tuple[str, ...] = LABELS):
    weights = np.array([[each, np.sqrt(1 - each**2)] for each in cosines])
    return zero_shot_scores(np.array([[1.0, 0.0]]), weights, labels, Scale(scale=10, bias=0, kind="softmax"))


def test_bars_stand_in_order_and_a_thousand_are_cut() -> None:
    found = scores([0.1, 0.9, 0.5])
    bars = plot_label_bars(found).data[0]
    assert [entry[0] for entry in bars.customdata] == ["<b>dog</b>", "cup", "cat"]
    np.testing.assert_allclose(bars.x, 100 * found.probabilities[0][[1, 2, 0]])
    many = scores(np.linspace(0, 0.9, 1000).tolist(), tuple(map(str, range(1000))))
    assert len(plot_label_bars(many, most=20).data[0].x) == 20


def test_slopes_join_the_same_label_across_strategies() -> None:
    first, second = scores([0.1, 0.9, 0.5]), scores([0.8, 0.2, 0.5])
    figure = plot_strategy_slopes([first, second], ["one", "two"])
    assert leading_labels([first, second]).tolist() == [1, 0, 2]
    for trace, label in zip(figure.data, (1, 0, 2), strict=True):
        expected = [100 * result.probabilities[0, label] for result in (first, second)]
        np.testing.assert_allclose(trace.y, expected, rtol=1e-5)
    places = [annotation.y for annotation in figure.layout.annotations]
    gaps = np.diff(sorted(places))
    assert (gaps > 1).all()  # names at the end of lines that meet do not overlap


def test_every_sentence_is_a_dot_and_together_they_are_a_line() -> None:
    shares = np.array([[0.2, 0.8], [0.4, 0.6], [0.5, 0.5]])
    figure = plot_template_scores(["a {}", "the {}", "{}"], ["cat", "dog"], shares, np.array([0.3, 0.7]))
    np.testing.assert_allclose([trace.x for trace in figure.data], 100 * shares.T)
    assert [shape.x0 for shape in figure.layout.shapes] == [30, 70]
    assert figure.data[0].customdata[1][0] == "the cat"


def test_the_best_text_of_every_picture_is_framed() -> None:
    values = np.array([[0.1, 0.9], [0.8, 0.3], [0.2, 0.25]])
    photos = [np.zeros((8, 8, 3), dtype=np.uint8)] * 3
    figure = plot_similarity_matrix(values, photos, ["a", "b", "c"], ["<i>x</i>", "y"], measure="cosine")
    np.testing.assert_allclose(figure.data[0].z, values.T)
    frames = [(round(shape.x0 + 0.47), round(shape.y0 + 0.46)) for shape in figure.layout.shapes]
    assert frames == [(0, 1), (1, 0), (2, 1)]
    assert len(figure.layout.images) == 3
    assert "&lt;i&gt;" in figure.layout.yaxis.ticktext[0]


def test_words_are_marked_by_relevance_and_stay_words() -> None:
    marks = word_marks(["a", "<b>", "cat"], np.array([0.0, 1.0, 4.0]))
    assert "&lt;b&gt;" in marks
    assert "<b>" not in marks
    assert marks.index("0.00)") < marks.index("0.12)") < marks.index("0.50)")
    assert word_marks([], np.array([])).count("background") == 0


@pytest.mark.parametrize("classes", [3, 200])
def test_confusions_are_shares_of_the_true_class(classes: int) -> None:
    random = np.random.default_rng(0)
    labels, said = random.integers(0, classes, (2, 2000))
    said[::2] = labels[::2]
    confusion = confusion_matrix(labels, said, classes)
    names = [f"class {index}" for index in range(classes)]
    table = plot_confusion(confusion, names).data[0]
    assert len(table.z) == min(classes, MOST_CLASSES)
    if classes == 3:
        np.testing.assert_allclose(np.sum(table.z, axis=1), 100)
    figure = plot_class_accuracies(names, class_accuracies(confusion), overall=0.5)
    values = figure.data[0].x
    assert list(values) == sorted(values, reverse=True)
    assert len(values) == min(classes, MOST_CLASSES)


def test_the_chosen_strategy_has_another_colour() -> None:
    rights = [Accuracy(correct=8, count=10), Accuracy(correct=9, count=10)]
    figure = plot_compared_accuracies(["one", "two"], rights, chosen=1)
    assert figure.data[0].marker.color != figure.data[1].marker.color
    low, high = rights[1].interval
    error = figure.data[1].error_x
    assert (90 - error.arrayminus[0], 90 + error.array[0]) == pytest.approx((100 * low, 100 * high))
