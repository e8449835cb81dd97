"""What each part of the picture looks at: maps of every layer and head, rollout, relevance, comparison."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pandas as pd
import streamlit as st

from core.figures.attention import plot_attention_distance, plot_predictions, short_label
from core.figures.overlay import centre, difference, dim_outside, overlay, scale_of
from core.methods.attention import (
    AttentionMaps,
    Fusion,
    attention_distance,
    attention_entropy,
    attention_mass,
    fuse_heads,
    readout_maps,
)
from core.methods.explanations import explanations_for
from core.methods.predictions import top_predictions
from core.models.trace import readout
from core.ui.address import remember, remembered, whole_number
from core.ui.cache import (
    data_uri,
    display_photo,
    explanation_of,
    film_of,
    loaded_model,
    logits_of,
    maps_of,
    mosaic_of,
    reader_name,
    rollout_of,
)
from core.ui.components.film_strip import film_strip
from core.ui.components.head_mosaic import head_mosaic
from core.ui.components.keys import component_key
from core.ui.components.patch_canvas import attention_canvas
from core.ui.errors import guard
from core.ui.export import Export, export_popover
from core.ui.foreign import plain
from core.ui.layout import heading, page_link, teaching_cards
from core.ui.pickers import Picture, image_picker, model_picker, own_model_form, second_model_picker
from core.ui.recipes import attention_recipe
from core.ui.says import attention_sentence, second_opinion

CELL, GAP = 72, 4
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)

heading("Attention", "What does each part of the picture look at?")
bar = st.columns([3, 4, 2, 2], vertical_alignment="bottom")
with bar[0]:
    picture = image_picker(default="example:coffee")
with bar[1]:
    name = model_picker(None)
with bar[2]:
    own_model_form()
model = loaded_model(name)
attends = not model.spec.lacks("attention")


def selected_head(layers: int, heads: int) -> tuple[int, str]:
    """Layer from 0 and head ("mean", "max", "min" or a number from 1) as the widgets hold them, made valid."""
    layer = min(max(1, int(st.session_state.get("layer", layers))), layers)
    options = [*FUSIONS, *(str(head + 1) for head in range(heads))]
    head = st.session_state.get("head", "mean")
    if st.session_state.get("layer") not in (None, layer):
        st.session_state["layer"] = layer
    if head not in options:
        head = st.session_state["head"] = "mean"
    return layer - 1, head


@st.fragment
def look(picture: Picture) -> None:
    """The photo under the pointer, and the mosaic to choose a map from."""
    with guard():
        maps = maps_of(name, picture.digest, picture.image)
        left, right = st.columns([11, 9], gap="medium")
        with right:
            layer, head = choose_map(maps)
            mosaic_view(maps, layer, head)
        with left:
            canvas_view(maps, layer, head)
        if maps.signed:
            st.caption("Red attends, blue is subtracted: differential attention is signed, and zero is in the middle.")


def choose_map(maps: AttentionMaps) -> tuple[int, str]:
    """The widgets for layer and head, and what they say; what another model left in them is mended first."""
    selected_head(maps.layers, maps.heads)
    layer_column, head_column = st.columns([3, 2])
    if maps.layers > 1:  # a slider needs two ends
        layer_column.slider("Layer", 1, maps.layers, value=maps.layers, key="layer", bind="query-params")
    head_column.selectbox(
        "Heads",
        [*FUSIONS, *(str(index + 1) for index in range(maps.heads))],
        format_func=lambda each: f"{each} of all" if each in FUSIONS else f"head {each}",
        key="head",
        bind="query-params",
    )
    # Read again: only now do the widgets hold what the address asked for.
    return selected_head(maps.layers, maps.heads)


def fused_map(maps: AttentionMaps, layer: int, head: str) -> np.ndarray:
    """(tokens, tokens): the chosen head's weights, or all heads fused."""
    weights = maps.weights[layer]
    return fuse_heads(weights, head) if head in FUSIONS else weights[int(head) - 1]  # type: ignore[arg-type]


