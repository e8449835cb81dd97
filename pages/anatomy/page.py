"""Where the parameters are, two models side by side, and what the positional embeddings have learned."""

from __future__ import annotations

from typing import get_args

import pandas as pd
import streamlit as st

from core.errors import CoreError
from core.figures.anatomy import plot_anatomy, plot_comparison, plot_layers, plot_roles
from core.figures.positional import plot_distance_profile, positional_tile, positional_tiles
from core.methods.anatomy.parts import FACTS, Anatomy, Comparison, compare_anatomy
from core.methods.anatomy.positional import Measure, distance_profile
from core.shares import counted
from pages.components.head_mosaic.head_mosaic import head_mosaic
from pages.components.keys import component_key
from pages.shared.cache import anatomy_of, data_uri, described_model, positional_of
from pages.shared.charts import show_chart
from pages.shared.errors import guard
from pages.shared.export import Export, export_popover
from pages.shared.foreign import plain
from pages.shared.layout import control_bar, heading, teaching_cards
from pages.shared.pickers import model_picker, own_model_form, second_model_picker
from pages.shared.recipes import filled_recipe

TABS = ("Parameters", "Positions", "Two models")

heading("Anatomy", "What is the model made of, and what has it learned about space?")
bar = control_bar([5, 2, 2], whole=1)
with bar[0]:
    name = model_picker(None)
with bar[1]:
    own_model_form()
spec = described_model(name).spec


def table_of(parts: Anatomy) -> pd.DataFrame:
    """One row a tensor, largest first."""
    rows = [
        {
            "tensor": row.path,
            "part": row.title,
            "role": row.role,
            "shape": " × ".join(map(str, row.shape)),
            "parameters": row.parameters,
            "share": row.parameters / parts.total,
        }
        for row in parts.rows
    ]
    return pd.DataFrame(rows).sort_values("parameters", ascending=False, ignore_index=True)


def parameters_tab() -> None:
    parts = anatomy_of(name)
    role, count = max(parts.by_role().items(), key=lambda item: item[1])
    st.markdown(
        f"#### {plain(spec.title)}: {parts.total / 1e6:.2f} million parameters, "
        f"{count / parts.total:.0%} of them {plain(role)}"
    )
    left, right = st.columns([2, 1])
    show_chart(
        plot_anatomy(parts, spec.title), key="tree", alt="Tree map of all parameters; a table follows.", place=left
    )
    show_chart(plot_roles(parts), key="roles", alt="Parameters by role.", place=right)
    facts, blocks = st.columns([1, 2])
    with facts:
        st.markdown("**Read from the module**")
        st.dataframe(
            pd.DataFrame(
                [(FACTS[key], f"{value:,}" if isinstance(value, int) else value) for key, value in parts.facts.items()],
                columns=["fact", "value"],
            ),
            hide_index=True,
            width="stretch",
        )
    with blocks:
        show_chart(plot_layers(parts), key="layers", alt="Parameters of each block by role.")
    with st.expander(f"All {len(parts.rows)} tensors"):
        st.caption("Blocks are counted from 1, as in papers; tensors have their names in the code, which count from 0.")
        st.dataframe(
            table_of(parts),
            hide_index=True,
            column_config={
                "parameters": st.column_config.NumberColumn(format="localized"),
                "share": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
            },
        )


def compare_tab() -> None:
    second = second_model_picker(None, exclude=name)
    if second is None:
        return
    comparison = compare_anatomy(anatomy_of(name), anatomy_of(second))
    ours, theirs = titles_with(second)
    st.markdown(f"#### {plain(ours)} and {plain(theirs)}: {plain(counted(len(comparison.differences), 'difference'))}")
    left, right = st.columns([3, 2])
    show_chart(
        plot_comparison(comparison, ours, theirs),
        key="mirror",
        alt="Parameters by role of both models, mirrored.",
        place=left,
    )
    with right:
        rows = [(entry.topic, _text(entry.first), _text(entry.second)) for entry in comparison.differences]
        st.dataframe(pd.DataFrame(rows, columns=["differs in", ours, theirs]), hide_index=True, width="stretch")
    with st.expander("Block by block"):
        st.dataframe(blocks_of(comparison, ours, theirs), hide_index=True, width="stretch")


def titles_with(second: str) -> tuple[str, str]:
    """The two models as people read them; two folders may share a title."""
    ours, theirs = spec.title, described_model(second).spec.title
    return (f"{ours} (1)", f"{theirs} (2)") if ours == theirs else (ours, theirs)


def blocks_of(comparison: Comparison, ours: str, theirs: str) -> pd.DataFrame:
    """A row for each role in each block."""
    blocks = [
        {
            "block": "–" if row.layer is None else row.layer + 1,
            "role": row.role,
            ours: row.first,
            theirs: row.second,
            "differs": row.differs,
        }
        for row in comparison.rows
    ]
    return pd.DataFrame(blocks).astype({"block": str})


