"""What is on the Operators page, as one value: read from its address and widgets, mended where it makes no sense."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import streamlit as st

from core.errors import ConfigError
from core.methods.operators.single_layer import OPERATORS, OperatorSettings
from core.models.kernels import check_kernel_size
from core.models.mixer import OperatorName
from pages.shared.address import asked, bound, remember, whole_number
from pages.shared.foreign import literal, plain

SIZES = tuple(range(1, 16, 2))
TEMPERATURES = (0.05, 200.0)
WEIGHTS = (-10.0, 10.0)
# What the settings leave to widgets of their own, and what the browser's sliders hold.
CHOICES = (
    "kernel",
    "neighbourhood",
    "projections",
    "normalise",
    "padding",
    "outside",
    "window",
    "modulation",
    "axis",
    "activation",
)


@dataclass(frozen=True, kw_only=True)
class OperatorsView:
    """The Operators page.

    Attributes:
        image: the key of the image, as in the address.
        side: the longer side of the picture at most, in pixels; of random layers.
        mixers: operators and the names of trained mixers, instead of random layers; none: random layers.
        block: counted from 0; of trained mixers, as `head`.
        settings: temperature and weight hold for both, the rest for random layers.
        position: row and column, counted from 0.
        operator: the one shown step by step.
        channel: counted from 0.
    """

    image: str
    side: int = 32
    mixers: tuple[tuple[OperatorName, str], ...] = ()
    block: int = 0
    head: int = 0
    settings: OperatorSettings = OperatorSettings()
    position: tuple[int, int] = (0, 0)
    operator: OperatorName = "pre"
    channel: int = 0

    @property
    def trained(self) -> bool:
        """Whether weights are learned."""
        return bool(self.mixers)

    def facts(self) -> dict[str, object]:
        """As it is written down, counted from 1 as on the page."""
        values = asdict(self) | {
            "mixers": dict(self.mixers),
            "block": self.block + 1,
            "head": self.head + 1,
            "channel": self.channel + 1,
        }
        return values | {"position": [place + 1 for place in self.position]}


def settings_form() -> OperatorSettings:
    """The widgets of all settings but the sliders, and their values."""
    described = {field.name: field.metadata for field in fields(OperatorSettings)}
    hints, usual, values = typing.get_type_hints(OperatorSettings), OperatorSettings(), dict[str, Any]()
    for name in CHOICES:
        metadata = described[name]
        shared: dict[str, Any] = {"key": f"op_{name}", "bind": "query-params", "help": metadata["help"] or None}
        if hints[name] is bool:
            values[name] = st.toggle(plain(metadata["label"]), value=usual.normalise, **shared)
            continue
        options = typing.get_args(hints[name])
        values[name] = st.segmented_control(
            plain(metadata["label"]),
            options,
            format_func=lambda each: plain(str(each).replace("_", " ")),
            default=getattr(usual, name),
            required=True,
            **shared,
        )
    channels = st.number_input("Channels", 1, 32, 8, key="op_channels", bind=bound("op_channels"))
    seed = st.number_input("Seed", 0, 9999, 0, key="op_seed", bind=bound("op_seed"), help="Another one, other kernels.")
    return OperatorSettings(**values, channels=int(channels), seed=int(seed))


def read_view(view: OperatorsView, grid: tuple[int, int], sizes: tuple[int, ...], usual: float) -> OperatorsView:
    """`view` with what the browser's component holds; a sentence for each thing that cannot be meant.

    Args:
        grid: rows and columns of positions.
        sizes: of kernels that fit; one where kernels were learned.
        usual: the temperature to begin with.
    """
    operator = _held("operator")
    if operator not in OPERATORS:
        operator = _mended("operator", "pre", f"There is no operator {literal(operator, 40)!r}.") if operator else "pre"
    settings = replace(
        view.settings,
        kernel_size=_kernel(sizes, grid, view.settings.padding),
        temperature=_number("temperature", TEMPERATURES, usual),
        weight=_number("weight", WEIGHTS, 1.0),
    )
    channel = whole_number(_held("channel") or "1", 65)
    if channel is None or channel < 1:
        channel = int(_mended("channel", "1", "There is no such channel."))
    return replace(
        view,
        settings=settings,
        position=_position(grid),
        operator=typing.cast(OperatorName, operator),
        channel=channel - 1,
    )


def keep_state(state: Mapping[str, Any], grid: tuple[int, int], sizes: tuple[int, ...]) -> None:
    """Remember what came from the browser, as far as it can be meant."""
    at, channel = state.get("at"), state.get("channel")
    if isinstance(at, int) and 0 <= at < grid[0] * grid[1]:
        remember("at", f"{at // grid[1] + 1},{at % grid[1] + 1}")
    if state.get("operator") in OPERATORS:
        remember("operator", state["operator"])
    if isinstance(channel, int) and 0 <= channel < 64:
        remember("channel", str(channel + 1))
    if len(sizes) > 1 and state.get("kernel") in sizes:
        remember("kernel", str(state["kernel"]))
    for name, (low, high) in (("temperature", TEMPERATURES), ("weight", WEIGHTS)):
        value = state.get(name)
        if isinstance(value, int | float) and low <= value <= high:
            remember(name, f"{value:g}")


def fitting_sizes(grid: tuple[int, int], settings: OperatorSettings) -> tuple[int, ...]:
    """Kernels that may be chosen on this grid."""
    return SIZES if settings.padding == "zero" else tuple(size for size in SIZES if size <= min(grid))


def refusal(size: int, grid: tuple[int, int], padding: typing.Literal["zero", "circular"]) -> str:
    """Why there is no kernel of this size, in a sentence; empty where there is one."""
    try:
        check_kernel_size((size, size), grid, padding)
    except ConfigError as error:
        return str(error)
    return "" if size in SIZES else f"Kernels here have {SIZES[0]} to {SIZES[-1]} taps a side; {size} is none of them."


def _held(name: str) -> str:
    """What the session or the address says of `name`; nothing where neither does."""
    value: str = st.session_state.get(name) or asked(name)
    if value:
        st.session_state[name] = value
        if st.query_params.get(name) != value:
            st.query_params[name] = value
    return value


def _mended(name: str, value: str, why: str) -> str:
    st.warning(f"{plain(why)} The page shows {plain(value)} instead.", icon=":material/link_off:")
    remember(name, value)
    return value


def _number(name: str, bounds: tuple[float, float], default: float) -> float:
    text = _held(name)
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if bounds[0] <= value <= bounds[1]:
        return value
    why = f"The {name} {literal(text, 40)} is not a number from {bounds[0]:g} to {bounds[1]:g}."
    return float(_mended(name, f"{default:g}", why))


def _kernel(sizes: tuple[int, ...], grid: tuple[int, int], padding: typing.Literal["zero", "circular"]) -> int:
    if len(sizes) == 1:
        return sizes[0]
    usual = 3 if 3 in sizes else sizes[-1]
    text = _held("kernel") or str(usual)
    size = whole_number(text, 1000)
    if size in sizes:
        return size
    why = f"A kernel of {literal(text, 40)} is no whole number." if size is None else refusal(size, grid, padding)
    return int(_mended("kernel", str(usual), why))


def _position(grid: tuple[int, int]) -> tuple[int, int]:
    centre = (grid[0] // 2, grid[1] // 2)
    before, now = st.session_state.get("at_of"), f"{grid[0]}x{grid[1]}"
    st.session_state["at_of"] = now
    if before not in (None, now):  # it was a place on another map
        st.session_state.pop("at", None)
        st.query_params.pop("at", None)
        return centre
    text = _held("at")
    if not text:
        return centre
    parts = [whole_number(part, length + 1) for part, length in zip(text.split(","), grid, strict=False)]
    if len(text.split(",")) == 2 and all(parts):
        return (parts[0] - 1, parts[1] - 1)  # type: ignore[operator]
    why = f"There is no position {literal(text, 40)} on a map of {grid[0]} × {grid[1]}."
    row, column = _mended("at", f"{centre[0] + 1},{centre[1] + 1}", why).split(",")
    return int(row) - 1, int(column) - 1
