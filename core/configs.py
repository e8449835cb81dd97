"""Frozen dataclasses as configuration: described by field metadata, strict when read from JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar

from core.errors import ConfigError, UnknownNameError

Config = TypeVar("Config")
# What a browser, and a float, can hold exactly.
_LARGEST = 2**53


def option(
    default: Any,
    label: str,
    help: str = "",
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    unit: str = "",
    zero: str = "",
) -> Any:
    """A dataclass field that a form can draw.

    Args:
        minimum, maximum: inclusive bounds.
        unit: of a number, as the form writes it behind the label.
        zero: what 0 stands for where it is no amount, such as "all images": a form offers it as a choice of its own.
    """
    metadata = {"label": label, "help": help, "minimum": minimum, "maximum": maximum, "unit": unit, "zero": zero}
    return dataclasses.field(default=default, metadata=metadata)


def check_options(config: Any) -> None:
    """Raise `ConfigError` when a field of `config` leaves its bounds or its `Literal` choices."""
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        choices = typing.get_args(hints[field.name])
        if typing.get_origin(hints[field.name]) is typing.Literal and value not in choices:
            raise ConfigError(f"{field.name} is {value!r}; expected one of {', '.join(map(repr, choices))}.")
        low, high = field.metadata.get("minimum"), field.metadata.get("maximum")
        if value is not None and ((low is not None and value < low) or (high is not None and value > high)):
            raise ConfigError(f"{field.name} is {value}; expected a value between {low} and {high}.")


def to_json(config: Any) -> str:
    """`config` as indented JSON text."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_dict(kind: type[Config], values: dict[str, Any]) -> Config:
    """Build `kind` from plain values.

    A class may say in `RENAMED` what its fields were called when older runs were written down: {old name: name}.

    Raises:
        UnknownNameError: a key is no field of `kind`.
        ConfigError: a value has another type than its field, or is out of bounds.
    """
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    converted = {}
    renamed: Mapping[str, str] = getattr(kind, "RENAMED", {})
    for key, value in values.items():
        key = renamed.get(key, key)
        if key not in names:
            raise UnknownNameError(f"setting of {kind.__name__}", key, names)
        converted[key] = _convert(key, value, hints[key])
    try:
        return kind(**converted)
    except TypeError as error:
        raise ConfigError(f"{kind.__name__} is incomplete: {error}.") from error


def parse_overrides(kind: type[Config], pairs: list[str], base: Config | None = None) -> Config:
    """Build `kind` from `key=value` texts, as the command line gives them (`model.depth=4` reaches in).

    Without a `base` they are laid over `kind`'s own defaults: a recipe's default section may differ from the defaults
    of that section's class, and `training.epochs=3` must not change its optimizer.
    """
    if base is None and not _required(kind):
        base = kind()
    values: dict[str, Any] = dataclasses.asdict(base) if base is not None else {}  # type: ignore[call-overload]
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise ConfigError(f"Got {pair!r}; expected key=value.")
        *parents, leaf = key.split(".")
        target = values
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise ConfigError(f"Got {pair!r}, but {parent} is a single value: {target!r}.")
        try:
            target[leaf] = json.loads(text)
        except (ValueError, RecursionError):  # no JSON, a number of thousands of digits, brackets without end
            target[leaf] = text
    return from_dict(kind, values)


def differences(config: Any) -> list[str]:
    """The `key=value` texts in which `config` differs from its class's defaults: what `parse_overrides` reads."""
    default = dataclasses.asdict(type(config)())
    leaves = _leaves(dataclasses.asdict(config))
    return [f"{key}={value_text(value)}" for key, value in leaves if _pick(default, key) != value]


def value_text(value: Any) -> str:
    """A value as `parse_overrides` reads it back: a text that is no JSON stays bare."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        json.loads(value)
    except json.JSONDecodeError:
        return value
    return json.dumps(value)


def _required(kind: type) -> list[str]:
    """Names of the fields that have no default."""
    missing = dataclasses.MISSING
    fields = dataclasses.fields(kind)
    return [field.name for field in fields if field.default is missing and field.default_factory is missing]


def _leaves(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted key and value of everything in a nested dictionary that is no dictionary."""
    return [
        leaf
        for key, value in values.items()
        for leaf in (_leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)])
    ]


def _pick(values: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        values = values.get(part, {})
    return values


def _convert(key: str, value: Any, hint: Any, verb: str = "is") -> Any:
    """`value` as `hint` wants it; only lossless conversions (a whole number for a float, a list for a tuple)."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(key, value, next(kind for kind in arguments if kind is not type(None)))
    if origin is typing.Literal:
        return value
    if origin is dict and not isinstance(value, dict):
        raise ConfigError(f"{key} is {value!r}; expected names with values.")
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{key} is {value!r}; expected a list.")
        if arguments[1:] == (...,):
            return tuple(_convert(key, item, arguments[0], verb="holds") for item in value)
        return tuple(value)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_dict(typing.cast(type[Any], hint), value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST:
        raise ConfigError(f"{key} has {len(str(value)):,} digits; expected a number up to {_LARGEST:,}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{key} is {value}; expected a number.")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        raise ConfigError(f"{key} {verb} {value!r}; expected {hint.__name__}.")
    return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One leaf of a configuration, as a person is told of it."""

    key: str
    """Dotted, as `parse_overrides` wants it."""
    kind: str
    """Its type, or its choices."""
    default: str
    """As `parse_overrides` reads it."""
    bounds: str
    """Such as `1 to 64`; empty where nothing bounds it."""
    help: str


def list_settings(kind: type[Any]) -> list[Setting]:
    """Every setting of `kind` and of its sections, in their order, with the defaults that `kind` gives them."""
    return _settings_of(kind(), "")


def _settings_of(section: Any, prefix: str) -> list[Setting]:
    hints, settings = typing.get_type_hints(type(section)), []
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            settings += _settings_of(value, f"{prefix}{field.name}.")
            continue
        about = field.metadata
        unit, zero = about.get("unit"), about.get("zero")
        label = f"{about.get('label', '')} ({unit})" if unit else about.get("label", "")
        words = [label, about.get("help", ""), f"0: {zero}" if zero else ""]
        settings.append(
            Setting(
                key=prefix + field.name,
                kind=_kind_words(hints[field.name]),
                default=value_text(value),
                bounds=_bounds_words(field.metadata.get("minimum"), field.metadata.get("maximum")),
                help=". ".join(word.rstrip(".") for word in words if word),
            )
        )
    return settings


def _kind_words(hint: Any) -> str:
    """A type as it is written, `Literal` as its choices."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "|".join(map(str, arguments))
    if origin in (typing.Union, UnionType):
        return "|".join("null" if each is type(None) else _kind_words(each) for each in arguments)
    if origin is not None:
        inner = ", ".join("..." if each is ... else _kind_words(each) for each in arguments)
        return f"{origin.__name__}[{inner}]"
    return str(getattr(hint, "__name__", hint))


def _bounds_words(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return f"at least {low:g}" if low is not None else f"at most {high:g}" if high is not None else ""