def canvas_view(maps: AttentionMaps, layer: int, head: str) -> None:
    """The photo that answers to the pointer."""
    controls = st.columns([3, 2])
    direction = controls[0].segmented_control(
        "Direction",
        ["attends to", "is attended by"],
        default="attends to",
        required=True,
        key="direction",
        bind="query-params",
        label_visibility="collapsed",
    )
    as_seen = controls[1].toggle(
        f"{model.network.preprocessing.size:d} px input",
        key="as_seen",
        bind="query-params",
        help="Show the pixels the model really gets.",
    )
    fused, prefix = fused_map(maps, layer, head), maps.prefix_tokens
    photo = display_photo(model, picture.digest, picture.image, as_seen=as_seen)
    patch = whole_number(remembered("patch", "-1"), maps.patches)
    attention_canvas(
        data_uri(photo, f"{picture.digest}/{photo.shape}/{model.network.preprocessing}"),
        np.concatenate([readout(fused, maps.pooling, prefix)[None, prefix:], fused[prefix:, prefix:]]),
        maps.grid,
        key="canvas",
        alt=f"{picture.title}, {maps.grid[0]} by {maps.grid[1]} patches. Arrow keys move, Enter selects.",
        signed=maps.signed,
        direction="from" if direction == "is attended by" else "to",
        smooth=not as_seen,
        reader=reader_name(maps).capitalize(),
        selected=-1 if patch is None else patch,
        on_choice=lambda chosen: remember("patch", str(chosen)),
    )


def mosaic_view(maps: AttentionMaps, layer: int, head: str) -> None:
    """Every layer and head; a click chooses one."""

    def choose(new_layer: int, new_head: int) -> None:
        st.session_state["layer"], st.session_state["head"] = new_layer + 1, str(new_head + 1)

    head_mosaic(
        data_uri(mosaic_of(name, picture.digest, CELL, False, picture.image), f"mosaic/{name}/{picture.digest}"),
        maps.layers,
        maps.heads,
        cell=CELL,
        gap=GAP,
        selected=(layer, -1 if head in FUSIONS else int(head) - 1),
        key=component_key("mosaic", name),
        alt=f"Attention of {reader_name(maps)}: {maps.layers} layers (rows), {maps.heads} heads (columns).",
        on_choice=choose,
    )


def film_tab() -> None:
    frames = film_of(name, picture.digest, picture.image)
    depth = len(next(iter(frames.values())))
    film_strip(frames, [f"layer {layer + 1}" for layer in range(depth)], key="film", start=depth - 1)


def class_choice() -> int | None:
    """The class to explain, chosen among the likeliest; None for a backbone without a head."""
    if model.spec.lacks("classifier"):
        st.caption("No classifier: relevance explains what keeps the embedding as it is, not a class.")
        return None
    options = top_predictions(logits_of(name, picture.digest, picture.image), model.classes, count=5)
    labels = {option.class_index: f"{plain(short_label(option.label))} {option.probability:.0%}" for option in options}
    return st.pills(
        "Explain the class",
        list(labels),
        format_func=lambda index: labels[index],
        default=options[0].class_index,
        required=True,
        key=f"class_{name}_{picture.digest[:8]}",
    )


def cnn_view() -> None:
    """A CNN has no attention to look at: Grad-CAM, large, beside what the model says."""
    left, right = st.columns([11, 9], gap="medium")
    with right:
        class_index = class_choice()
        predictions_tab()
        page_link("masking", "Does the map matter? Take those patches away", "grid_off")
    with left:
        values = explanation_of(name, picture.digest, "gradcam", class_index, picture.image)
        photo = display_photo(model, picture.digest, picture.image)
        st.image(overlay(photo, values), caption="Grad-CAM: what spoke for the chosen class", width="stretch")


