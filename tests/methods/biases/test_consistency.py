"""Error consistency: the same errors, independent ones, opposite ones, and its interval against plain resampling."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ShapeError
from core.methods.accuracy.paired import Paired, paired
from core.methods.biases.consistency import error_consistency


def test_the_same_errors_are_one_and_opposite_ones_below_zero() -> None:
    same = error_consistency(Paired(both=70, only_first=0, only_second=0, neither=30))
    assert same.kappa.value == pytest.approx(1.0)
    opposite = error_consistency(Paired(both=0, only_first=50, only_second=50, neither=0))
    assert opposite.kappa.value == pytest.approx(-1.0)


def test_two_models_that_err_independently_agree_as_expected() -> None:
    # .8 and .6 on 100 images: 48 both, 32 only the first, 12 only the second, 8 neither.
    found = error_consistency(Paired(both=48, only_first=32, only_second=12, neither=8))
    assert found.observed == found.expected == pytest.approx(0.56)
    assert found.kappa.value == pytest.approx(0.0)


def test_it_is_scikit_learns_kappa_of_right_and_wrong() -> None:
    from sklearn.metrics import cohen_kappa_score

    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 300)
    first = np.where(random.random(300) < 0.7, labels, (labels + 1) % 5)
    second = np.where(random.random(300) < 0.5, first, (labels + 2) % 5)
    found = error_consistency(paired(labels, first, second))
    assert found.kappa.value == pytest.approx(cohen_kappa_score(first == labels, second == labels))


def test_the_interval_is_that_of_images_drawn_anew() -> None:
    first, second = np.repeat([[1, 1, 0, 0], [1, 0, 1, 0]], [60, 25, 15, 50], axis=1).astype(bool)
    rows = np.random.default_rng(2).integers(0, 150, (4000, 150))
    one, two = first[rows], second[rows]
    expected = one.mean(axis=1) * two.mean(axis=1) + (1 - one.mean(axis=1)) * (1 - two.mean(axis=1))
    draws = ((one == two).mean(axis=1) - expected) / (1 - expected)
    kappa = error_consistency(Paired(both=60, only_first=25, only_second=15, neither=50)).kappa
    assert (kappa.low, kappa.high) == pytest.approx(tuple(np.quantile(draws, (0.025, 0.975))), abs=0.015)


def test_where_both_are_always_right_there_is_nothing_to_be_consistent_in() -> None:
    found = error_consistency(Paired(both=40, only_first=0, only_second=0, neither=0))
    assert found.kappa.value is None
    assert found.observed == found.expected == 1


def test_without_images_there_is_no_consistency() -> None:
    with pytest.raises(ShapeError, match="no images"):
        error_consistency(Paired(both=0, only_first=0, only_second=0, neither=0))
