"""Which settings a sweep varies, and over which values, as one line of text each.

training.learning_rate=log:1e-4..3e-3      a float, uniform in its logarithm
model.drop_path=float:0..0.3               a float
model.depth=int:2..8                       a whole number, both ends included
model.embed_dim=int:64..256/64             in steps of 64
training.augmentation=choice:none,crop_flip

`model.head_dim` is no setting of a model but may be varied: the number of heads follows from it and the width, so that
the heads always divide the width. (A sweep over `model.num_heads` works too; combinations that do not divide fail.)
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.configs import parse_overrides, value_text
from core.errors import ConfigError, UnknownNameError

Value = int | float | str | bool

DEFAULT_SPACE = (
    "model.embed_dim=int:64..256/64",
    "model.depth=int:2..8",
    "model.head_dim=choice:16,32",
    "model.mlp_ratio=choice:1,2,4",
    "model.patch_size=choice:4,8",
    "model.drop_path=float:0..0.2",
    "training.learning_rate=log:1e-4..3e-3",
    "training.weight_decay=log:0.001..0.3",
    "training.augmentation=choice:none,crop_flip,crop_flip_erase",
)
HEAD_DIM, HEADS, WIDTH = "model.head_dim", "model.num_heads", "model.embed_dim"
EXAMPLE = "Write it like training.learning_rate=log:1e-4..3e-3, model.depth=int:2..8 or model.patch_size=choice:4,8."


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One setting that is varied.

    Attributes:
        key: the setting, dotted (`training.learning_rate`).
        kind: "log" and "float" draw floats, "int" whole numbers, "choice" one of `choices`.
        low: the smallest value, included.
        high: the largest.
        step: distance between neighbours; None is 1 for whole numbers and continuous for floats.
        choices: the values of a "choice".
    """

    key: str
    kind: Literal["log", "float", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    choices: tuple[Value, ...] = ()

    @property
    def text(self) -> str:
        """What `parse_parameter` reads."""
        if self.kind == "choice":
            return f"{self.key}=choice:{','.join(value_text(value) for value in self.choices)}"
        step = "" if self.step is None else f"/{_number_text(self.step)}"
        return f"{self.key}={self.kind}:{_number_text(self.low)}..{_number_text(self.high)}{step}"

    def extremes(self) -> tuple[Value, ...]:
        """Every choice, or both ends of the range."""
        if self.kind == "choice":
            return self.choices
        return (int(self.low), int(self.high)) if self.kind == "int" else (self.low, self.high)


def parse_parameter(text: str) -> Parameter:
    """One line of a search space.

    Raises:
        ConfigError: it is no such line, or its range is empty.
    """
    match = re.fullmatch(r"\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*=\s*(log|float|int|choice)\s*:(.*)", text)
    if match is None:
        raise ConfigError(f"{text!r} is no line of a search space.", EXAMPLE)
    key, kind, rest = match[1], match[2], match[3].strip()
    if kind == "choice":
        choices = tuple(_read_choice(part, text) for part in rest.split(","))
        # 1, 1.0 and true are equal to Python but are different settings.
        if len({(type(value), value) for value in choices}) < len(choices):
            raise ConfigError(f"{text!r} offers the same choice twice.", "Name every choice once.")
        return Parameter(key=key, kind="choice", choices=choices)
    span, slash, step_text = rest.partition("/")
    ends = span.split("..")
    if len(ends) != 2:
        raise ConfigError(f"{text!r} has no range LOW..HIGH.", EXAMPLE)
    low, high = (_read_number(end, kind, text) for end in ends)
    step = _read_number(step_text, kind, text) if slash else None
    if low >= high:
        raise ConfigError(f"{text!r} is an empty range.", "The first end has to be the smaller one.")
    if kind == "log" and (low <= 0 or step is not None):
        raise ConfigError(f"{text!r}: a logarithmic range starts above 0 and has no step.", EXAMPLE)
    steps = (high - low) / step if step else 0.0
    if step is not None and (steps < 1 or not math.isclose(steps, round(steps), abs_tol=1e-6)):
        raise ConfigError(f"{text!r}: steps of {step_text.strip()} do not lead from one end to the other.", EXAMPLE)
    return Parameter(key=key, kind=kind, low=low, high=high, step=step)  # type: ignore[arg-type]


def parse_space(lines: Sequence[str]) -> tuple[Parameter, ...]:
    """All lines of a search space.

    Raises:
        ConfigError: there is none, one is malformed, or two vary the same setting.
    """
    parameters = tuple(parse_parameter(line) for line in lines)
    if not parameters:
        raise ConfigError("The search space is empty.", EXAMPLE)
    keys = [parameter.key for parameter in parameters]
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"The search space varies {key} twice.", "Keep one of the two lines.")
    if HEAD_DIM in keys and HEADS in keys:
        raise ConfigError(f"The search space varies {HEAD_DIM} and {HEADS}.", "The second follows from the first.")
    return parameters


