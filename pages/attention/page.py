"""What each part of the picture looks at: maps of every layer and head, rollout, relevance, comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, get_args

import pandas as pd
import streamlit as st

from core.data.framing import split_view
from core.figures.attention import short_label
from core.methods.accuracy.predictions import Prediction, class_name, softmax, top_predictions
from core.methods.attention.explanations import explanations_for
from core.models.spec import Capability
from core.models.trace import Mixture
from pages.attention.choice import remember_choice, remembered_choice, with_choice
from pages.attention.parts import (
    compare_part,
    distance_part,
    explanations_part,
    look_part,
    packed_of,
    predictions_part,
)
from pages.attention.size import at_chosen_size, input_popover
from pages.attention.words import attention_sentence, second_opinion
from pages.components.attention.attention import FUSIONS, Choice, attention_view
from pages.components.keys import component_key
from pages.shared.address import remember, remembered, whole_number
from pages.shared.cache import (
    data_uri,
    described_model,
    display_photo,
    logits_of,
    maps_of,
    reader_name,
)
from pages.shared.charts import show_chart
from pages.shared.errors import guard
from pages.shared.export import Export, export_popover
from pages.shared.foreign import plain
from pages.shared.framing import seen_of
from pages.shared.layout import control_bar, heading, page_link, teaching_cards
from pages.shared.pickers import Picture, image_picker, model_picker, own_model_form, second_model_picker
from pages.shared.recipes import filled_recipe, picture_setting
from pages.shared.views import AttentionView, Beside, ComparedMap, ViewPart, facts_of

# What has something to show here; pipelines that draw and VAEs have neither attention nor a class to explain.
EXPLAINED: tuple[Capability, ...] = ("attention", "convolution")

heading("Attention", "What does each part of the picture look at?")
bar = control_bar([3, 3, 2, 2, 2], whole=2)
with bar[0]:
    picture = image_picker(default="example:coffee")
with bar[1]:
    name = model_picker(EXPLAINED)
with bar[3]:
    own_model_form()
chosen = at_chosen_size(name)
with bar[2]:
    input_popover(name, chosen, picture)
name = chosen
model = described_model(name)
attends = not model.spec.lacks("attention")
classifies = not model.spec.lacks("classifier")


def looked_at() -> AttentionView:
    """What is shown of this photo."""
    view = AttentionView(model=name, image=picture.key)
    return with_choice(view, remembered_choice(maps_of(name, picture.digest, picture.image))) if attends else view


def maps_view(name: str, picture: Picture, key: str, **options: Any) -> None:
    """The component for one model and one photo; `options` as it takes them."""
    maps, model = maps_of(name, picture.digest, picture.image), described_model(name)

    def address(*, as_seen: bool) -> str:
        photo = display_photo(model, picture.digest, picture.image, as_seen=as_seen)
        return data_uri(photo, f"{picture.digest}/{photo.shape}/{model.preprocessing}")

    attention_view(
        address(as_seen=False),
        address(as_seen=True),
        maps,
        packed_of(name, picture.digest, picture.image),
        title=picture.title,
        reader=reader_name(maps),
        side=model.preprocessing.size,
        key=key,
        **options,
    )


@st.fragment
def look(picture: Picture) -> None:
    """The headline, and the maps, which the browser draws; it tells which one is shown, and the words follow."""
    with guard():
        maps = maps_of(name, picture.digest, picture.image)
        st.markdown(f"#### {plain(attention_sentence(looked_at(), picture))}")
        maps_view(name, picture, "attention", choice=remembered_choice(maps), on_choice=remember_choice)
        if model.spec.note:
            st.caption(plain(model.spec.note))
        if maps.signed:
            st.caption(
                "Red attends, blue is subtracted: differential attention is signed, and zero is in the middle. "
                "Shares of the attention count magnitudes. Rollout leaves out what is subtracted, makes each row sum "
                "to 1 and mixes it half and half with the skip connection."
            )
        if isinstance(maps.pooling, Mixture) and not maps.pooling.fixed:
            st.caption(
                f"This model's head reads {plain(maps.pooling.name)}: it weighs the tokens anew for every picture, "
                "and the maps weigh their attention as it does here."
            )


def class_choice(view: AttentionView) -> AttentionView:
    """The class to explain, chosen among the likeliest; none for a backbone without a head."""
    if not classifies:
        st.caption("No classifier: relevance explains what keeps the embedding as it is, not a class.")
        return view
    logits = logits_of(name, picture.digest, picture.image)
    options = top_predictions(logits, model.classes, count=5)
    wanted, now = remembered("class", "", always=False), f"{name}/{picture.digest}"
    if st.session_state.setdefault("class_of", now) != now:  # the number was another model's or photo's
        st.session_state["class_of"], wanted = now, ""
        remember("class", "")
    asked = whole_number(wanted, len(logits))
    chosen = options[0].class_index if asked is None else asked
    if chosen not in [option.class_index for option in options]:
        label, probability = class_name(model.classes, chosen), float(softmax(logits)[chosen])
        options.append(Prediction(label=label, class_index=chosen, probability=probability))
    labels = {option.class_index: f"{plain(short_label(option.label))} {option.probability:.0%}" for option in options}
    widget = f"class_{component_key(name, picture.digest)}"
    st.session_state.setdefault(widget, chosen)
    index = st.pills(
        "Explain the class",
        list(labels),
        format_func=lambda index: labels[index],
        required=True,
        key=widget,
        on_change=lambda: remember("class", str(st.session_state[widget])),
    )
    return replace(view, class_index=index)


def draw(shown: ViewPart, *, columns: int) -> None:
    """The pictures of a part, beside each other."""
    places = st.columns(columns)
    for index, (stem, pixels) in enumerate(shown.pictures.items()):
        caption = plain(shown.captions.get(stem, ""))
        places[index % columns].image(pixels, caption=caption, width="stretch", alt=caption or stem.replace("_", " "))


def explanations_tab(view: AttentionView) -> tuple[AttentionView, ViewPart]:
    view = class_choice(view)
    methods = explanations_for(model.spec)
    columns = st.columns(3, vertical_alignment="bottom")
    fusion = columns[0].segmented_control(
        "Rollout: heads",
        FUSIONS,  # ours: written in the source
        default="mean",
        required=True,
        key="fusion",
        bind="query-params",
    )
    discard = columns[1].slider(
        "Rollout: discard the smallest", 0, 95, 0, 5, format="%d %%", key="discard", bind="query-params"
    )
    residual = columns[2].toggle("Rollout: skip connections", value=True, key="residual", bind="query-params")
    view = replace(view, fusion=fusion, discard=discard / 100, residual=residual)
    shown = explanations_part(view, picture)
    for column, method in zip(st.columns(max(3, len(methods))), methods, strict=False):
        caption = plain(shown.captions[method.name])
        column.image(shown.pictures[method.name], caption=caption, width="stretch", alt=f"{method.title}: {caption}")
        column.caption(method.summary)
    if maps_of(name, picture.digest, picture.image).signed:
        st.caption(
            "Rollout of signed attention leaves out what is subtracted, makes each row sum to 1 and mixes it half and "
            "half with the skip connection, whichever heads are fused or entries discarded."
        )
    page_link("masking", "Does the map matter? Take those patches away", "grid_off")
    return view, shown


def distance_tab(view: AttentionView) -> tuple[AttentionView, ViewPart]:
    maps, shown = maps_of(name, picture.digest, picture.image), distance_part(view, picture)
    show_chart(
        shown.figures["distance"],
        key="distance",
        alt="Mean attention distance of every head, by layer.",
    )
    st.caption("A dot per head. Low: the head looks next door, like a convolution. High: it looks across the picture.")
    layers = [f"layer {layer + 1}" for layer in range(maps.layers)]
    heads = [f"head {head + 1}" for head in range(maps.heads)]
    with st.expander(f"As tables: distance (px) and spread of the attention of {plain(reader_name(maps))} (bits)"):
        st.dataframe(pd.DataFrame(shown.arrays["distance_px"], layers, heads).round(1))
        st.dataframe(pd.DataFrame(shown.arrays["entropy_bits"], layers, heads).round(2))
    return view, shown


def predictions_tab(view: AttentionView) -> tuple[AttentionView, ViewPart]:
    shown = predictions_part(view, picture)
    if not shown.figures:
        st.info(f"{plain(model.spec.title)} has no classification head. {plain(second_opinion(picture))}")
        return view, shown
    show_chart(shown.figures["predictions"], key="bars", alt="The five likeliest classes.")
    page_link("classifiers", "Several photos by several classifiers, in one table", "table_chart")
    return view, shown


def draw_sides(view: AttentionView, shown: ViewPart, sides: tuple[Picture, Picture]) -> None:
    """Both maps under one pointer, and their difference."""
    columns = st.columns(3)
    models = (name, view.other if view.beside == "Another model" else name)
    for column, place, each, side in zip(columns, ("first", "second"), models, sides, strict=False):
        maps, seen = maps_of(each, side.digest, side.image), described_model(each).preprocessing
        part = seen_of(side.photo.size, seen, split_view(side.key)[1])
        with column:
            maps_view(
                each, side, f"compare_{place}", linked="compare", part=part,
                choice=Choice(layer=maps.layers - 1, kind="rollout" if view.compared == "Rollout" else "attention"),
            )  # fmt: skip
            st.caption(plain(shown.captions[place]))
    if "difference" in shown.pictures:
        caption = plain(shown.captions["difference"])
        columns[2].image(shown.pictures["difference"], caption=caption, width="stretch", alt=caption)


def compare_tab(view: AttentionView) -> tuple[AttentionView, ViewPart]:
    """One scale for both sides, and their difference."""
    beside = st.segmented_control(
        "Beside it",
        get_args(Beside),  # ours: written in the source
        default="Another model",
        required=True,
        key="beside",
        bind="query-params",
    )
    second, other = None, picture
    if beside == "Another model":
        second = second_model_picker("attention", exclude=name)
        if second is None:
            return replace(view, beside=beside), ViewPart()
    else:
        other = image_picker(name="image_b", default="example:pagoda", label="Second image")
    compared = st.segmented_control(
        "Map",
        get_args(ComparedMap),  # ours: written in the source
        default="Last-layer attention",
        required=True,
        key="compare_map",
        bind="query-params",
    )
    view = replace(view, beside=beside, compared=compared, other=second or other.key)
    shown = compare_part(view, picture, other)
    draw_sides(view, shown, (picture, other))
    if "compare_distance" in shown.figures:
        show_chart(
            shown.figures["compare_distance"],
            key="compare_distance",
            alt="Attention distance of both models.",
        )
    return view, shown


def cnn_view(view: AttentionView) -> tuple[AttentionView, ViewPart]:
    """A CNN has no attention to look at: Grad-CAM and its like, large, beside what the model says."""
    left, right = st.columns([11, 9], gap="medium")
    with right:
        view = class_choice(view)
        view, predictions = predictions_tab(view)
        page_link("masking", "Does the map matter? Take those patches away", "grid_off")
    shown = explanations_part(view, picture)
    with left:
        draw(shown, columns=1)
    return view, predictions.beside(shown)


Tabbed = Callable[[AttentionView], tuple[AttentionView, ViewPart]]
TABS: dict[str, Tabbed] = {
    "Explanations": explanations_tab,
    "Attention distance": distance_tab,
    "Predictions": predictions_tab,
    "Compare": compare_tab,
}


def tabs_view(view: AttentionView) -> tuple[AttentionView, ViewPart]:
    """The tabs; only the open one is computed."""
    shown = ViewPart()
    for tab, (title, body) in zip(
        st.tabs(list(TABS), key="tabs", on_change="rerun", bind="query-params"), TABS.items(), strict=True
    ):
        if tab.open:
            view = replace(view, tab=title)  # type: ignore[arg-type]
            with tab, guard():
                view, shown = body(view)
    return view, shown


def make_export(view: AttentionView, shown: ViewPart) -> Export:
    """What is on the screen: the map that was chosen, and the tab that is open."""
    if attends:
        shown = look_part(view, picture).beside(shown)
    settings = asdict(view) | {"image": picture_setting(view.image)}
    if view.beside == "Another image" and view.other:
        settings["other"] = picture_setting(view.other, "other")
    facts = {"headline": attention_sentence(view, picture), "title": picture.title, "sha256": picture.digest}
    return Export(
        stem="attention",
        recipe=filled_recipe("attention", **settings),
        pictures=shown.pictures,
        figures=shown.figures,
        table=shown.table,
        facts=facts_of(view) | facts | shown.facts,
        arrays=shown.arrays,
    )


on_screen: list[tuple[AttentionView, ViewPart]] = []
with guard():
    if attends:
        look(picture)
        on_screen.append(tabs_view(looked_at()))
    else:
        st.markdown(f"#### {plain(attention_sentence(looked_at(), picture))}")
        if model.spec.note:
            st.caption(plain(model.spec.note))
        if classifies:
            on_screen.append(cnn_view(looked_at()))
with bar[4]:
    if on_screen:
        export_popover(lambda: make_export(*on_screen[0]), key="export")
teaching_cards("attention", "" if attends else "gradcam")
