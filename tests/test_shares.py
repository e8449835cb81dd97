"""Shares in words: an interval where there are enough things, the counts alone where there are few."""

from __future__ import annotations

import re

import numpy as np
import pytest

from core.intervals import paired_interval, wilson_interval
from core.methods.accuracy.confusion import Accuracy
from core.methods.accuracy.paired import Paired
from core.methods.clip.conditions import accuracy_by_condition
from core.shares import FEW, counted, difference_words, interval_words, share, share_of, share_with_interval

NUMBER = r"[-+−]?\d+(?:\.\d+)?"


def test_things_are_counted_in_the_right_number() -> None:
    assert [counted(count, "picture") for count in (0, 1, 2, 1200)] == [
        "0 pictures", "1 picture", "2 pictures", "1,200 pictures"
    ]  # fmt: skip
    assert (counted(1, "class", "classes"), counted(2, "class", "classes")) == ("1 class", "2 classes")


@pytest.mark.parametrize("count", range(1, 12))
def test_few_things_have_no_percentages_and_many_an_interval_within_its_bounds(count: int) -> None:
    for correct in range(count + 1):
        for words in (
            share(correct, count),
            share_of(correct, count, "picture"),
            share_with_interval(correct, count),
            Accuracy(correct=correct, count=count).sentence(),
            Accuracy(correct=correct, count=count).short(),
        ):
            assert ("%" in words) == (count >= FEW), words
            assert all(0 <= float(each) <= 100 for each in re.findall(rf"({NUMBER})%", words)), words
        assert bool(interval_words(correct, count)) == (count >= FEW)
        low, high = wilson_interval(correct, count)
        assert 0 <= low <= correct / count <= high <= 1
        for other in range(count - correct + 1):
            words = difference_words(correct, other, count)
            assert ("interval" in words) == (count >= FEW), words
            ends = paired_interval(correct, other, count)
            assert -1 <= ends[1] <= ends[2] <= 1


def test_the_words_are_these() -> None:
    assert share_of(1, 1, "picture") == "1 of 1 picture"
    assert share_of(2, 3, "picture") == "2 of 3 pictures"
    assert share_of(20, 30, "picture") == "67% of 30 pictures"
    assert share_with_interval(20, 30) == "66.7% of 30 (95 % interval 48.8% to 80.8%)"
    assert difference_words(2, 1, 3) == "+1 of 3"
    assert difference_words(1, 1, 3) == "as many of 3"
    assert difference_words(6, 5, 30).startswith("+3.3 points (95 % interval -")


def test_a_pair_of_classifiers_and_a_condition_of_one_picture_say_the_counts() -> None:
    said = Paired(both=0, only_first=1, only_second=0, neither=0).sentence("A", "B")
    assert "interval" not in said
    assert "+1 of 1" in said
    assert "right on 0 images on which" in said
    one = np.array([0])
    result = accuracy_by_condition(one, one, one, one, names=["Photo"], categories=["cat", "dog"], references=[0.5])
    [row] = result.rows
    assert row.sentence() == "Photo: 50.0% lies within the interval; 1 image cannot tell."
