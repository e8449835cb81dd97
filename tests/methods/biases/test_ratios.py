"""Ratios of accuracies: the worked cases, the interval against plain resampling, and what is undefined."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ShapeError
from core.methods.accuracy.confusion import Accuracy
from core.methods.accuracy.paired import Paired
from core.methods.biases.ratios import Estimate, same_images_ratio, two_sets_ratio


def test_a_model_at_chance_keeps_nothing_though_its_plain_ratio_is_that_of_a_good_one() -> None:
    good = same_images_ratio(Paired(both=450, only_first=450, only_second=0, neither=100), 10)
    lost = same_images_ratio(Paired(both=50, only_first=150, only_second=50, neither=750), 10)
    assert good.ratio.value == lost.ratio.value == 0.5
    assert good.corrected.value == pytest.approx(0.4375)
    assert lost.corrected.value == 0.0
    assert (good.drop.value, lost.drop.value) == (-0.45, -0.1)
    assert lost.corrected.low is not None
    assert lost.corrected.high is not None
    assert lost.corrected.low < 0 < lost.corrected.high


def test_the_interval_is_that_of_images_drawn_anew() -> None:
    before = np.repeat([True, True, False, False], [60, 45, 8, 37])
    after = np.repeat([True, False, True, False], [60, 45, 8, 37])
    rows = np.random.default_rng(5).integers(0, len(before), (4000, len(before)))
    plain = after[rows].mean(axis=1) / before[rows].mean(axis=1)
    corrected = (after[rows].mean(axis=1) - 0.1) / (before[rows].mean(axis=1) - 0.1)
    found = same_images_ratio(Paired(both=60, only_first=45, only_second=8, neither=37), 10)
    for estimate, draws in ((found.ratio, plain), (found.corrected, corrected)):
        assert (estimate.low, estimate.high) == pytest.approx(tuple(np.quantile(draws, (0.025, 0.975))), abs=0.015)


def test_the_same_images_tell_more_than_two_sets_of_them() -> None:
    paired = Paired(both=700, only_first=100, only_second=10, neither=190)
    same = same_images_ratio(paired, 10)
    apart = two_sets_ratio(Accuracy(correct=800, count=1000), Accuracy(correct=710, count=1000), 10)
    assert same.ratio.value == apart.ratio.value
    assert width(same.ratio) < 0.75 * width(apart.ratio)
    assert (same.paired, apart.paired) == (paired, None)


def test_the_interval_of_two_sets_is_that_of_both_drawn_anew() -> None:
    random = np.random.default_rng(1)
    draws = random.binomial(60, 0.5, 20_000) / 60 / (random.binomial(500, 0.8, 20_000) / 500)
    found = two_sets_ratio(Accuracy(correct=400, count=500), Accuracy(correct=30, count=60), 10)
    assert (found.ratio.low, found.ratio.high) == pytest.approx(tuple(np.quantile(draws, (0.025, 0.975))), abs=0.01)


def width(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def test_a_seed_gives_the_same_interval_and_another_one_another() -> None:
    paired = Paired(both=30, only_first=20, only_second=5, neither=45)
    assert same_images_ratio(paired, 10, seed=1) == same_images_ratio(paired, 10, seed=1)
    assert same_images_ratio(paired, 10, seed=1).ratio.low != same_images_ratio(paired, 10, seed=2).ratio.low


def test_a_model_that_never_was_right_has_no_ratio_and_one_at_chance_no_corrected_one() -> None:
    never = same_images_ratio(Paired(both=0, only_first=0, only_second=3, neither=97), 10)
    assert never.ratio == never.corrected == Estimate(value=None)
    guessing = same_images_ratio(Paired(both=5, only_first=5, only_second=5, neither=85), 10)
    assert guessing.ratio.value == 1.0
    assert guessing.corrected == Estimate(value=None)
    assert guessing.corrected.words() == "undefined"


def test_barely_above_chance_a_corrected_ratio_has_no_interval() -> None:
    found = same_images_ratio(Paired(both=10, only_first=2, only_second=0, neither=88), 10)
    assert found.corrected.value == pytest.approx(0.0)
    assert (found.corrected.low, found.corrected.high) == (None, None)
    assert found.corrected.words() == "0.00 (no interval)"


def test_none_of_twenty_right_is_not_surely_none() -> None:
    found = same_images_ratio(Paired(both=0, only_first=20, only_second=0, neither=0), 10)
    assert found.ratio.value == found.ratio.low == 0
    assert found.ratio.high == pytest.approx(Accuracy(correct=0, count=20).interval[1])


def test_without_images_there_is_no_ratio() -> None:
    with pytest.raises(ShapeError, match="no images"):
        same_images_ratio(Paired(both=0, only_first=0, only_second=0, neither=0), 10)
    with pytest.raises(ShapeError, match="no images"):
        two_sets_ratio(Accuracy(correct=1, count=2), Accuracy(correct=0, count=0), 10)


def test_as_a_result_holds_it() -> None:
    values = same_images_ratio(Paired(both=450, only_first=450, only_second=0, neither=100), 10).values()
    assert values["same_images"] is True
    assert (values["original"]["accuracy"], values["changed"]["accuracy"], values["chance"]) == (0.9, 0.45, 0.1)
    assert values["corrected"]["value"] == pytest.approx(0.4375)
    assert values["p_value"] < 1e-100
