"""Convolution meets attention: six operators on one picture, side by side, step by step, and as trained mixers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.methods.operators.single_layer import OPERATORS, OperatorSettings
from core.models.catalogue import find_model
from core.models.mixer import OPERATOR_TITLES, OperatorName
from pages.components.keys import component_key
from pages.components.operators.operators import operators_grid
from pages.operators.layers import Columns, columns_of, mixer_config, trained_mixers
from pages.operators.panels import mixers_panel, trap_panel
from pages.operators.parts import figures_of, recipe_of, shown_part
from pages.operators.view import (
    SIZES,
    TEMPERATURES,
    OperatorsView,
    keep_state,
    read_view,
    refusal,
    settings_form,
)
from pages.operators.words import ROWS, TERMS, choices_sentence, equation, formula, story
from pages.shared.address import bound
from pages.shared.errors import guard
from pages.shared.export import Export, export_popover
from pages.shared.foreign import plain
from pages.shared.framing import decoding_note
from pages.shared.layout import accuracy_sentence, control_bar, heading, page_link, teaching_cards
from pages.shared.pickers import image_picker

SOURCES = {"random": "Random projections", "trained": "Trained mixers"}


def base_view() -> OperatorsView:
    """What the widgets above the columns hold."""
    return OperatorsView(image=picture.key, side=side, mixers=mixers, block=block, head=head, settings=settings)


def mixers_form(names: dict[OperatorName, list[str]]) -> tuple[tuple[OperatorName, str], ...]:
    """Which trained mixer each operator's column shows, where there are several."""
    chosen = []
    for operator, choices in names.items():
        name = choices[0]
        if len(choices) > 1:
            name = st.selectbox(
                OPERATOR_TITLES[operator], choices, format_func=lambda each: plain(find_model(each).title),
                key=f"mixer_{operator}", bind="query-params",
            )  # fmt: skip
        chosen.append((operator, name))
    if max(map(len, names.values())) == 1:
        st.caption("Finished runs of the recipe mixer_scratch of the same shape can be chosen here instead.")
        page_link("train", "Train one", "model_training", recipe="mixer_scratch")
    return tuple(chosen)


def view_now(columns: Columns) -> OperatorsView:
    """The same with what the sliders and the pointer chose."""
    return read_view(base_view(), columns.grid, columns.sizes, usual_temperature(columns))


def usual_temperature(columns: Columns) -> float:
    """√channels of a head, by which transformers divide."""
    layer = next(iter(columns.layers.values()))
    channels = len(layer.inputs) if layer.value is None else len(layer.value.weight)
    return float(f"{channels**0.5:.3g}")


@st.fragment
def look() -> None:
    """The six columns, and what the chosen temperature does to the diagonal."""
    with guard():
        columns = columns_of(base_view(), picture)
        view = view_now(columns)
        operators_grid(
            grid_data(columns, view),
            key=component_key("operators", "grid"),
            on_choice=lambda state: keep_state(state, columns.grid, columns.sizes),
        )
        if not view.trained:
            st.caption(plain(choices_sentence(columns.layers["pre"])))
        trap_panel(view, picture)


def grid_data(columns: Columns, view: OperatorsView) -> dict[str, Any]:
    """Everything that the component shows."""
    height, width = columns.grid
    usual, refused = usual_temperature(columns), {}
    for size in range(SIZES[-1] + 2):
        if size not in columns.sizes:
            refused[str(size)] = refusal(size, columns.grid, view.settings.padding)
    packed = {column["operator"]: column for column in columns.packed["columns"]}
    return columns.packed | {
        "columns": [column_data(name, columns, packed) for name in OPERATORS],
        "sizes": list(columns.sizes),
        "refused": refused | {"other": f"Kernels here have {SIZES[0]} to {SIZES[-1]} taps a side."},
        "temperatures": list(TEMPERATURES),
        "usual": f"(usual: {usual:g})",
        "note": note(view, columns),
        "alt": f"{picture.title}, {height} by {width} positions.",
        "terms": TERMS,
        "rows": ROWS,
        "state": {
            "kernel": view.settings.kernel_size,
            "temperature": view.settings.temperature,
            "weight": view.settings.weight,
            "at": view.position[0] * width + view.position[1],
            "operator": view.operator,
            "channel": view.channel,
        },
    }


def column_data(name: OperatorName, columns: Columns, packed: Mapping[str, Any]) -> dict[str, Any]:
    """One operator's column in numbers and words."""
    words = {"operator": name, "title": OPERATOR_TITLES[name], "note": ""}
    if name not in columns.layers:
        missing = "No trained mixer of this kind is on this machine."
        return words | {"missing": missing, "equation": "", "formula": "", "story": missing}
    layer = columns.layers[name]
    if mixers:
        chosen = dict(mixers)[name]
        words["note"] = accuracy_sentence(chosen) or find_model(chosen).title
    return packed[name] | words | {"equation": equation(layer), "formula": formula(layer), "story": story(layer)}


def note(view: OperatorsView, columns: Columns) -> str:
    """Where the numbers come from."""
    size = f"{columns.grid[1]} × {columns.grid[0]}"
    if view.trained:
        return f"Trained mixers: block {view.block + 1}, head {view.head + 1}, {size} patches."
    drawn = "random projections" if view.settings.projections == "random" else "no projections, random kernels"
    if view.settings.kernel == "gaussian":
        drawn = drawn.replace("random kernels", "a bell as kernel")
    return f"{drawn[0].upper()}{drawn[1:]}, seed {view.settings.seed}; {size} positions."


def make_export() -> Export:
    """What is on the screen, computed again by torch."""
    columns = columns_of(base_view(), picture)
    view = view_now(columns)
    shown = shown_part(view, picture)
    return Export(
        stem="operators",
        recipe=recipe_of(view),
        pictures=shown.pictures,
        figures=figures_of(view, picture),
        table=shown.table,
        facts=view.facts() | {"title": picture.title, "sha256": picture.digest} | shown.facts,
        arrays=shown.arrays,
    )


heading("Operators", "Convolution meets attention: what does each operator read, and what comes out?")
bar = control_bar([4, 4, 2, 2], whole=2)
offered: dict[OperatorName, list[str]] = {}
mixers: tuple[tuple[OperatorName, str], ...] = ()
side, block, head = 32, 0, 0
with bar[0]:
    picture = image_picker(default="example:coffee")
with bar[1], guard():
    offered = trained_mixers()
with bar[1]:
    source = st.selectbox(
        "Weights",
        [*SOURCES] if offered else ["random"],
        format_func=SOURCES.__getitem__,
        key="weights",
        bind="query-params",
        label_visibility="collapsed",
        help=None
        if offered
        else "Trained mixers can be chosen once they are in checkpoints/: see the end of the page.",
    )
trained = source == "trained"
settings = OperatorSettings()
with bar[2], st.popover("Choices", icon=":material/tune:", width="stretch"):
    if trained:
        mixers = mixers_form(offered)
        config = mixer_config(mixers[0][1])
        left, right = st.columns(2)
        block = int(left.number_input("Block", 1, config.depth, 1, key="mixer_block", bind=bound("mixer_block"))) - 1
        head = int(right.number_input("Head", 1, config.num_heads, 1, key="mixer_head", bind=bound("mixer_head"))) - 1
    else:
        side = int(st.number_input("Longer side (px)", 1, 64, 32, key="size", bind=bound("size")))
        settings = settings_form()
decoding_note(picture)
look()
with guard():
    mixers_panel()
with bar[3]:
    export_popover(make_export, key="export")
teaching_cards("operators")
