"""What every finished evaluation measured: models × data sets, and class token beside mean."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.data.catalogue import DATASETS
from core.experiments.accuracies import accuracy_table, published
from core.figures.accuracies import ordered, plot_accuracies, plot_probes
from core.figures.theme import Figure
from core.methods.accuracy.measured import POOLINGS, AccuracyTable, MeasuredAccuracy
from core.runs.store import list_runs
from pages.shared.charts import show_chart
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.recipes import filled_recipe
from pages.shared.train_address import open_settings


def measured_table() -> AccuracyTable:
    """Read again only when a run has begun, ended or gone."""
    return _read(tuple((run.name, _changed(run.state)) for run in list_runs()))


def _changed(path: Any) -> int:
    try:
        return int(path.stat().st_mtime_ns)
    except OSError:
        return 0


@st.cache_data(show_spinner="Reading what was measured …", max_entries=4)
def _read(runs: tuple[tuple[str, int], ...]) -> AccuracyTable:
    return accuracy_table()


def accuracy_panel() -> None:
    """The heat map first, then probes, then everything as a table."""
    table = measured_table()
    st.markdown(headline(table))
    show_chart(
        plot_accuracies(table.cells), key="accuracies",
        alt="Accuracy of every model on every data set that it was measured on; the table below has all numbers.",
    )  # fmt: skip
    st.caption(
        "Empty: not measured. What a number rests on stands under the pointer and in the table: few images make wide "
        "intervals, and a data set may have been split in another way. Small CLIP has read captions of CIFAR-10 and "
        "Tiny-ImageNet in training, so there it is not new to the classes."
    )
    if table.unreadable:
        st.warning(f"The results of {plain(', '.join(table.unreadable), 300)} are damaged and left out.")
    left, right = st.columns([3, 2], gap="large")
    with left:
        _probes(table)
    with right:
        _published()
    st.markdown("**Every measurement**")
    percent = st.column_config.NumberColumn(format="percent")
    st.dataframe(
        measurements(table), hide_index=True, width="stretch", height=320, placeholder="",
        column_config=dict.fromkeys(("accuracy", "95 % from", "95 % to"), percent),
        alt="Every accuracy with its interval, its images and where it comes from.",
    )  # fmt: skip
    if st.button("Measure frozen backbones", icon=":material/grid_on:", key="measure_heads",
                 help="Opens Train: a new head for each of several models on several data sets."):  # fmt: skip
        open_settings("frozen_heads", ())


def headline(table: AccuracyTable) -> str:
    """How much was measured, and what is best where most was."""
    cells = table.cells
    if not cells:
        return "#### Nothing was measured yet"
    rows, datasets = ordered(cells.values())
    first = [each for (_, dataset), each in cells.items() if dataset == datasets[0]]
    best = max(first, key=lambda each: each.accuracy)
    kinds = f"{len(datasets):d} data sets" if len(datasets) > 1 else "one data set"
    return (
        f"#### On {plain(datasets[0])} {plain(best.model)} ({plain(best.protocol)}) is right on {best.accuracy:.1%}\n"
        f"{len(rows):,} models and ways to ask them, {plain(kinds)}: everything that has been measured."
    )


def _probes(table: AccuracyTable) -> None:
    """One data set's linear probes."""
    datasets = list(dict.fromkeys(each.dataset for each in table.probes if each.pooling in POOLINGS))
    if not datasets:
        return
    st.markdown("**Linear probes: what the class token knows beside the mean of the patches**")
    chosen = datasets[0]
    if len(datasets) > 1:
        chosen = st.selectbox("Data set", datasets, key="probes_on", bind="query-params")
    show_chart(
        probes_figure(table, chosen), key="probes",
        alt=f"Accuracy of linear probes on {chosen}, by class token and by mean, with 95 % intervals.",
    )  # fmt: skip
    pale = "Pale: published, on all images of the original CIFAR-10." if _known(chosen) else ""
    st.caption(f"Whiskers are 95 % intervals over test images. {plain(pale)}")


def probes_figure(table: AccuracyTable, dataset: str) -> Figure:
    """The bars of one data set, with what was published on it."""
    return plot_probes([each for each in table.probes if each.dataset == dataset], _known(dataset))


def _known(dataset: str) -> dict[str, dict[str, float]] | None:
    """What was published of linear probes, which was on CIFAR-10 alone."""
    return published().get("probes") if dataset.startswith(DATASETS["cifar10"].title) else None


def _published() -> None:
    """Frozen backbones elsewhere: larger networks, all images."""
    heads = published().get("heads")
    if not heads:
        return
    st.markdown("**Published: three epochs of a new head, and CLIP by text**")
    names = list(dict.fromkeys(name for each in heads.values() for name in each))
    titles = {name: DATASETS[name].title if name in DATASETS else name for name in names}
    rows = [{"model": model} | {titles[name]: each.get(name) for name in names} for model, each in heads.items()]
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, width="stretch",
        column_config=dict.fromkeys(titles.values(), st.column_config.NumberColumn(format="percent")),
        alt="Published accuracies of frozen backbones.",
    )  # fmt: skip
    st.caption(
        "Larger networks on all images at 224 pixels: what to expect of them, not of the small ones measured here."
    )


def measurements(table: AccuracyTable) -> pd.DataFrame:
    """Every measurement as one row."""
    return pd.DataFrame([_row(each) for each in table.found])


def _row(each: MeasuredAccuracy) -> dict[str, Any]:
    return {
        "model": each.model,
        "how": each.protocol,
        "read from": POOLINGS.get(each.pooling, ""),
        "data set": each.dataset,
        "accuracy": each.accuracy,
        "95 % from": each.low,
        "95 % to": each.high,
        "images": each.count,
        "learned from": each.train_count,
        "split": each.split,
        "measured by": each.source,
    }


def accuracy_export() -> Export:
    """The heat map, the bars on screen, and every number."""
    table = measured_table()
    figures = {"accuracies": plot_accuracies(table.cells)}
    datasets = list(dict.fromkeys(each.dataset for each in table.probes))
    if datasets:
        chosen = st.session_state.get("probes_on", datasets[0])
        figures["probes"] = probes_figure(table, chosen if chosen in datasets else datasets[0])
    return Export(
        stem="accuracies",
        recipe=filled_recipe("runs", "accuracies", rows=[each.row for each in table.cells.values()]),
        figures=figures,
        table=measurements(table),
        facts={"unreadable": list(table.unreadable)},
    )
