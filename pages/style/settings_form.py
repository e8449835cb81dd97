"""The choices of the Style transfer page: weights, layers, size, start and optimiser."""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.methods.style_transfer.networks import FeatureNetwork
from core.methods.style_transfer.transfer import StyleSettings
from pages.shared.address import bound
from pages.shared.foreign import plain

SIDES = (64, 96, 128, 192, 256)
# Times the network's usual β.
TIMES = ("0", "1/100", "1/30", "1/10", "1/3", "1", "3", "10", "30", "100")
MOST_STEPS = 2000


def factor(text: str) -> float:
    """What one of `TIMES` is as a number."""
    above, _, below = text.partition("/")
    return float(above) / float(below or 1)


def read_settings(network: FeatureNetwork, hidden: DeltaGenerator) -> tuple[int, StyleSettings]:
    """The widgets, and what they hold: pixels of the longer side, and the settings.

    Args:
        hidden: where those are that are seldom changed.
    """
    row = network.row
    first, second = st.columns([4, 7], vertical_alignment="bottom")
    times = first.select_slider(
        "Style weight, times the usual",
        TIMES,
        value="1",
        key="style_times",
        bind="query-params",
        help=f"β for α = 1; usual for {plain(network.title)}: {row.style_weight:g}.",
    )
    style_layers = second.pills(
        "Style is read in",
        network.layers,
        default=list(row.style),
        format_func=lambda each: plain(each),
        selection_mode="multi",
        key=f"style_layers_{network.name}",
        bind="query-params",
        help="Layers from the pixels up; none: the usual ones.",
    )
    with hidden:
        side, rest = _hidden_settings(network)
    return side, StyleSettings(
        style_weight=factor(times) * row.style_weight,
        style_layers=tuple(name for name in network.layers if name in style_layers),
        **rest,
    )


def _hidden_settings(network: FeatureNetwork) -> tuple[int, dict[str, Any]]:
    row = network.row
    tv = st.select_slider(
        "Smoothness, times the usual",
        TIMES,
        value="1",
        key="tv_times",
        bind="query-params",
        help="Weight of the total variation, which the paper does not have.",
        disabled=not row.tv_weight,
    )
    content_layer = st.selectbox(
        "Content is read in",
        network.layers,
        index=network.layers.index(row.content),
        format_func=lambda each: plain(each),
        key=f"content_layer_{network.name}",
        bind="query-params",
    )
    left, right = st.columns(2, vertical_alignment="bottom")
    side = left.select_slider("Size (px)", SIDES, value=96, key="side", bind="query-params")
    steps = right.number_input("Steps", 1, MOST_STEPS, 100, key="steps", bind=bound("steps"))
    left, right = st.columns(2, vertical_alignment="bottom")
    start = left.segmented_control(
        "Start from", ["content", "noise"], default="content", required=True, key="start", bind="query-params"
    )
    seed = right.number_input("Seed", 0, 9999, 0, key="noise_seed", bind=bound("noise_seed"), disabled=start != "noise")
    left, right = st.columns(2, vertical_alignment="bottom")
    optimiser = left.segmented_control(
        "Optimiser",
        ["lbfgs", "adam"],
        format_func={"lbfgs": "L-BFGS", "adam": "Adam"}.__getitem__,
        default="lbfgs",
        required=True,
        key="optimiser",
        bind="query-params",
    )
    pooling = right.segmented_control(
        "Pooling",
        ["max", "average"],
        default="max",
        required=True,
        key="pooling",
        bind="query-params",
        disabled=not network.pools,
        help="average, as the paper prefers." if network.pools else f"{plain(network.title)} has no pooling layers.",
    )
    return int(side), {
        "tv_weight": factor(tv) * row.tv_weight,
        "content_layer": content_layer,
        "start": start,
        "optimiser": optimiser,
        "pooling": pooling if network.pools else "max",
        "steps": int(steps),
        "seed": int(seed) if start == "noise" else 0,
    }


def more_steps(count: int) -> None:
    """So many steps more, when the page runs next."""
    st.session_state["steps"] = min(MOST_STEPS, int(st.session_state["steps"]) + count)