def _text(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else str(value)


@st.fragment
def positions_tab() -> None:
    """The tiles mirror the image; the chosen one is enlarged beside them."""
    measures: tuple[Measure, ...] = get_args(Measure)
    measure = st.segmented_control(
        "Measure",
        measures,  # ours: of a Literal
        default="cosine",
        required=True,
        key="measure",
        bind="query-params",
    )
    similarity = positional_of(name, measure)
    rows, columns = similarity.grid
    every = max(1, -(-max(rows, columns) // 14))  # about 14 tiles a side are still readable
    row, column = st.session_state.get("tile_row", -1), st.session_state.get("tile_column", -1)
    if not (0 <= row < rows and 0 <= column < columns):
        st.session_state["tile_row"] = rows // 2 // every * every
        st.session_state["tile_column"] = columns // 2 // every * every

    def choose(row: int, column: int) -> None:
        st.session_state["tile_row"], st.session_state["tile_column"] = row * every, column * every

    row, column = st.session_state["tile_row"], st.session_state["tile_column"]
    left, right = st.columns([3, 2], gap="medium")
    with left:
        scale, gap = max(2, 48 // columns), 3
        tiles = positional_tiles(similarity, scale=scale, gap=gap, every=every)
        head_mosaic(
            data_uri(tiles, f"tiles/{name}/{measure}"),
            -(-rows // every),
            -(-columns // every),
            cell=columns * scale,
            gap=gap,
            selected=(row // every, column // every),
            key=component_key("tiles", name),
            alt=f"Small maps laid out like the {rows} by {columns} patches: each one's similarity with all others.",
            on_choice=choose,
            noun=("tile row", "tile column"),
        )
        if every > 1:
            st.caption(f"Of every {every:d} × {every:d} of the {rows:d} × {columns:d} patches one has a tile.")
    with right:
        st.markdown(f"**Row {row + 1:d}, column {column + 1:d}** against all others")
        show_chart(
            positional_tile(similarity, row, column),
            key="tile",
            alt="One patch's similarity with all others.",
        )
        show_chart(
            plot_distance_profile(distance_profile(similarity), measure),
            key="profile",
            alt="Mean similarity by distance",
        )


def make_export() -> Export:
    """What the open tab shows."""
    if st.session_state.get("anatomy_tabs") == TABS[1] and not spec.lacks("positions"):
        return positions_export()
    second = st.session_state.get("model_b_choice")
    if st.session_state.get("anatomy_tabs") == TABS[2] and second:
        return comparison_export(second)
    parts = anatomy_of(name)
    return Export(
        stem="anatomy",
        recipe=filled_recipe("anatomy", model=name),
        figures={"tree": plot_anatomy(parts, spec.title), "roles": plot_roles(parts), "layers": plot_layers(parts)},
        table=table_of(parts),
        facts={"model": name, "total": parts.total, "roles": parts.by_role(), **parts.facts},
    )


def positions_export() -> Export:
    measure: Measure = st.session_state.get("measure", "cosine")
    row, column = st.session_state["tile_row"], st.session_state["tile_column"]
    similarity = positional_of(name, measure)
    profile = distance_profile(similarity)
    return Export(
        stem="positions",
        recipe=filled_recipe("anatomy", "positions", model=name, measure=measure, row=row, column=column),
        pictures={"positions": positional_tiles(similarity, scale=6)},
        figures={
            "tile": positional_tile(similarity, row, column),
            "profile": plot_distance_profile(profile, measure),
        },
        table=pd.DataFrame({"distance": profile.distances, "similarity": profile.similarity, "pairs": profile.pairs}),
        facts={"model": name, "measure": measure, "grid": similarity.grid, "row": row + 1, "column": column + 1},
        arrays={"similarity": similarity.matrix},
    )


def comparison_export(second: str) -> Export:
    comparison = compare_anatomy(anatomy_of(name), anatomy_of(second))
    ours, theirs = titles_with(second)
    return Export(
        stem="comparison",
        recipe=filled_recipe("anatomy", "comparison", first=name, second=second),
        figures={"mirror": plot_comparison(comparison, ours, theirs)},
        table=blocks_of(comparison, ours, theirs),
        facts={
            "models": [name, second],
            "differences": [difference.sentence for difference in comparison.differences],
        },
    )


tabs = st.tabs(list(TABS), key="anatomy_tabs", on_change="rerun", bind="query-params")
if tabs[0].open:
    with tabs[0], guard():
        parameters_tab()
if tabs[1].open:
    with tabs[1], guard():
        if spec.lacks("positions"):
            raise CoreError(f"{spec.title} has nothing to show here: {spec.lacks('positions')}.", "Choose a ViT.")
        positions_tab()
if tabs[2].open:
    with tabs[2], guard():
        compare_tab()
with bar[2]:
    export_popover(make_export, key="export")
teaching_cards("anatomy")
