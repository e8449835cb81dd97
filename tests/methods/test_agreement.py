"""Two sets of logits compared, against hand-made and exact cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.errors import NotFiniteError, ShapeError
from core.methods.precision.agreement import agreement, class_changes, reason
from core.methods.precision.precision import FORMATS

LOGITS = arrays(np.float64, (4, 6), elements=st.floats(-50, 50, width=32))
BF16 = FORMATS["bf16"]


@settings(deadline=None, max_examples=50)
@given(logits=LOGITS)
def test_comparing_with_itself_gives_nothing(logits: np.ndarray) -> None:
    result = agreement(logits, logits)
    for values in (result.max_difference, result.kl, result.total_variation, result.shift, result.logit_error):
        np.testing.assert_array_equal(values, 0)
    assert result.same_answer.all()
    np.testing.assert_array_equal(result.top_overlap, 1)
    assert len(result.flips) == 0


@settings(deadline=None, max_examples=50)
@given(first=LOGITS, second=LOGITS)
def test_divergences_keep_their_bounds(first: np.ndarray, second: np.ndarray) -> None:
    result = agreement(first, second)
    assert (result.kl >= 0).all()
    assert (result.total_variation >= 0).all()
    assert (result.total_variation <= 1 + 1e-6).all()
    assert (result.max_difference <= result.total_variation + 1e-6).all()
    # Pinsker: TV ≤ √(KL/2).
    assert (result.total_variation <= np.sqrt(result.kl / 2) + 1e-5).all()
    assert (result.margin >= 0).all()
    np.testing.assert_allclose(result.reference.sum(axis=1), 1, rtol=1e-5)


def test_figures_by_hand() -> None:
    reference = np.log(np.array([[0.5, 0.3, 0.2]]))
    reduced = np.log(np.array([[0.3, 0.5, 0.2]]))
    result = agreement(reference, reduced)
    assert result.max_difference[0] == pytest.approx(0.2)
    assert result.total_variation[0] == pytest.approx(0.2)
    assert result.kl[0] == pytest.approx(0.2 * np.log(5 / 3))
    assert result.flips.tolist() == [0]
    assert result.margin[0] == pytest.approx(np.log(5 / 3))
    assert result.shift[0] == pytest.approx(-2 * np.log(5 / 3))


def test_a_constant_added_to_all_logits_changes_no_probability() -> None:
    logits = np.random.default_rng(0).standard_normal((3, 5))
    result = agreement(logits, logits + 7)
    np.testing.assert_allclose(result.max_difference, 0, atol=1e-7)
    np.testing.assert_allclose(result.kl, 0, atol=1e-7)


def test_the_top_five_are_compared_as_sets() -> None:
    first = np.arange(10.0)[None]
    second = first.copy()
    second[0, [9, 8, 4, 3]] = [8, 9, 20, -1]
    assert agreement(first, second).top_overlap[0] == pytest.approx(0.8)
    swapped = first.copy()
    swapped[0, [9, 5]] = [5, 9]
    result = agreement(first, swapped)
    assert result.top_overlap[0] == 1
    assert not result.same_answer[0]


def test_numbers_that_overflowed_agree_with_nothing() -> None:
    logits = np.array([[1.0, 2.0], [3.0, 1.0]])
    broken = np.array([[np.inf, 2.0], [3.0, 1.0]])
    result = agreement(logits, broken)
    assert result.finite.tolist() == [False, True]
    assert result.flips.tolist() == [0]
    assert result.largest(1).tolist() == [0]
    assert "65,504" in reason(result, 0, FORMATS["fp16"])
    with pytest.raises(NotFiniteError, match="not numbers"):
        agreement(broken, logits)


def test_the_reason_follows_from_margin_and_shift() -> None:
    reference = np.array([[1.00, 0.99, -3], [5.0, 0.0, -1], [1.00, 0.60, -3], [1.0, 0.0, 0.0]])
    reduced = np.array([[0.99, 1.00, -3], [5.01, 0.0, -1], [0.70, 0.60, -3], [1.0, 0.0, 0.0]])
    result = agreement(reference, reduced)
    classes = ("cat", "dog", "cup")
    said = [reason(result, image, BF16, classes) for image in range(4)]
    assert "the answer turns to dog" in said[0]
    assert "0.01 apart" in said[0]
    assert "500 times too little" in said[1]
    assert "nearly enough" in said[2]
    assert said[3] == "Not a bit of difference."
    assert result.largest(2).tolist() == [0, 2]


def test_unlike_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="expected the same"):
        agreement(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(ShapeError):
        agreement(np.zeros((2, 1)), np.zeros((2, 1)))


def test_the_likeliest_classes_and_how_close_their_logits_were() -> None:
    result = agreement(np.array([[1.0, 3.0, 2.5, -4.0]]), np.array([[1.0, 3.0, 3.25, -4.0]]))
    found = class_changes(result, 0)
    assert [each.class_index for each in found] == [1, 2, 0]
    np.testing.assert_allclose([each.behind for each in found], [0, 0.5, 2], atol=1e-5)
    np.testing.assert_allclose([each.moved for each in found], [0, -0.75, 0], atol=1e-5)
    assert found[0].before == pytest.approx(float(result.reference[0, 1]))
    assert found[1].after == pytest.approx(float(result.reduced[0, 2]))
    lost = class_changes(agreement(np.array([[1.0, 3.0]]), np.array([[np.inf, 1.0]])), 0)
    assert np.isnan(lost[0].after)
    assert lost[1].behind == pytest.approx(2, abs=1e-5)
