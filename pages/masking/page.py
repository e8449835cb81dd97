"""Take patches away and watch the prediction; then ask whether the heat map that chose them was any good."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import asdict, replace

import pandas as pd
import streamlit as st

from core.figures.attention import short_label
from core.figures.faithfulness import plot_track_record
from core.methods.accuracy.predictions import top_predictions
from core.methods.attention.explanations import EXPLANATIONS, explanations_for
from core.methods.masking.orders import Fill
from pages.components.feed.feed import Feed
from pages.components.keys import component_key
from pages.components.masked_photo.mask_painter import mask_painter
from pages.components.masked_photo.masking_steps import masking_steps
from pages.masking.address import choose_mask, choose_step, mask_shown, step_shown
from pages.masking.asking import mask_grid
from pages.masking.parts import by_hand_part, curves_part, faithfulness_part, masked_part, measure_of
from pages.masking.telling import ground_addresses, slider_data, tell_slider
from pages.masking.track_records import sanity_sentence, track_record
from pages.shared.cache import described_model, logits_of
from pages.shared.charts import chart_table, show_chart
from pages.shared.errors import PageEnd, guard
from pages.shared.export import Export, export_popover
from pages.shared.foreign import code, plain
from pages.shared.framing import framing_popover
from pages.shared.layout import control_bar, control_strip, heading, teaching_cards
from pages.shared.pickers import image_picker, model_picker, own_model_form
from pages.shared.recipes import filled_recipe, picture_setting
from pages.shared.results import Stopped
from pages.shared.views import MaskingView, Removal, ViewPart, facts_of

STEPS = 12
ORDERS = 4
# What ranks is said by "Ranked by" beside it: attention for some models, a CNN's Grad-CAM for others.
STRATEGIES: dict[Removal, str] = {
    "most_attended": "Highest ranked",
    "least_attended": "Lowest ranked",
    "centre": "Centre",
    "random": "Random",
    "hand": "By hand",
}
FILLS: dict[Fill, str] = {"mean": "mean colour", "blur": "blur", "black": "black", "noise": "noise"}

heading("Masking", "What does the model need to see?")
bar = control_bar([3, 3, 2, 2, 2], whole=2)
with bar[0]:
    picture = image_picker(default="example:coffee")
with bar[1]:
    name = model_picker(("attention", "classifier"), preferred=("efficientnet_lite0", "vit_p4"))
with bar[3]:
    own_model_form()
model = described_model(name)
with bar[2]:
    framing_popover(picture, model.preprocessing)
classifier = not model.spec.lacks("classifier")
methods = explanations_for(model.spec)
if not methods:
    st.info(
        f"{plain(model.spec.title)} has neither attention nor feature maps that can be read here, so that no map can "
        "rank its patches."
    )
    raise PageEnd


def on_screen() -> MaskingView:
    """What the widgets hold."""
    method = st.session_state.get("ranked_by", methods[0].name)
    strategy: Removal = st.session_state.get("strategy", "most_attended")
    return MaskingView(
        model=name,
        image=picture.key,
        strategy=strategy,
        method=method if method in [entry.name for entry in methods] else methods[0].name,
        fill=st.session_state.get("fill", "mean"),
        step=0 if strategy == "hand" else step_shown(STEPS),
        steps=STEPS,
        orders=ORDERS,
        removed=mask_shown(mask_grid(name, picture.digest, picture.image)) if strategy == "hand" else (),
    )


def controls() -> None:
    """What goes first, by what it is ranked, and what is shown instead."""
    first, second, third = control_strip("masking").columns([9, 4, 6], vertical_alignment="bottom")
    strategy = first.segmented_control(
        "Remove",
        list(STRATEGIES),
        format_func=STRATEGIES.__getitem__,
        default="most_attended",
        required=True,
        key="strategy",
        bind="query-params",
    )
    second.selectbox(
        "Ranked by",
        [entry.name for entry in methods],
        format_func=lambda entry: EXPLANATIONS[entry].title,
        key="ranked_by",
        bind="query-params",
        disabled=strategy not in ("most_attended", "least_attended"),
    )
    third.segmented_control(
        "Show instead",
        list(FILLS),
        format_func=FILLS.__getitem__,
        default="mean",
        required=True,
        key="fill",
        bind="query-params",
    )


def by_slider(view: MaskingView) -> None:
    """The photo, the slider and the curve, in the browser; it is told of the answers as they come."""
    shown = repr(replace(view, step=0))
    channel = hashlib.sha256(f"{shown} {picture.digest}".encode()).hexdigest()[:16]
    masking_steps(
        slider_data(view, picture, channel),
        key=component_key("masking", name),
        on_choice=lambda step: choose_step(step, STEPS),
    )
    tell_slider(view, picture, Feed(channel).tell)
    chart_table(
        curves_part(view, picture).figures["curve"],
        key="masking_curve",
        title="What the model answers while patches go, beside random orders.",
    )


def by_hand(view: MaskingView) -> None:
    """Paint patches away; what the canvas shows is what the model gets."""
    grid = mask_grid(name, picture.digest, picture.image)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        mask_painter(
            **ground_addresses(view, picture),
            grid=grid,
            removed=view.removed,
            key=component_key("paint", name),
            alt=f"{picture.title}: drag over patches to remove them, or move with the arrow keys and press Enter.",
            on_change=lambda removed: choose_mask(removed, grid),
        )
        st.caption("Drag over the photo; a second time gives a patch back. Ctrl+Z takes the last stroke back.")
    with right:
        shown = by_hand_part(view, picture)
        st.markdown(f"#### {plain(shown.facts['headline'])}")
        percent = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
        columns = {"removed": percent, "sure": percent}
        if classifier:
            columns[measure_of(view, picture)] = percent
        st.dataframe(shown.table, hide_index=True, width="stretch", column_config=columns)
        st.caption(
            "The lower rows are the masks of a published comparison: there a centre block kept “tabby”, "
            "random ones lost it."
        )


def faithfulness_tab(view: MaskingView) -> ViewPart:
    """A5: does the map matter, on this image and over many."""
    shown = faithfulness_part(view, picture)
    titles = {entry.name: entry.title for entry in methods}
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.markdown("**On this photo**")
        show_chart(
            shown.figures["faithfulness"],
            key="faithful",
            alt="Deletion and insertion curves of every explanation beside random orders.",
        )
        st.dataframe(pd.DataFrame(shown.facts["on this photo"]).round(3), hide_index=True, width="stretch")
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
            return shown
        figure = plot_track_record(record.tracks, titles)
        show_chart(figure, key="track", alt="Gain over random orders for every explanation with intervals.")
        st.caption(plain(record.sentence))
        sanity = sanity_sentence(record.sanity, titles)
        if sanity:
            st.markdown("**Does it depend on what was learned?**")
            st.caption(plain(sanity))
    facts: dict[str, object] = {"track record": record.sentence, "random weights": sanity}
    return shown.beside(ViewPart(figures={"track_record": figure}, facts=facts))


def make_export(view: MaskingView, tested: ViewPart) -> Export:
    """What is on the screen: the masked photo, the curves or the masks, and the maps put to the test."""
    part = by_hand_part(view, picture) if view.strategy == "hand" else curves_part(view, picture)
    shown = tested.beside(masked_part(view, picture)).beside(part)
    settings = asdict(view) | {"image": picture_setting(view.image)}
    grid, tests = mask_grid(name, picture.digest, picture.image), tuple(entry.name for entry in methods)
    return Export(
        stem="masking",
        recipe=filled_recipe("masking", **settings, grid=grid, methods=tests),
        figures=shown.figures,
        pictures=shown.pictures,
        table=shown.table,
        facts=facts_of(view) | {"title": picture.title, "sha256": picture.digest} | shown.facts,
        arrays=shown.arrays,
    )


tested = ViewPart()
controls()
view = on_screen()
with guard():
    (by_hand if view.strategy == "hand" else by_slider)(view)
    if classifier:
        best = top_predictions(logits_of(name, picture.digest, picture.image), model.classes, count=1)[0]
        st.caption(
            f"On the whole photo {plain(model.spec.title)} says {plain(short_label(best.label))} "
            f"({best.probability:.0%}). {plain(model.spec.note)}"
        )
    else:
        st.caption(
            f"{plain(model.spec.title)} has no classifier. Measured is the cosine between its embeddings of the "
            "masked and of the whole photo; 1 means unchanged."
        )
    st.markdown("#### Does the map matter?")
    with suppress(Stopped):  # which the bar says, and how to go on
        tested = faithfulness_tab(view)
with bar[4]:
    export_popover(lambda: make_export(view, tested), key="export")
teaching_cards("masking")
