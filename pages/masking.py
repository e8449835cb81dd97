"""Take patches away and watch the prediction; then ask whether the heat map that chose them was any good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st

from core.figures.attention import short_label
from core.figures.faithfulness import plot_faithfulness, plot_track_record
from core.figures.masking import masked_photo, plot_masking_curves
from core.figures.theme import Figure
from core.methods.explanations import EXPLANATIONS, explanations_for
from core.methods.faithfulness import verdict
from core.methods.masking import (
    PUBLISHED,
    Fill,
    MaskingCurve,
    RandomBand,
    Strategy,
    keep_for_setting,
    keep_from_patches,
)
from core.methods.predictions import class_name, top_predictions
from core.ui.cache import (
    MaskingQuestion,
    band_of,
    data_uri,
    display_photo,
    faithfulness_of,
    loaded_model,
    logits_of,
    mask_grid,
    masking_of,
    order_of,
    response_of,
)
from core.ui.components.keys import component_key
from core.ui.components.patch_canvas import paint_canvas, painted_patches
from core.ui.errors import guard
from core.ui.export import Export, export_popover
from core.ui.foreign import code, plain
from core.ui.layout import heading, teaching_cards
from core.ui.pickers import image_picker, model_picker, own_model_form
from core.ui.recipes import masking_recipe
from core.ui.track_records import track_record

STEPS = 12
ORDERS = 4
STRATEGIES: dict[Strategy | Literal["hand"], str] = {
    "most_attended": "Most attended",
    "least_attended": "Least attended",
    "centre": "Centre",
    "random": "Random",
    "hand": "By hand",
}
FILLS: dict[Fill, str] = {"mean": "mean colour", "blur": "blur", "black": "black", "noise": "noise"}

heading("Masking", "What does the model need to see?")
bar = st.columns([3, 4, 2, 2], vertical_alignment="bottom")
with bar[0]:
    picture = image_picker(default="example:coffee")
with bar[1]:
    name = model_picker(None, preferred=("efficientnet_lite0", "vit_p4"))
with bar[2]:
    own_model_form()
model = loaded_model(name)
classifier = not model.spec.lacks("classifier")
methods = explanations_for(model.spec)
if not methods:
    st.info(f"{plain(model.spec.title)} has neither attention nor a class to explain, so no map can rank its patches.")
    st.stop()
measure = "probability" if classifier else "similarity to the whole photo"


def ask(fill: Fill) -> MaskingQuestion:
    """The question that the widgets put, about the class that the model predicts on the whole photo."""
    index = None
    if classifier:
        index = int(np.argmax(logits_of(name, picture.digest, picture.image)))
    return MaskingQuestion(name=name, digest=picture.digest, class_index=index, fill=fill, steps=STEPS)


def said(curve: MaskingCurve, step: int) -> str:
    """What the model says at a step of a curve."""
    confidence = float(curve.confidence[step])
    if curve.top_class is None or curve.top_probability is None:
        return f"{confidence:.2f} similar to the whole photo"
    label = short_label(class_name(model.classes, int(curve.top_class[step])))
    return f"{label} {curve.top_probability[step]:.0%}"


@st.fragment
def remove() -> None:
    """The photo, the slider and the curve."""
    with guard():
        remove_patches()


def remove_patches() -> None:
    """What `remove` shows."""
    first, second, third = st.columns([9, 4, 6], vertical_alignment="bottom")
    strategy = first.segmented_control(
        "Remove",
        list(STRATEGIES),
        format_func=STRATEGIES.__getitem__,
        default="most_attended",
        required=True,
        key="strategy",
        bind="query-params",
    )
    method = second.selectbox(
        "Ranked by",
        [entry.name for entry in methods],
        format_func=lambda entry: EXPLANATIONS[entry].title,
        key="ranked_by",
        bind="query-params",
        disabled=strategy not in ("most_attended", "least_attended"),
    )
    fill = third.segmented_control(
        "Show instead",
        list(FILLS),
        format_func=FILLS.__getitem__,
        default="mean",
        required=True,
        key="fill",
        bind="query-params",
    )
    if st.session_state.setdefault("fill_shown", fill) != fill:
        st.session_state["fill_shown"] = fill
        st.rerun()  # the curves below this fragment depend on it too
    question = ask(fill)
    photo = display_photo(model, picture.digest, picture.image)
    if strategy == "hand":
        by_hand(question, photo)
        return
    left, right = st.columns([2, 3], gap="medium")
    with left:
        share = st.slider(
            "Patches removed", 0.0, 100.0, 25.0, 100 / STEPS, format="%.0f %%", key="share", bind="query-params"
        )
    grid = mask_grid(name, picture.digest, picture.image)
    curves: dict[str, MaskingCurve] = {strategy: masking_of(question, strategy, method, 0, picture.image)}
    if strategy == "most_attended":
        curves["least_attended"] = masking_of(question, "least_attended", method, 0, picture.image)
    curve = curves[strategy]
    step = int(np.argmin(np.abs(curve.shares - share / 100)))
    removed = order_of(question, strategy, method, 0, picture.image)[
        : round(float(curve.shares[step]) * grid[0] * grid[1])
    ]
    with left:
        st.image(
            masked_photo(photo, keep_from_patches(removed, grid), fill),
            caption=f"{curve.shares[step]:.0%} removed: {len(removed)} of {grid[0] * grid[1]:d} patches",
            width="stretch",
        )
    with right:
        st.markdown(f"#### {plain(said(curve, 0))} → {plain(said(curve, step))}")
        slot = st.empty()
        slot.plotly_chart(
            figure_of(curves, None, (strategy, step)),
            width="stretch",
            key="curve_first",
            alt="The curve so far.",
        )
        band = band_of(question, ORDERS, picture.image)
        slot.plotly_chart(
            figure_of(curves, band, (strategy, step)),
            width="stretch",
            key="curve",
            alt="Confidence against the share of patches removed, beside random orders.",
        )
        st.caption(sentence(curve, band.mean))


def figure_of(curves: Mapping[str, MaskingCurve], band: RandomBand | None, current: tuple[str, int]) -> Figure:
    return plot_masking_curves(
        curves,
        dict(STRATEGIES),
        band,
        current=current,
        classes=model.classes,
        measure=measure,
    )


def sentence(curve: MaskingCurve, random: np.ndarray) -> str:
    """Where the prediction breaks, and where random removal would have been."""
    half = curve.confidence[0] / 2
    fallen = np.flatnonzero(curve.confidence < half)
    random_fallen = np.flatnonzero(random < half)
    own = f"after {curve.shares[fallen[0]]:.0%} of the patches" if len(fallen) else "never"
    chance = f"after {curve.shares[random_fallen[0]]:.0%}" if len(random_fallen) else "never"
    return f"The {plain(measure)} falls below half of its start {own}; for patches removed at random, {chance}."


def by_hand(question: MaskingQuestion, photo: np.ndarray) -> None:
    """Paint patches away."""
    grid = mask_grid(name, picture.digest, picture.image)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        removed = paint_canvas(
            data_uri(photo, f"{picture.digest}/{photo.shape}/{model.network.preprocessing}"),
            grid,
            key=component_key("paint", name),
            alt=f"{picture.title}: drag over patches to remove them, or move with the arrow keys and press Enter.",
        )
        st.caption(f"Drag over the photo. {len(removed)} of {grid[0] * grid[1]:d} patches removed.")
    with right:
        masks: dict[str, list[int]] = {"Your mask": removed, "Nothing removed": []}
        for setting in PUBLISHED.values():
            masks[setting.title] = np.flatnonzero(~keep_for_setting(setting, grid)).tolist()
        rows = []
        for title, patches in masks.items():
            response = response_of(question, tuple(patches), picture.image)
            row = {"mask": title, "removed": len(patches) / (grid[0] * grid[1]), measure: float(response.confidence[0])}
            if response.top_class is not None and response.top_probability is not None:
                row |= {
                    "says": short_label(class_name(model.classes, int(response.top_class[0]))),
                    "sure": float(response.top_probability[0]),
                }
            rows.append(row)
        said_now = rows[0].get("says", "")
        st.markdown(
            f"#### {plain(said_now)} {rows[0].get('sure', rows[0][measure]):.0%}"
            if classifier
            else f"#### {rows[0][measure]:.2f} {plain(measure)}"
        )
        percent = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            width="stretch",
            column_config={"removed": percent, "probability": percent, "sure": percent},
        )
        st.caption(
            "The lower rows are the masks of a published comparison: a centre block kept “tabby”, random ones lost it."
        )


def faithfulness_tab() -> None:
    """A5: does the map matter, on this image and over many."""
    question = ask(st.session_state.get("fill", "mean"))
    names = tuple(entry.name for entry in methods)
    titles = {entry.name: entry.title for entry in methods}
    result = faithfulness_of(question, names, ORDERS, picture.image)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.markdown("**On this photo**")
        st.plotly_chart(
            plot_faithfulness(result, titles, measure=measure),
            width="stretch",
            key="faithful",
            alt="Deletion and insertion curves of every explanation beside random orders.",
        )
        random = result.random
        rows = [
            {
                "explanation": titles[each],
                "deletion area ↓": curves.deletion_area,
                "insertion area ↑": curves.insertion_area,
                "verdict": verdict(result, each).outcome,
            }
            for each, curves in result.methods.items()
        ]
        rows.append(
            {
                "explanation": f"random ({len(random.seeds)} orders)",
                "deletion area ↓": float(random.deletion_areas.mean()),
                "insertion area ↑": float(random.insertion_areas.mean()),
                "verdict": "–",
            }
        )
        st.dataframe(pd.DataFrame(rows).round(3), hide_index=True, width="stretch")
        st.caption(
            "A map beats random if insertion minus deletion area lies two standard deviations above the random orders."
        )
    with right:
        st.markdown("**Track record**")
        record = track_record(name)
        if record is None:
            st.info(
                f"{plain(model.spec.title)} has not been measured over many images yet: "
                f"{code(f'python -m benchmarks.faithfulness --model {name}')}",
                icon=":material/query_stats:",
            )
        else:
            st.plotly_chart(
                plot_track_record(record.tracks, titles),
                width="stretch",
                key="track",
                alt="Gain over random orders for every explanation with intervals.",
            )
            st.caption(plain(record.sentence))


def make_export() -> Export:
    question = ask(st.session_state.get("fill", "mean"))
    strategy: Strategy = st.session_state.get("strategy", "most_attended")
    method = st.session_state.get("ranked_by", methods[0].name)
    photo = display_photo(model, picture.digest, picture.image)
    grid = mask_grid(name, picture.digest, picture.image)
    facts: dict[str, object] = {"model": name, "image": picture.title, "sha256": picture.digest, "fill": question.fill}
    removed: list[int] = []
    by_hand_now = st.session_state.get("strategy") == "hand"
    if by_hand_now:
        removed = painted_patches(component_key("paint", name), grid)
        response = response_of(question, tuple(removed), picture.image)
        facts |= {"removed": removed, "grid": grid, measure: float(response.confidence[0])}
        strategy = "most_attended"  # the curve that is exported beside the mask
    curve = masking_of(question, strategy, method, 0, picture.image)
    band = band_of(question, ORDERS, picture.image)
    table = pd.DataFrame(
        {"removed": curve.shares, "confidence": curve.confidence, "random": band.mean, "random_sd": band.std}
    )
    if curve.top_class is not None:
        table["says"] = [class_name(model.classes, int(index)) for index in curve.top_class]
    half = order_of(question, strategy, method, 0, picture.image)[: grid[0] * grid[1] // 2]
    hidden = removed if by_hand_now else half.tolist()
    return Export(
        stem="masking",
        recipe=masking_recipe(
            name, picture.key, grid=grid, strategy=strategy, method=method, fill=question.fill, steps=STEPS, seed=0
        ),
        figures={"curve": figure_of({strategy: curve}, band, (strategy, 0))},
        pictures={"masked": masked_photo(photo, keep_from_patches(hidden, grid), question.fill)},
        table=table,
        facts={**facts, "strategy": strategy, "method": method},
    )


with guard():
    if classifier:
        best = top_predictions(logits_of(name, picture.digest, picture.image), model.classes, count=1)[0]
        st.caption(
            f"On the whole photo {plain(model.spec.title)} says {plain(short_label(best.label))} "
            f"({best.probability:.0%}). "
            f"{plain(model.spec.note)}"
        )
    else:
        st.caption(f"{plain(model.spec.title)} has no classifier: the measure is how similar its embedding stays.")
    remove()
    st.markdown("#### Does the map matter?")
    faithfulness_tab()
with bar[3]:
    export_popover(make_export, key="export")
teaching_cards("masking")
