import dataclasses
import json
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.configs import check_options, differences, from_dict, option, parse_overrides, to_json
from core.errors import ConfigError, UnknownNameError
from core.models.vit import ViTConfig
from core.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Inner:
    width: int = option(4, "Width", minimum=1, maximum=8)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    rate: float = option(0.5, "Rate", "Of something.", minimum=0, maximum=1)
    kind: Literal["a", "b"] = option("a", "Kind")
    limit: int | None = option(None, "Limit", minimum=1)
    sizes: tuple[int, ...] = (1, 2)
    flag: bool = False
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        check_options(self)


@given(
    rate=st.floats(0, 1), kind=st.sampled_from("ab"), limit=st.none() | st.integers(1, 99), flag=st.booleans(),
    sizes=st.lists(st.integers(-(2**53), 2**53)), width=st.integers(1, 8), name=st.text(),
)  # fmt: skip
def test_json_gives_back_the_same_config(rate, kind, limit, flag, sizes, width, name):
    config = Outer(
        name=name, rate=rate, kind=kind, limit=limit, flag=flag, sizes=tuple(sizes), inner=Inner(width=width)
    )
    assert from_dict(Outer, json.loads(to_json(config))) == config


@pytest.mark.parametrize("config", [ViTConfig(), TrainingConfig()])
def test_real_configs_survive_json(config):
    assert from_dict(type(config), json.loads(to_json(config))) == config


def test_options_carry_what_a_form_needs():
    metadata = {each.name: each.metadata for each in dataclasses.fields(Outer)}["rate"]
    assert {key: value for key, value in metadata.items() if value != ""} == {
        "label": "Rate", "help": "Of something.", "minimum": 0, "maximum": 1,
    }  # fmt: skip
    for kind in (ViTConfig, TrainingConfig):
        assert all(each.metadata["label"] for each in dataclasses.fields(kind))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 1.5}, "rate is 1.5; expected a value between 0 and 1"),
        ({"rate": -0.1}, "rate is -0.1"),
        ({"kind": "c"}, "kind is 'c'; expected one of 'a', 'b'"),
        ({"limit": 0}, "limit is 0"),
        ({"inner": {"width": 9}}, "width is 9"),
        ({"rate": "fast"}, "rate is 'fast'; expected float"),
        ({"limit": "x"}, "limit is 'x'; expected int"),
        ({"limit": 1.5}, "limit is 1.5; expected int"),
        ({"limit": True}, "limit is True; expected int"),
        ({"rate": True}, "rate is True; expected float"),
        ({"flag": 1}, "flag is 1; expected bool"),
        ({"name": 3}, "name is 3; expected str"),
        ({"sizes": 3}, "sizes is 3; expected a list"),
        ({"sizes": "12"}, "sizes is '12'; expected a list"),
        ({"inner": 3}, "inner is 3; expected Inner"),
    ],
)
def test_wrong_values_are_refused_by_name(values, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(Outer, {"name": "x", **values})


def test_unknown_and_missing_keys_are_refused_by_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'rate'"):
        from_dict(Outer, {"name": "x", "rat": 1})
    with pytest.raises(UnknownNameError, match="width"):
        from_dict(Outer, {"name": "x", "inner": {"depth": 1}})
    with pytest.raises(ConfigError, match=r"incomplete.*name"):
        from_dict(Outer, {})


def test_a_whole_number_may_stand_for_a_float():
    rate = from_dict(Outer, {"name": "x", "rate": 1}).rate
    assert rate == 1.0
    assert isinstance(rate, float)


def test_overrides_reach_into_nested_configs_and_keep_the_rest():
    base = Outer(name="x", rate=0.25)
    changed = parse_overrides(Outer, ["inner.width=7", "kind=b", "limit=null", "flag=true"], base)
    assert changed == dataclasses.replace(base, inner=Inner(width=7), kind="b", flag=True)
    assert base.inner.width == 4
    assert parse_overrides(Outer, ["name=12a=b"]).name == "12a=b"
    with pytest.raises(ConfigError, match="key=value"):
        parse_overrides(Outer, ["name"])


def test_an_override_into_a_plain_value_is_refused():
    with pytest.raises(ConfigError, match="name is a single value"):
        parse_overrides(Outer, ["name.first=x"], Outer(name="x"))


@dataclass(frozen=True, kw_only=True)
class Two:
    width: int = 4
    depth: int = 1


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A config whose section starts elsewhere than the section's own class."""

    inner: Two = field(default_factory=lambda: Two(width=7))


def test_an_override_inside_a_section_keeps_the_defaults_that_the_section_has_here():
    changed = parse_overrides(Recipe, ["inner.depth=3"])
    assert (changed.inner.depth, changed.inner.width) == (3, 7)
    assert differences(changed) == ["inner.depth=3"]
    assert parse_overrides(Recipe, differences(changed)) == changed


@pytest.mark.parametrize("text", ["9" * 5000, "9" * 4000, "[" * 100_000, "NaN", "1e999", "-Infinity"])
def test_numbers_that_nothing_holds_are_refused_by_name(text: str) -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Rates:
        rate: float = 1.0
        count: int = 1

    for key in ("rate", "count"):
        with pytest.raises(ConfigError, match=key):
            parse_overrides(Rates, [f"{key}={text}"])
