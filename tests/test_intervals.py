"""Intervals cover what they promise, by exact enumeration and not by luck of a simulation."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from core.intervals import mcnemar_p_value, paired_interval, wilson_interval


def test_wilson_matches_a_published_value() -> None:
    # Newcombe 1998, Stat. Med. 17:857, Table I: 81 of 263, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


@pytest.mark.parametrize(("only_first", "only_second"), [(0.05, 0.05), (0.1, 0.02), (0.0, 0.3)])
def test_the_paired_interval_covers_the_truth(only_first: float, only_second: float) -> None:
    """Coverage over every possible pair of counts of 40 items, weighted by its probability."""
    count, truth, covered = 40, only_first - only_second, 0.0
    neither = 1 - only_first - only_second
    for first in range(count + 1):
        for second in range(count + 1 - first):
            ways = comb(count, first) * comb(count - first, second)
            probability = ways * only_first**first * only_second**second * neither ** (count - first - second)
            _, low, high = paired_interval(first, second, count)
            covered += probability * (low <= truth <= high)
    assert 0.93 < covered < 0.995


def test_the_paired_interval_is_the_mirror_of_itself_and_shrinks() -> None:
    difference, low, high = paired_interval(12, 3, 100)
    assert difference == pytest.approx(0.09)
    assert (-difference, -high, -low) == pytest.approx(paired_interval(3, 12, 100))
    _, narrow_low, narrow_high = paired_interval(120, 30, 1000)
    assert narrow_high - narrow_low < high - low
    assert paired_interval(0, 0, 0) == (0.0, -1.0, 1.0)


@given(only_first=st.integers(0, 200), only_second=st.integers(0, 200))
def test_mcnemar_is_the_exact_sign_test(only_first: int, only_second: int) -> None:
    found = mcnemar_p_value(only_first, only_second)
    if only_first + only_second:
        expected = binomtest(only_first, only_first + only_second, 0.5).pvalue
        assert found == pytest.approx(expected, rel=1e-9)
    assert found == mcnemar_p_value(only_second, only_first)


def test_mcnemar_of_many_and_of_none() -> None:
    assert mcnemar_p_value(0, 0) == 1.0
    assert mcnemar_p_value(2600, 2400) == pytest.approx(binomtest(2600, 5000, 0.5).pvalue, rel=1e-6)