def explanations_tab() -> None:
    class_index = class_choice()
    photo = display_photo(model, picture.digest, picture.image)
    methods = explanations_for(model.spec)
    columns = st.columns(3)
    fusion = columns[0].segmented_control(
        "Rollout: heads",
        FUSIONS,  # ours: of a Literal
        default="mean",
        required=True,
        key="fusion",
        bind="query-params",
    )
    discard = columns[1].slider(
        "Rollout: discard the smallest", 0, 95, 0, 5, format="%d %%", key="discard", bind="query-params"
    )
    residual = columns[2].toggle("Rollout: skip connections", value=True, key="residual", bind="query-params")
    for column, method in zip(st.columns(max(3, len(methods))), methods, strict=False):
        with column:
            if method.name == "rollout":
                values = rollout_of(name, picture.digest, fusion, discard / 100, residual, picture.image)[-1]
            else:
                values = explanation_of(name, picture.digest, method.name, class_index, picture.image)
            st.image(overlay(photo, values), caption=method.title, width="stretch")
            st.caption(method.summary)
    page_link("masking", "Does the map matter? Take those patches away", "grid_off")


def mass_tab() -> None:
    maps = maps_of(name, picture.digest, picture.image)
    mass = (
        st.slider("Share of the attention to keep", 5, 95, 60, 5, format="%d %%", key="mass", bind="query-params") / 100
    )
    photo = display_photo(model, picture.digest, picture.image)
    last = np.abs(readout_maps(maps)[-1])
    cells = [("all heads", last.mean(axis=0)), *((f"head {head + 1}", last[head]) for head in range(maps.heads))]
    columns = st.columns(min(7, len(cells)))
    for index, (title, values) in enumerate(cells):
        mask = attention_mass(values, mass)
        caption = f"{plain(title)}: {mask.sum():d} of {mask.size:d} patches"
        columns[index % len(columns)].image(dim_outside(photo, mask), caption=caption, width="stretch")


def distance_tab() -> None:
    maps = maps_of(name, picture.digest, picture.image)
    size = model.network.preprocessing.size
    distances = attention_distance(maps, size / maps.grid[0])
    st.plotly_chart(
        plot_attention_distance([distances], [model.spec.title], image_size=size),
        width="stretch",
        key="distance",
        alt="Mean attention distance of every head, by layer.",
    )
    st.caption("A dot per head. Low: the head looks next door, like a convolution. High: it looks across the picture.")
    entropy = attention_entropy(maps)
    layers = [f"layer {layer + 1}" for layer in range(maps.layers)]
    heads = [f"head {head + 1}" for head in range(maps.heads)]
    with st.expander(f"As tables: distance (px) and spread of the attention of {reader_name(maps)} (bits)"):
        st.dataframe(pd.DataFrame(distances, layers, heads).round(1))
        st.dataframe(pd.DataFrame(entropy, layers, heads).round(2))


def predictions_tab() -> None:
    if model.spec.lacks("classifier"):
        st.info(f"{plain(model.spec.title)} has no classification head. {plain(second_opinion(picture))}")
        return
    options = top_predictions(logits_of(name, picture.digest, picture.image), model.classes)
    st.plotly_chart(plot_predictions(options), width="stretch", key="bars", alt="The five likeliest classes.")


