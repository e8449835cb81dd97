"""Search spaces: what is written is what is read, and what no trial could use is refused in a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.configs import parse_overrides
from core.errors import ConfigError, CoreError, UnknownNameError
from core.experiments.space import (
    DEFAULT_SPACE,
    Parameter,
    check_space,
    overrides_for,
    parse_parameter,
    parse_space,
    usual_space,
)
from core.experiments.vit_scratch import Config
from core.models.checkpoint import build
from core.models.differential import DifferentialAttention

KEYS = st.from_regex(r"[a-z_]{1,6}(\.[a-z_]{1,6}){0,2}", fullmatch=True)
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


@st.composite
def parameters(draw: st.DrawFn) -> Parameter:
    key, kind = draw(KEYS), draw(st.sampled_from(["log", "float", "int", "choice"]))
    if kind == "choice":
        value = st.integers() | FINITE | st.booleans() | st.from_regex(r"[A-Za-z0-9_.:/+-]{1,8}", fullmatch=True)
        choices = draw(st.lists(value, min_size=1, max_size=5, unique_by=lambda v: (type(v), v)))
        return Parameter(key=key, kind="choice", choices=tuple(choices))
    if kind == "int":
        low, step, count = draw(st.integers(-1000, 1000)), draw(st.integers(1, 64)), draw(st.integers(1, 20))
        step_or_none = draw(st.sampled_from([None, float(step)]))
        return Parameter(key=key, kind="int", low=float(low), high=float(low + step * count), step=step_or_none)
    numbers = st.floats(1e-9, 1e9) if kind == "log" else FINITE
    low, high = sorted(draw(st.tuples(numbers, numbers).filter(lambda ends: ends[0] != ends[1])))
    return Parameter(key=key, kind=kind, low=low, high=high)


@given(parameters())
def test_a_line_reads_back_as_the_parameter_that_wrote_it(parameter: Parameter) -> None:
    assert parse_parameter(parameter.text) == parameter


@given(st.text(max_size=40) | st.from_regex(r"[a-z.]{1,8}=(log|int|float|choice):[-0-9a-z./,]{0,12}", fullmatch=True))
def test_any_text_is_a_parameter_or_a_sentence(text: str) -> None:
    remedy = ""
    try:
        parameter = parse_parameter(text)
    except CoreError as error:
        remedy = error.remedy
    assert remedy or parameter.kind == "choice" or parameter.low < parameter.high


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("model.depth", "no line of a search space"),
        ("model.depth=normal:2..8", "no line of a search space"),
        ("model.depth=int:2", "no range"),
        ("model.depth=int:2.5..8", "no whole number"),
        ("model.depth=int:8..2", "empty range"),
        ("model.depth=int:2..8/4", "do not lead"),
        ("training.learning_rate=log:0..1", "starts above 0"),
        ("training.learning_rate=float:0..inf", "no number"),
        ("model.patch_size=choice:4,4", "same choice twice"),
        ("model.patch_size=choice:4,,8", "no choice"),
        ("model.patch_size=choice:[1]", "no choice"),
    ],
)
def test_malformed_lines(line: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse_parameter(line)


def test_a_space_varies_every_setting_once() -> None:
    with pytest.raises(ConfigError, match="empty"):
        parse_space([])
    with pytest.raises(ConfigError, match=r"model\.depth twice"):
        parse_space(["model.depth=int:2..8", "model.depth=choice:1,2"])
    with pytest.raises(ConfigError, match="follows"):
        parse_space(["model.num_heads=int:1..4", "model.head_dim=choice:16,32"])


def test_what_the_recipe_would_refuse_is_refused_at_once() -> None:
    with pytest.raises(UnknownNameError, match=r"model\.depth"):
        check_space(parse_space(["model.deph=int:2..8"]), Config())
    with pytest.raises(ConfigError, match="learning_rate is 5"):
        check_space(parse_space(["training.learning_rate=float:0..5"]), Config())
    with pytest.raises(ConfigError, match="augmentation"):
        check_space(parse_space(["training.augmentation=choice:none,mixup9"]), Config())
    with pytest.raises(ConfigError, match="whole number"):
        check_space(parse_space(["model.head_dim=float:1..2"]), Config())


@pytest.mark.parametrize("family", ["vit", "differential_vit"])
def test_every_corner_of_the_default_space_is_a_model(family: str) -> None:
    base = Config(family=family)  # type: ignore[arg-type]
    space = parse_space(DEFAULT_SPACE)
    check_space(space, base)
    assert usual_space(base) == DEFAULT_SPACE
    for width in (64, 128, 192, 256):
        for head_dim in (16, 32):
            pairs = overrides_for({"model.embed_dim": width, "model.head_dim": head_dim, "model.depth": 1}, base)
            config = parse_overrides(Config, list(pairs), base)
            attention = build(config.family, {**vars(config.model)}).blocks[0].attention
            heads, query = attention.num_heads, width // attention.num_heads
            halves = 2 if isinstance(attention, DifferentialAttention) else 1
            assert heads * head_dim * halves == width
            assert query // halves == head_dim


def test_a_head_dimension_that_does_not_divide_says_so() -> None:
    with pytest.raises(ConfigError, match="do not divide the width 96"):
        overrides_for({"model.embed_dim": 96, "model.head_dim": 64}, Config())
