import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.data.condition_sets import ConditionPicture, ConditionSet
from core.errors import ConfigError
from core.intervals import wilson_interval
from core.methods.clip.conditions import accuracy_by_condition, parse_references, tally

NAMES = ("Whole", "Silhouette", "Blurred")


def _result(**changes: object):
    """Four things in three conditions; the last shows only two of them."""
    values = {
        "labels": np.array([0, 0, 1, 1, 0, 0, 1, 1, 0, 1]),
        "predicted": np.array([0, 0, 1, 0, 0, 1, 0, 0, 0, 1]),
        "conditions": np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2]),
        "things": np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 3]),
        "names": NAMES,
        "categories": ("cat", "dog"),
    }
    return accuracy_by_condition(**(values | changes))


def test_oracle():
    whole, silhouette, blurred = _result().rows
    assert (whole.correct, whole.count, whole.accuracy) == (3, 4, 0.75)
    assert silhouette.interval == wilson_interval(1, 4)
    assert (silhouette.compared, silhouette.difference[0]) == (4, -0.5)
    assert (blurred.compared, blurred.difference[0]) == (2, 0.5)  # 2 of 2, where the first had 1 of the same 2
    assert whole.compared == 0
    assert _result().table[1].tolist() == [[1, 2], [0, 2]]
    assert _result().chance == 0.5


def test_other_things_are_not_compared():
    rows = _result(things=np.arange(10)).rows
    assert [row.compared for row in rows] == [0, 0, 0]
    assert [row.count for row in rows] == [4, 4, 2]


@given(st.integers(0, 1000))
def test_the_order_of_pictures_does_not_matter(seed):
    order = np.random.default_rng(seed).permutation(10)
    given_order = {
        name: value[order]
        for name, value in {
            "labels": np.array([0, 0, 1, 1, 0, 0, 1, 1, 0, 1]),
            "predicted": np.array([0, 0, 1, 0, 0, 1, 0, 0, 0, 1]),
            "conditions": np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2]),
            "things": np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 3]),
        }.items()
    }
    assert _result(**given_order).rows == _result().rows


def test_a_condition_that_shows_nothing():
    rows = _result(names=(*NAMES, "Edges")).rows
    assert (rows[3].count, rows[3].accuracy, rows[3].interval) == (0, 0.0, (0.0, 1.0))


def test_references_are_said_against_the_interval():
    rows = _result(references=(0.99, None, 0.9)).rows
    assert "cannot tell" in rows[2].sentence()
    assert rows[1].sentence() == ""
    many = accuracy_by_condition(
        np.zeros(200, int), np.zeros(200, int), np.zeros(200, int), np.arange(200),
        names=("Whole",), categories=("cat", "dog"), references=(0.5,),
    )  # fmt: skip
    assert "above the 50.0%" in many.rows[0].sentence()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (None, None, None)),
        ("100 / 54.2 / 92.5", (1.0, 0.542, 0.925)),
        ("blurred: 69.1 %", (None, None, 0.691)),
        ("Silhouette 54.2, Whole=100", (1.0, 0.542, None)),
        ("100, -, 7", (1.0, None, 0.07)),
    ],
)
def test_reference_values_as_they_are_typed(text, expected):
    assert parse_references(text, NAMES) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["abc", "101", "1,2,3,4", "Geons: 50", "Whole: high"])
def test_other_text_is_refused(text):
    with pytest.raises(ConfigError):
        parse_references(text, NAMES)


def test_a_set_of_which_not_every_picture_could_be_shown_is_counted_by_what_was():
    shown = [(0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1)]  # condition, category, thing
    found = ConditionSet(
        title="Cut",
        conditions=("As it is", "Blurred"),
        categories=("cat", "dog"),
        pictures=tuple(
            ConditionPicture(condition=condition, category=category, thing=thing, title="", open=Image.Image)
            for condition, category, thing in shown
        ),
    )
    result = tally(found, np.array([0, 2, 3]), np.array([0, 1, 1]), (0.9, None))
    assert [(row.condition, row.correct, row.count) for row in result.rows] == [
        ("As it is", 1, 1), ("Blurred", 1, 2),
    ]  # fmt: skip
    assert [row.reference for row in result.rows] == [0.9, None]
    assert result.categories == ("cat", "dog")
    assert result.chance == 0.5
