"""The parts of the Modality gap page: its controls, the slider with what moves, and what the numbers say."""

from __future__ import annotations

from typing import cast

import streamlit as st

from core.data.prompts import STRATEGIES
from core.figures.modality_gap import plot_side_plane, stop_title
from core.methods.embeddings.embedding import TITLES, Method
from core.methods.modality_gap.alignment import VARIANTS, find_variant
from core.methods.modality_gap.alignment_steps import AlignmentStep, Plane, alignment_shares
from core.methods.modality_gap.modality_gap import Outcome
from core.methods.modality_gap.modality_gap_pairs import EXAMPLE_SOURCE, By, Halves
from core.methods.modality_gap.side_planes import SidePlane
from pages.components.alignment_way.alignment_way import alignment_way
from pages.components.keys import component_key
from pages.modality_gap.modality_gap import STEPS, GapRequest
from pages.modality_gap.way import way_data
from pages.shared.address import remember, remembered
from pages.shared.charts import show_chart
from pages.shared.foreign import plain
from pages.shared.layout import control_strip

COUNTS = [100, 250, 500, 1000, 2000]
WAYS = [name for name, variant in VARIANTS.items() if variant.rotate or name == "mean_shift"]
CAPTIONS = ["photo", "ensemble", "plain", "ensemble_80"]
# The same stops for every alignment, so that the slider keeps its place when another is chosen.
STOPS = {stop_title(*stop): stop for stop in alignment_shares(find_variant("centred"), STEPS)}
PLANES: dict[Plane, str] = {"gap": "gap", "pca": "PCA"}
START = "as given"
APART = {"images": "other images", "classes": "other classes"}


def controls(name: str, source: str) -> tuple[GapRequest, str]:
    """Which pairs, and which alignment the slider leads to."""
    first, second, third, fourth = control_strip("gap").columns([4, 4, 3, 4], vertical_alignment="bottom")
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


def travel(steps_shown: list[AlignmentStep], halves: Halves, question: GapRequest, variant: str) -> None:
    """The slider, the clouds and the lines, in the browser."""
    picture = st.container()  # above its two choices, which are seldom made
    left, right, _ = st.columns([2, 2, 5], vertical_alignment="bottom")
    left.segmented_control(
        "Plane", list(PLANES), format_func=PLANES.__getitem__, default="gap", required=True, key="gap_plane",
        bind="query-params",
    )  # fmt: skip
    right.segmented_control(
        "Colours", ["side", "class"], default="side", required=True, key="gap_colours", bind="query-params"
    )
    stop, plane, by_class = seen_now(steps_shown)
    with picture:
        alignment_way(
            way_data(steps_shown, halves, stop=stop, plane=plane, by_class=by_class),
            key=component_key("way", f"{question} {variant}"),
            on_choice=lambda title: remember("way", title),
        )


def seen_now(steps_shown: list[AlignmentStep]) -> tuple[int, Plane, bool]:
    """What the slider and the choices beside it show: the station, the plane, whether colours tell classes."""
    state = st.session_state
    stop = STOPS.get(remembered("way", START, always=False), STOPS[START])
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


def method_control() -> Method:
    """How the planes side by side are found."""
    chosen = st.segmented_control(
        "Found by", list(TITLES), format_func=TITLES.__getitem__, default="pca", required=True, key="gap_method",
        bind="query-params", help="PCA keeps large distances, t-SNE and UMAP keep neighbours. Each side has a plane of "
        "its own: what lies beside what can be compared, places cannot.",
    )  # fmt: skip
    return chosen if chosen in TITLES else "pca"


def side_by_side(
    sides: tuple[SidePlane, SidePlane], halves: Halves, method: Method, alignment: str, *, by_class: bool
) -> None:
    """Images and captions before and after, each in a plane of its own."""
    for column, plane, title in zip(st.columns(2, gap="medium"), sides, ("Before", "After"), strict=True):
        with column:
            st.markdown("**Before**" if title == "Before" else f"**After: {plain(alignment)}**")
            show_chart(
                plot_side_plane(
                    plane, names=halves.names, labels=halves.held_out.labels, method=method, by_class=by_class
                ),
                key=f"side_{title}",
                alt=f"Images and captions by {TITLES[method]}, {title.lower()}. {side_words(plane)}",
            )
            st.caption(plain(side_words(plane)))


def side_words(plane: SidePlane) -> str:
    """What lies beside what, measured in all dimensions and not in the plane."""
    said = (
        f"{plane.neighbours_across:.0%} of the images have a caption as their nearest point; with both in one place it "
        f"would be about {plane.by_chance:.0%}."
    )
    return f"{said} {plane.note}" if plane.note else said


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
