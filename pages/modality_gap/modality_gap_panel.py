"""The parts of the Modality gap page: its controls, the slider with what moves, and what the numbers say."""

from __future__ import annotations

from typing import cast

import numpy as np
import streamlit as st

from core.data.prompts import STRATEGIES
from core.figures.modality_gap import plot_alignment, plot_clouds, stop_title
from core.methods.modality_gap.alignment import VARIANTS, find_variant
from core.methods.modality_gap.alignment_steps import AlignmentStep, Plane, alignment_shares
from core.methods.modality_gap.modality_gap import Outcome
from core.methods.modality_gap.modality_gap_pairs import EXAMPLE_SOURCE, By, Halves
from core.shares import share
from pages.modality_gap.modality_gap import STEPS, GapRequest

COUNTS = [100, 250, 500, 1000, 2000]
WAYS = [name for name, variant in VARIANTS.items() if variant.rotate or name == "mean_shift"]
CAPTIONS = ["photo", "ensemble", "plain", "ensemble_80"]
# The same stops for every alignment, so that the slider keeps its place when another is chosen.
STOPS = {stop_title(*stop): stop for stop in alignment_shares(find_variant("centred"), STEPS)}
PLANES: dict[Plane, str] = {"gap": "gap", "pca": "PCA"}
APART = {"images": "other images", "classes": "other classes"}


def controls(name: str, source: str) -> tuple[GapRequest, str]:
    """Which pairs, and which alignment the slider leads to."""
    first, second, third, fourth = st.columns([4, 4, 3, 4], vertical_alignment="bottom")
    variant = first.selectbox(
        "Align by", WAYS, index=WAYS.index("centred"), format_func=lambda each: VARIANTS[each].title, key="align",
        bind="query-params",
    )  # fmt: skip
    captions = second.selectbox(
        "Captions", CAPTIONS, index=1, format_func=lambda each: STRATEGIES[each].title, key="gap_captions",
        bind="query-params", help="Each image gets one of the sentences at random; classes are the mean of all.",
    )  # fmt: skip
    few = source == EXAMPLE_SOURCE
    pairs = third.select_slider("Pairs a side", COUNTS, value=500, key="pair_count", bind="query-params", disabled=few)
    by = fourth.segmented_control(
        "Measured on", list(APART), format_func=APART.__getitem__, default="images", required=True, key="apart",
        bind="query-params", disabled=few,
        help="Other images of the same classes: the fit has seen labels of these classes. Other classes: it has not.",
    )  # fmt: skip
    return GapRequest(name, source, captions, int(pairs), cast(By, by)), variant


@st.fragment
def travel(steps_shown: list[AlignmentStep], halves: Halves) -> None:
    """The slider, the clouds and the lines."""
    left, middle, right = st.columns([5, 2, 2], vertical_alignment="bottom")
    chosen = left.select_slider("On the way", list(STOPS), value="as given", key="way", bind="query-params")
    plane = middle.segmented_control(
        "Plane", list(PLANES), format_func=PLANES.__getitem__, default="gap", required=True, key="gap_plane",
        bind="query-params",
    )  # fmt: skip
    colours = right.segmented_control(
        "Colours", ["side", "class"], default="side", required=True, key="gap_colours", bind="query-params"
    )
    current = _reached(steps_shown, *STOPS[chosen])
    here, start = steps_shown[current], steps_shown[0]
    with st.container(horizontal=True, gap="large"):
        for title, value, change, colour, arrow in (
            ("Gap", f"{here.gap.distance:.2f}", _delta(here.gap.distance - start.gap.distance), "off", "auto"),
            (
                "Mean paired cosine",
                f"{here.gap.paired_cosine:.2f}",
                _delta(here.gap.paired_cosine - start.gap.paired_cosine),
                "off",
                "auto",
            ),
            (
                f"Held-out accuracy, n = {len(here.correct):,}",
                share(int(here.correct.sum()), len(here.correct), 1),
                _delta(100 * (here.accuracy - start.accuracy), " points"),
                "normal",
                "auto",
            ),
            (
                "Control: shuffled captions",
                "–" if np.isnan(here.shuffled_accuracy) else f"{here.shuffled_accuracy:.1%}",
                f"chance {1 / halves.held_out.classes:.1%}",
                "off",
                "off",
            ),
        ):
            st.metric(title, value, change, delta_color=colour, delta_arrow=arrow, width=210)  # type: ignore[arg-type]
    left, right = st.columns([6, 5], gap="medium")
    left.plotly_chart(
        plot_clouds(
            steps_shown,
            current,
            names=halves.names,
            labels=halves.held_out.labels,
            plane=plane,
            by_class=colours == "class",
        ),
        width="stretch",
        key="clouds",
        alt=f"Images and captions in one plane, {chosen}: gap {here.gap.distance:.2f}.",
    )
    right.plotly_chart(
        plot_alignment(steps_shown, current, classes=halves.held_out.classes),
        width="stretch",
        key="lines",
        alt="Gap, cosine and accuracies along the way; the table below has the figures at its end.",
    )


def seen_now(steps_shown: list[AlignmentStep]) -> tuple[int, Plane, bool]:
    """What the slider and the choices beside it show: the station, the plane, whether colours tell classes."""
    state = st.session_state
    stop = STOPS.get(str(state.get("way")), STOPS["as given"])
    plane = state.get("gap_plane")
    return (
        _reached(steps_shown, *stop),
        cast(Plane, plane if plane in PLANES else "gap"),
        state.get("gap_colours") == "class",
    )


def _reached(steps_shown: list[AlignmentStep], centring: float, rotating: float) -> int:
    """The last station that is no further; an alignment that does not centre, or not rotate, has fewer."""
    return max(
        number
        for number, station in enumerate(steps_shown)
        if station.centring <= centring and station.rotating <= rotating
    )


def _delta(value: float, unit: str = "") -> str | None:
    return f"{value:+.2f}{unit}" if abs(value) > 0.005 else None


def turned(outcome: Outcome) -> str:
    """What the rotation does between the stops, and what the pairs left open."""
    alignment = outcome.alignment
    if not alignment.variant.rotate:
        return "nothing is rotated."
    return (
        f"between the stops the rotation is done in part, plane by plane. The pairs determine {alignment.determined} "
        f"of {len(alignment.rotation)} directions; the others "
        + ("stay as they are." if alignment.variant.free == "least_motion" else "turn as the algorithm happens to.")
    )


def control_words(outcome: Outcome, halves: Halves) -> str:
    """What the shuffled captions show."""
    if not len(outcome.shuffled_accuracies):
        return "Nothing is rotated, so there is nothing that could remember the pairs."
    own, held = outcome.shuffled_fitted_accuracies.mean(), outcome.shuffled_accuracies.mean()
    return (
        f"Fitted to captions of other images, the rotation still gets {own:.0%} of those false pairs “right”, and "
        f"{held:.0%} of held-out images (chance {1 / halves.held_out.classes:.0%}; {len(outcome.shuffled_accuracies)} "
        "shuffles, bars from lowest to highest). Only held-out accuracy tells learning from remembering."
    )