def usual_space(base: object) -> tuple[str, ...]:
    """The default lines, as far as the config `base` has these settings and takes their values by themselves."""
    known = setting_names(base)
    return tuple(line for line in DEFAULT_SPACE if line.partition("=")[0] in known and _is_taken(line, base))


def _is_taken(line: str, base: object) -> bool:
    try:
        check_space((parse_parameter(line),), base)
    except ConfigError:  # a mixer's width must be split by its heads, which no line of the space counts
        return False
    return True


def setting_names(base: object) -> list[str]:
    """The dotted names of everything that can be varied in the config `base`."""
    names = _leaf_names(dataclasses.asdict(base))  # type: ignore[call-overload]
    return [*names, HEAD_DIM] if {HEADS, WIDTH} <= set(names) else names


def check_space(parameters: Sequence[Parameter], base: Any) -> None:
    """Refuse what no trial could use: settings that `base` does not have, values outside their bounds.

    Raises:
        UnknownNameError: a key is no setting.
        ConfigError: an end of a range or a choice is refused by the config.
    """
    known = setting_names(base)
    for parameter in parameters:
        if parameter.key not in known:
            raise UnknownNameError("setting", parameter.key, known)
        if parameter.key == HEAD_DIM:
            if any(not isinstance(value, int) or value < 1 for value in parameter.extremes()):
                raise ConfigError(f"{parameter.text!r}: a head has a whole number of dimensions.", EXAMPLE)
            continue
        for value in parameter.extremes():
            parse_overrides(type(base), [pair(parameter.key, value)], base)


def overrides_for(values: Mapping[str, Value], base: Any) -> tuple[str, ...]:
    """The `key=value` texts that turn `base` into the trial with these values; heads are worked out here.

    Raises:
        ConfigError: the head dimension does not divide the width.
    """
    chosen = dict(values)
    head_dim = chosen.pop(HEAD_DIM, None)
    if head_dim is not None:
        width = int(chosen.get(WIDTH, base.model.embed_dim))
        # A differential head has two maps of head_dim each.
        family = chosen.get("family", getattr(base, "family", ""))
        per_head = int(head_dim) * (2 if family == "differential_vit" else 1)
        if width % per_head:
            raise ConfigError(
                f"Heads of {per_head} dimensions do not divide the width {width}.",
                "Let the width go in steps that every head dimension divides.",
            )
        chosen[HEADS] = width // per_head
    return tuple(pair(key, value) for key, value in chosen.items())


def pair(key: str, value: Value) -> str:
    """`key=value` as `core.configs.parse_overrides` reads it."""
    return f"{key}={value_text(value)}"


def _leaf_names(values: dict[str, Any], prefix: str = "") -> list[str]:
    names: list[str] = []
    for key, value in values.items():
        names += _leaf_names(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return names


def _read_number(text: str, kind: str, line: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (kind == "int" and value != int(value)):
        raise ConfigError(f"{text.strip()!r} in {line!r} is no {'whole ' if kind == 'int' else ''}number.", EXAMPLE)
    return value


def _read_choice(text: str, line: str) -> Value:
    """As `parse_overrides` reads a value, but single values only."""
    text = text.strip()
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    single = re.fullmatch(r'[^\s,"]+', value) if isinstance(value, str) else isinstance(value, (int, float))
    if not single or (isinstance(value, float) and not math.isfinite(value)):
        raise ConfigError(f"{text!r} in {line!r} is no choice.", EXAMPLE)
    return value


def _number_text(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
