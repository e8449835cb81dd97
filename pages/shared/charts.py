"""Charts, each with its numbers beside it: as a table to read, and to take along."""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.figures.table import figure_table
from core.figures.theme import Figure
from pages.shared.foreign import literal, plain


def show_chart(figure: Figure, *, key: str, alt: str, place: DeltaGenerator | None = None, **options: Any) -> Any:
    """A figure in `place`, as wide as that, and the button of its table below; what `st.plotly_chart` returns.

    Args:
        alt: what a picture of it would say.
        options: of `st.plotly_chart`.
    """
    with place if place is not None else st.container():
        event = st.plotly_chart(figure, key=key, alt=alt, **{"width": "stretch", **options})
        chart_table(figure, key=key, title=alt)
    return event


def chart_table(figure: Figure, *, key: str, title: str) -> None:
    """The button of the table of a figure that is drawn elsewhere, such as one that grows; made when it is open."""
    with st.popover("Table", icon=":material/table:", type="tertiary", key=f"{key}_table", on_change="rerun") as menu:
        if not menu.open:
            return
        table = figure_table(figure)
        shown = table.rename(columns=literal)
        st.dataframe(shown, hide_index=True, width="stretch", height=38 + 35 * min(len(shown), 10))
        st.download_button(
            "Table (CSV)", lambda: table.to_csv(index=False).encode(), f"{key}.csv", "text/csv", on_click="ignore",
            key=f"{key}_csv",
        )  # fmt: skip
        st.caption(plain(title))
