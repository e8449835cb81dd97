"""Counting right and wrong answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix as reference

from core.errors import ShapeError
from core.intervals import wilson_interval
from core.methods.accuracy.confusion import (
    accuracy,
    class_accuracies,
    classes_by_error,
    confusion_matrix,
    most_confused,
    surest_errors,
)

LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2])
SAID = np.array([0, 1, 1, 1, 0, 2, 2, 1])
SURE = np.array([0.9, 0.4, 0.8, 0.9, 0.7, 0.5, 0.6, 0.8])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_counts_are_those_of_sklearn(pairs: list[tuple[int, int]]) -> None:
    labels, said = np.array(pairs).T
    found = confusion_matrix(labels, said, 5)
    np.testing.assert_array_equal(found, reference(labels, said, labels=range(5)))
    right = accuracy(labels, said)
    assert right.correct == np.trace(found)
    assert sum(each.count for each in class_accuracies(found)) == len(pairs)
    assert sum(each[2] for each in most_confused(found, 25)) == len(pairs) - right.correct


def test_accuracies_carry_their_interval() -> None:
    right = accuracy(LABELS, SAID)
    assert (right.correct, right.count, right.value) == (4, 8, 0.5)
    assert right.interval == wilson_interval(4, 8)
    assert right.sentence().startswith("50.0% of 8 (95 % interval 21.5% to 78.5%)")
    with pytest.raises(ShapeError):
        accuracy(LABELS, SAID[:-1])


def test_the_surest_errors_come_first_and_can_be_narrowed() -> None:
    assert surest_errors(LABELS, SAID, SURE, 9).tolist() == [2, 7, 4, 1]
    assert surest_errors(LABELS, SAID, SURE, 1).tolist() == [2]
    assert surest_errors(LABELS, SAID, SURE, 9, true_class=0, said_class=1).tolist() == [2, 1]
    assert surest_errors(LABELS, LABELS, SURE, 9).tolist() == []


def test_confusions_by_frequency() -> None:
    found = confusion_matrix(LABELS, SAID, 3)
    assert most_confused(found, 2) == [(0, 1, 2), (1, 0, 1)]
    assert list(classes_by_error(found, 2)) == [0, 1]
    assert list(classes_by_error(found, 5)) == [0, 1, 2]