def compare_tab() -> None:
    """One scale for both sides, and their difference."""
    what = st.segmented_control(
        "Beside it", ["Another model", "Another image"], default="Another model", required=True, key="beside"
    )
    other_name, other = name, picture
    if what == "Another model":
        second = second_model_picker("attention", exclude=name)
        if second is None:
            return
        other_name = second
    else:
        other = image_picker(name="image_b", default="example:pagoda", label="Second image")
    kind = st.segmented_control(
        "Map", ["Last-layer attention", "Rollout"], default="Last-layer attention", required=True, key="compare_map"
    )
    sides = []
    for side_name, side in ((name, picture), (other_name, other)):
        maps = maps_of(side_name, side.digest, side.image)
        if kind == "Rollout":
            values = rollout_of(side_name, side.digest, "mean", 0.0, True, side.image)[-1]
        else:
            values = np.abs(readout_maps(maps)[-1]).mean(axis=0)
        # Shares per unit of area, so that 64 patches and 256 patches can share one scale.
        density = values / values.sum() * values.size
        side_model = loaded_model(side_name)
        sides.append((density, display_photo(side_model, side.digest, side.image), side_model.spec.title, side.title))
    scale = (0.0, max(scale_of(density)[1] for density, *_ in sides))
    columns = st.columns(3)
    for column, (density, photo, title, image_title) in zip(columns, sides, strict=False):
        caption = f"{plain(title)} – {plain(image_title)}; at its peak {density.max():.1f}× an even spread"
        column.image(overlay(photo, density, scale=scale), caption=caption, width="stretch")
    if what == "Another model":
        # Models cut the photo differently: compare the part that both see.
        crops = [loaded_model(side).network.preprocessing.crop_share for side in (name, other_name)]
        common = [centre(side[0], min(crops) / crop) for side, crop in zip(sides, crops, strict=True)]
        changed = difference(sides[int(np.argmin(crops))][1], *common)
        columns[2].image(changed, caption="Difference: red where the second looks more, blue less", width="stretch")
    if what == "Another model" and not loaded_model(other_name).spec.lacks("attention"):
        size = [loaded_model(side).network.preprocessing.size for side in (name, other_name)]
        shares = [
            attention_distance(
                maps_of(side, picture.digest, picture.image), 100 / maps_of(side, picture.digest, picture.image).grid[0]
            )
            for side in (name, other_name)
        ]
        figure = plot_attention_distance(
            shares,
            [f"{loaded_model(side).spec.title} ({px} px)" for side, px in zip((name, other_name), size, strict=True)],
            image_size=100,
        )
        figure.update_yaxes(title="mean attention distance (% of the side)")
        st.plotly_chart(figure, width="stretch", key="compare_distance", alt="Attention distance of both models.")


def make_export() -> Export:
    photo = display_photo(model, picture.digest, picture.image)
    facts: dict[str, object] = {"model": name, "image": picture.title, "sha256": picture.digest}
    figures, table, pictures, arrays = {}, None, {}, {}
    if not model.spec.lacks("classifier"):
        options = top_predictions(logits_of(name, picture.digest, picture.image), model.classes)
        figures["predictions"] = plot_predictions(options)
        table = pd.DataFrame([vars(option) for option in options])
    if attends:
        maps = maps_of(name, picture.digest, picture.image)
        layer, head = selected_head(maps.layers, maps.heads)
        fused = fused_map(maps, layer, head)
        row = readout(fused, maps.pooling, maps.prefix_tokens)[maps.prefix_tokens :].reshape(maps.grid)
        pictures = {
            "map": overlay(photo, row, signed=maps.signed),
            "mosaic": mosaic_of(name, picture.digest, CELL, False, picture.image),
        }
        arrays = {
            "readout": readout_maps(maps),
            "rollout": rollout_of(name, picture.digest, "mean", 0.0, True, picture.image),
        }
        distances = attention_distance(maps, model.network.preprocessing.size / maps.grid[0])
        figures["distance"] = plot_attention_distance(
            [distances], [model.spec.title], image_size=model.network.preprocessing.size
        )
        facts |= {"layer": layer + 1, "head": head, "grid": maps.grid, "pooling": maps.pooling}
    elif not model.spec.lacks("classifier"):
        pictures = {"grad-cam": overlay(photo, explanation_of(name, picture.digest, "gradcam", None, picture.image))}
    recipe = attention_recipe(name, picture.key)
    return Export(
        stem="attention", recipe=recipe, pictures=pictures, figures=figures, table=table, facts=facts, arrays=arrays
    )


with guard():
    st.markdown(f"#### {plain(attention_sentence(name, picture))}")
    if model.spec.note:
        st.caption(plain(model.spec.note))
    if attends:
        look(picture)
        film_tab()
        tabs = {
            "Explanations": explanations_tab,
            "Attention mass": mass_tab,
            "Attention distance": distance_tab,
            "Predictions": predictions_tab,
            "Compare": compare_tab,
        }
        for tab, body in zip(st.tabs(list(tabs), key="tabs", on_change="rerun"), tabs.values(), strict=True):
            if tab.open:
                with tab, guard():
                    body()
    elif not model.spec.lacks("classifier"):
        cnn_view()
with bar[3]:
    export_popover(make_export, key="export")
teaching_cards("attention" if attends else "gradcam")
