"""Steps as text: what is written is read again, and what is no step costs a sentence."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError, CoreError, UnknownNameError
from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.steps import Step, format_steps, parse_steps
from tests.examples import examples


@st.composite
def steps(draw: st.DrawFn) -> Step:
    row = MANIPULATIONS[draw(st.sampled_from(sorted(MANIPULATIONS)))]
    whole = st.integers(int(row.lowest), int(row.highest)).map(float)
    strength = draw(whole if row.whole else st.floats(row.lowest, row.highest))
    extent = None
    if row.extent is not None:
        extent = draw(st.none() | st.floats(row.extent.lowest, row.extent.highest))
    return Step(row.name, strength, extent)


@given(st.lists(steps(), max_size=4))
@examples(100)
def test_what_is_written_is_read_again(chosen: list[Step]) -> None:
    text = format_steps(chosen)
    assert list(parse_steps(text)) == chosen
    assert list(parse_steps(text.replace("+", " "))) == chosen  # as an address turns it


def test_the_text_is_what_a_person_would_write():
    assert format_steps([Step("scramble", 4), Step("noise_patch", 64, 0.0625)]) == "scramble:4+noise_patch:64@0.0625"
    assert parse_steps("grey + blur:2.5") == (Step("grey", 100), Step("blur", 2.5))
    assert parse_steps("") == ()


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("gray:100", UnknownNameError, "Did you mean 'grey'"),
        ("grey:lots", ConfigError, "Write it as grey:100"),
        ("grey:nan", ConfigError, "Greyscale goes from 0 to 100 %"),
        ("grey:101", ConfigError, "not 101"),
        ("scramble:2.5", ConfigError, "whole number"),
        ("grey:5@0.5", ConfigError, "takes one number"),
        ("noise_patch:5@2", ConfigError, "Size of the patch goes from 0.01 to 1"),
        ("noise_patch:5@", None, ""),
    ],
)
def test_what_is_no_step_costs_a_sentence(text: str, error: type[CoreError] | None, says: str) -> None:
    if error is None:
        assert parse_steps(text) == (Step("noise_patch", 5),)
        return
    with pytest.raises(error, match=says):
        parse_steps(text)


@given(st.text(max_size=30))
@examples(100)
def test_any_text_is_steps_or_a_sentence(text: str) -> None:
    with suppress(CoreError):
        assert format_steps(parse_steps(text)).count("+") <= text.count("+") + text.count(" ")
