"""The table of models and conditions: who was asked about what, what goes to disk and comes back, and disputes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.errors import ShapeError
from core.methods.accuracy.paired import Paired
from core.methods.biases.stress_table import (
    AS_THEY_ARE,
    ModelPair,
    StressRow,
    condition_words,
    disputed_images,
    model_pairs,
    stress_table,
)

LABELS = np.array([0, 1, 2, 0])
# Two models, as they are and changed; the second was asked about the first two images alone.
ANSWERS = np.array(
    [
        [[0, 0], [0, 1]],
        [[1, 0], [1, 1]],
        [[2, 2], [-1, -1]],
        [[1, 0], [-1, -1]],
    ]
)


def test_a_row_for_each_model_and_condition() -> None:
    rows = {(row.model, row.condition): row for row in stress_table(LABELS, ANSWERS, 3)}
    assert len(rows) == 4
    assert (rows[0, 0].accuracy.correct, rows[0, 0].accuracy.count) == (3, 4)
    assert rows[0, 0].ratio is None
    changed = rows[0, 1].ratio
    assert changed is not None
    assert changed.paired == Paired(both=2, only_first=1, only_second=1, neither=0)
    assert changed.classes == 3
    assert (rows[1, 1].accuracy.correct, rows[1, 1].accuracy.count) == (1, 2)


def test_two_models_are_compared_on_what_both_were_asked() -> None:
    before, after = model_pairs(LABELS, ANSWERS)
    assert before.paired == Paired(both=2, only_first=0, only_second=0, neither=0)
    assert after.paired == Paired(both=0, only_first=1, only_second=1, neither=0)
    assert (after.first, after.second, after.condition) == (0, 1, 1)


def test_what_a_result_holds_comes_back() -> None:
    for row in stress_table(LABELS, ANSWERS, 3, seed=4):
        assert StressRow.read(json.loads(json.dumps(row.values())), seed=4) == row
    for pair in model_pairs(LABELS, ANSWERS):
        assert ModelPair.read(json.loads(json.dumps(pair.values()))) == pair


def test_the_shapes_must_agree() -> None:
    with pytest.raises(ShapeError, match="models, conditions"):
        stress_table(LABELS[:2], ANSWERS, 3)
    with pytest.raises(ShapeError, match="models, conditions"):
        stress_table(LABELS, ANSWERS[:, :, 0], 3)


def test_a_condition_in_words() -> None:
    assert condition_words("") == AS_THEY_ARE
    assert condition_words("scramble:4+grey:100").count(" + ") == 1


def test_the_images_that_split_the_models_most_evenly_come_first() -> None:
    labels = np.zeros(5, dtype=int)
    answers = np.array([[0, 0, 0, 0], [0, 1, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1], [0, 1, -1, -1]])
    assert disputed_images(labels, answers, 9).tolist() == [2, 1, 4]
    assert disputed_images(labels, answers, 1).tolist() == [2]
