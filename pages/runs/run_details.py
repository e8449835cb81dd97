"""What lies behind the curves of the Runs page: settings, metrics, samples and logs of the chosen runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
import streamlit as st

from core.figures.curves import XAxis, metric_names, plot_metric, words
from core.runs.store import RunFolder
from pages.shared.charts import show_chart
from pages.shared.errors import guard
from pages.shared.foreign import plain
from pages.shared.layout import command_block, command_details
from pages.shared.run_views import RunView, differing

LOG_BYTES = 20_000
IMAGE_TYPES = (".png", ".jpg", ".jpeg", ".webp")
Detail = Literal["Settings", "Metrics", "Samples", "Log"]
DETAILS: tuple[Detail, ...] = ("Settings", "Metrics", "Samples", "Log")


def details(views: Sequence[RunView]) -> None:
    """What lies behind the curves; only what is open is computed."""
    part = st.segmented_control("More", DETAILS, default="Settings", required=True, key="run_detail")
    if part == "Settings":
        _settings(views)
    elif part == "Metrics":
        _metrics(views)
    elif part == "Samples":
        _samples(views)
    else:
        _log(views)


def _settings(views: Sequence[RunView]) -> None:
    """The settings that differ, or of one run all."""
    names = [view.title for view in views]
    if len(views) == 1:
        rows = {key: [value] for key, value in views[0].settings.items()}
        if not rows:
            st.info("Its settings cannot be read.", icon=":material/help:")
            return
        st.caption("All settings. Choose a second run above to see only what differs.")
    else:
        rows = differing(list(views))
        if not rows:
            st.info("The chosen runs have the same settings.", icon=":material/equal:")
            return
        st.caption("Only what differs.")
    table = pd.DataFrame([[key, *map(_text, row)] for key, row in rows.items()])
    # Two runs may carry one title: a bundled model and its copy.
    table.columns = pd.Index(
        ["setting", *[f"{name} ({i})" if names.count(name) > 1 else name for i, name in enumerate(names, 1)]]
    )
    st.dataframe(table, hide_index=True, width="stretch", height=min(38 + 35 * len(table), 420))
    with command_details("run_commands") as is_open:
        if is_open:
            for view in views:
                command_block(view.command)


def _metrics(views: Sequence[RunView]) -> None:
    curves = [view.curve() for view in views]
    names = metric_names(curves)
    if not names:
        st.info("There is no report yet.", icon=":material/show_chart:")
        return
    preferred = "learning_rate" if "learning_rate" in names else names[0]
    name = st.selectbox("Quantity", names, index=names.index(preferred), format_func=words, key="quantity")
    x: XAxis = st.session_state.get("across", "epoch")
    with guard():
        figure = plot_metric(curves, name, x=x, smoothing=st.session_state.get("smoothing", 0.0))
        show_chart(figure, key="chart-metric", alt="Metric of the chosen runs.")


def _samples(views: Sequence[RunView]) -> None:
    """The newest pictures that recipes wrote."""
    found = False
    for view in views:
        if view.folder is None or not view.folder.samples.is_dir():
            continue
        pictures = [path for path in view.folder.samples.iterdir() if path.suffix.lower() in IMAGE_TYPES]
        newest = sorted(pictures, key=lambda path: path.stat().st_mtime, reverse=True)[:8]
        if newest:
            found = True
            st.markdown(f"**{plain(view.title)}**")
            for column, path in zip(st.columns(4) * 2, newest, strict=False):
                column.image(path.read_bytes(), caption=plain(path.stem), width="stretch", alt=plain(path.stem))
    if not found:
        st.info("These recipes draw no samples; classifiers have none to draw.", icon=":material/image:")


def _log(views: Sequence[RunView]) -> None:
    for view in views:
        if view.folder is None:
            st.caption(f"{plain(view.title)} is bundled; its log was not kept.")
            continue
        st.markdown(f"**{plain(view.title)}**")
        st.code(_tail(view.folder) or "Nothing was printed.", language="text", height=320)


def _tail(folder: RunFolder) -> str:
    """The end of the log, from its first whole line."""
    try:
        with folder.log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return text.partition("\n")[2] if size > LOG_BYTES else text


def _text(value: Any) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
