"""The parts of the Runs page: which runs are chosen, their table and their curves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.figures.curves import (
    PLOT_HEIGHT,
    X_TITLES,
    XAxis,
    has_axis,
    metric_names,
    plot_learning_curves,
)
from core.figures.theme import Figure
from core.reports import roughly
from pages.runs.run_strip import ICONS
from pages.shared.address import all_asked, remember, remembered
from pages.shared.charts import show_chart
from pages.shared.layout import control_strip
from pages.shared.run_views import RunView, age, all_views

CHOSEN = "runs"  # of the address: names with commas between
MOST_CURVES = 12
# Of bundled models' trainings, to begin with: more lines than that are a thicket.
FEW = 2


def chosen_keys(views: Sequence[RunView]) -> list[str]:
    """The runs to show: those of the address, else what is running, else the newest."""
    if asked := all_asked("run"):
        choose(asked)
        del st.query_params["run"]  # the short form of an address; from here on it is `runs`
    default = [view.key for view in views if view.active] or [view.key for view in views[:1] if view.folder]
    default = default or [view.key for view in views if view.folder is None and view.best is not None][:FEW]
    text = remembered(CHOSEN, ",".join(default[:MOST_CURVES]))
    return list(dict.fromkeys(key for key in text.split(",") if key))[:MOST_CURVES]


def choose(keys: Sequence[str]) -> None:
    """Show these runs."""
    remember(CHOSEN, ",".join(keys))


def missing_sentence(keys: Sequence[str], views: Sequence[RunView]) -> str:
    """About chosen runs that are not there."""
    gone = [key for key in keys if key not in {view.key for view in views}]
    if not gone:
        return ""
    which = f"The run {gone[0]!r} is" if len(gone) == 1 else f"The runs {', '.join(map(repr, gone))} are"
    return f"{which} not on this machine: deleted meanwhile, or the address is from another one."


def runs_table(views: Sequence[RunView], chosen: Sequence[str]) -> None:
    """All runs; ticking rows chooses what is drawn below."""
    keys = [view.key for view in views]
    rows = pd.DataFrame(
        {
            "status": [f"{ICONS[view.state.status][0]} {view.status}" for view in views],
            "run": [view.title for view in views],
            "recipe": [view.recipe_title for view in views],
            "progress": [view.share for view in views],
            "left": ["" if view.eta is None else roughly(view.eta) for view in views],
            "best val": [view.best for view in views],
            "test": [view.test[0] if view.test else None for view in views],
            "device": [view.state.device for view in views],
            "begun": [age(view.created) for view in views],
        }
    )
    # Rows are chosen by number: another set of rows is another table, which starts with the same runs chosen.
    key = (
        f"runs-table-{hashlib.sha256(','.join(keys).encode()).hexdigest()[:10]}-{st.session_state.get('runs-reset', 0)}"
    )
    percent = st.column_config.NumberColumn(format="percent")

    def take() -> None:
        numbers = st.session_state[key]["selection"]["rows"]
        choose([keys[number] for number in numbers if number < len(keys)])

    st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * len(rows), 230),
        placeholder="",
        column_config={
            "progress": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
            "best val": percent,
            "test": percent,
            "run": st.column_config.TextColumn(width="medium"),
        },
        key=key,
        on_select=take,
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [keys.index(each) for each in chosen if each in keys]}},
        alt="All runs with status, progress, time left and best validation accuracy.",
    )


def curve_panel(views: Sequence[RunView]) -> None:
    """Accuracy and loss of the chosen runs, side by side."""
    curves = [view.curve() for view in views]
    if not any(curve.history or curve.losses for curve in curves):
        _no_curve(
            "No epoch has ended yet: the curves begin with the first report."
            if any(view.active for view in views)
            else "These runs ended before their first report, so there is no curve."
        )
        return
    if not any(name.endswith("loss") for name in metric_names(curves)) and not any(curve.losses for curve in curves):
        # Nothing was trained step by step: its reports are results.
        st.dataframe(metrics_table(views), hide_index=True, width="stretch")
        return
    axes: list[XAxis] = [axis for axis in X_TITLES if has_axis(curves, axis)]
    bar = control_strip("curves").columns([3, 2], vertical_alignment="bottom")
    x = bar[0].segmented_control(
        "Across", axes, format_func=X_TITLES.__getitem__, default=axes[0], required=True, key="across"
    )
    smoothing = bar[1].slider(
        "Smoothing", 0.0, 0.95, 0.0, 0.05, key="smoothing", help="Weight of the past; the raw line stays underneath."
    )
    total = _axis_end(views, x)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if any(curve.history for curve in curves):
            _chart(plot_learning_curves(curves, "accuracy", x=x, smoothing=smoothing, total=total), "accuracy")
        else:
            with st.container(height=PLOT_HEIGHT, border=False, vertical_alignment="center"):
                st.info("Accuracy begins when the first epoch has ended.", icon=":material/show_chart:")
    with right:
        _chart(plot_learning_curves(curves, "loss", x=x, smoothing=smoothing, total=total), "loss")


def _no_curve(sentence: str) -> None:
    """A sentence in the room of the curves, so that nothing below moves under the pointer when they begin."""
    height = PLOT_HEIGHT + 86  # the chart's, and the controls' above it
    with st.container(height=height, border=True, horizontal_alignment="center", vertical_alignment="center"):
        st.info(sentence, icon=":material/show_chart:")


def export_figures(views: Sequence[RunView]) -> dict[str, Figure]:
    """The charts as they are on the page."""
    curves = [view.curve() for view in views]
    x: XAxis = st.session_state.get("across", "epoch")
    smoothing: float = st.session_state.get("smoothing", 0.0)
    return {
        "accuracy": plot_learning_curves(curves, "accuracy", x=x, smoothing=smoothing),
        "loss": plot_learning_curves(curves, "loss", x=x, smoothing=smoothing),
    }


def metrics_table(views: Sequence[RunView]) -> pd.DataFrame:
    """Every report of the chosen runs, one a row."""
    return pd.DataFrame([{"run": view.title, **line} for view in views for line in view.history])


def views_for(*, trials: bool) -> list[RunView]:
    """What the table lists; the trials of sweeps only on request."""
    return [view for view in all_views() if trials or view.spec is None or view.spec.study is None]


def forget(key: str) -> None:
    """It is gone: show the others that were chosen, or what is shown on arrival."""
    others = [each for each in st.session_state.get(CHOSEN, "").split(",") if each not in ("", key)]
    if others:
        choose(others)
    else:
        st.session_state.pop(CHOSEN, None)
        st.query_params.pop(CHOSEN, None)


def _axis_end(views: Sequence[RunView], x: XAxis) -> float | None:
    """Where the axis will end once the running ones are through."""
    ends = [
        line.get("epochs" if x == "epoch" else "steps") for view in views for line in view.history[-1:] if view.active
    ]
    ends += [view.epochs if x == "epoch" else view.state.steps for view in views if view.active and not view.history]
    known = [float(end) for end in ends if end]
    return max(known) if known and x != "minutes" else None


def _chart(figure: Figure, name: str) -> None:
    show_chart(figure, key=f"chart-{name}", alt=f"{name.capitalize()} of the chosen runs.")
