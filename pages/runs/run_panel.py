"""The parts of the Runs page: table, one strip a run with its buttons, curves, and what lies behind them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import pandas as pd
import streamlit as st

from core.errors import CoreError
from core.experiments.run_precision import read_precision
from core.figures.curves import (
    PLOT_HEIGHT,
    X_TITLES,
    XAxis,
    colour_of,
    has_axis,
    metric_names,
    plot_learning_curves,
    plot_metric,
    words,
)
from core.figures.theme import Figure
from core.launch.control import delete, request_stop, resume
from core.reports import roughly
from core.runs.status import RESUMABLE, Status
from core.runs.store import RunFolder
from pages.shared.address import all_asked, remember, remembered
from pages.shared.charts import show_chart
from pages.shared.errors import guard
from pages.shared.foreign import plain
from pages.shared.layout import control_strip, page_path
from pages.shared.run_views import RunView, age, all_views, differing

ICONS: dict[Status, tuple[str, str]] = {
    "queued": ("◌", ":material/hourglass_empty:"),
    "running": ("▶", ":material/play_circle:"),
    "stopped": ("■", ":material/stop_circle:"),
    "finished": ("✔", ":material/check_circle:"),
    "failed": ("✖", ":material/error:"),
    "interrupted": ("⚠", ":material/heart_broken:"),
}
CHOSEN = "runs"  # of the address: names with commas between
MOST_CURVES = 12
# Of bundled models' trainings, to begin with: more lines than that are a thicket.
FEW = 2
LOG_BYTES = 20_000
ONE_LINE = "display:block;overflow:hidden;white-space:nowrap;text-overflow:ellipsis"
IMAGE_TYPES = (".png", ".jpg", ".jpeg", ".webp")
Detail = Literal["Settings", "Metrics", "Samples", "Log"]
DETAILS: tuple[Detail, ...] = ("Settings", "Metrics", "Samples", "Log")


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


def strip(view: RunView, position: int, clone: Callable[[RunView], None]) -> None:
    """One run in one line: its colour in the chart, what it does, and what can be done to it."""
    state = view.state
    icon = ICONS[state.status][1]
    with st.container(key=f"strip-{_safe(view.key)}"):
        left, right = st.columns([5, 4], vertical_alignment="center")
        with left:
            # One line while it changes by itself: what is below must not slide under the pointer.
            style = ONE_LINE if view.active else ""
            st.markdown(
                f"<span style='{style}'><span style='color:{colour_of(position)}'>●</span> **{plain(view.title)}** "
                f"{icon} {_says(view)}</span>",
                unsafe_allow_html=True,
            )
            if view.folder is not None:  # also when it has ended: what is below stays where it is
                st.progress(view.share, text=_progress_words(view) if view.active else _ended_words(view))
        with right, st.container(horizontal=True, horizontal_alignment="right", gap="small"):
            _buttons(view, clone)
        if state.cause and not view.active:
            _reason(view)
        if view.damaged:
            st.warning(
                f"{view.damaged:,} of the lines of its metrics.jsonl are damaged and left out: its curves have gaps. "
                "Clone it to train the same again.",
                icon=":material/broken_image:",
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


def _says(view: RunView) -> str:
    """The state of a run in a sentence."""
    state = view.state
    parts: list[str] = ["bundled model, read-only" if view.folder is None else plain(view.status)]
    if state.device and view.folder is not None:
        settled = read_precision(view.folder)
        parts.append(f"on {plain(state.device)}" + (f" in {plain(settled.precision)}" if settled else ""))
    if view.best is not None:
        of = f" of {view.val_count:,} images" if view.val_count else ""
        parts.append(f"best validation accuracy {view.best:.1%}{of}")
    if view.test is not None:
        of = f" of {view.test_count:,} images" if view.test_count else ""
        parts.append(f"test {view.test[0]:.1%}{of} (95 % interval {view.test[1]:.1%} to {view.test[2]:.1%})")
    return " · ".join(parts)


def _progress_words(view: RunView) -> str:
    state = view.state
    if state.status == "queued":
        return f"waiting for {plain(view.spec.device) if view.spec else 'a device'}; older runs go first"
    words_ = [f"step {state.step:,} of {state.steps:,}"] if state.steps else []
    words_ += [plain(state.text)] if state.text else []
    words_ += [f"about {roughly(view.eta)} left"] if view.eta is not None else []
    return " · ".join(words_) or "starting"


def _ended_words(view: RunView) -> str:
    """How far a run that does no more came."""
    state = view.state
    return f"{plain(state.status)} at step {state.step:,} of {state.steps:,}" if state.steps else plain(state.status)


def _reason(view: RunView) -> None:
    """Why a run ended, what to do about it, and the traceback for whoever mends the code."""
    show = st.error if view.state.status == "failed" else st.info
    show(f"{plain(view.state.cause)} {plain(view.state.remedy)}".strip())
    if view.state.traceback:
        with st.expander("Traceback"):
            st.code(view.state.traceback, language="text", height=240)


def _buttons(view: RunView, clone: Callable[[RunView], None]) -> None:
    folder, safe = view.folder, _safe(view.key)
    button = partial(st.button, type="tertiary")
    if view.model:
        _open_button("attention", "Attention", "visibility", view)
        _open_button("anatomy", "Anatomy", "account_tree", view)
        _open_button("embeddings", "Embeddings", "scatter_plot", view, picker="encoder")
    if folder is not None and view.active:
        asked = view.status == "stopping"
        stop_help = "It saves its checkpoint first; Resume continues from there with the same numbers."
        label = "Stopping …" if asked else "Stop"
        if st.button(label, icon=":material/stop:", key=f"stop-{safe}", disabled=asked, help=stop_help):
            _act(request_stop, folder)
            st.rerun()
    resumable = view.spec is not None and view.state.status in RESUMABLE
    if folder is not None and resumable and st.button("Resume", icon=":material/play_arrow:", key=f"resume-{safe}"):
        _act(resume, folder)
        st.rerun()
    clone_help = "Open Train with these settings."
    if view.recipe == "sweep":
        # Train has no form for a search space; the view of sweeps begins new ones.
        if button("Its trials", icon=":material/tune:", key=f"sweep-{safe}", help="Open it under Sweeps."):
            remember("study", str(view.settings.get("study") or view.title))
            st.session_state["sweeps-wanted"] = True
            st.rerun()
    elif view.recipe and button("Clone", icon=":material/content_copy:", key=f"clone-{safe}", help=clone_help):
        clone(view)
    if folder is not None and not view.active:
        with st.popover("Delete", icon=":material/delete:", key=f"delete-{safe}", type="tertiary"):
            st.markdown(f"Delete **{plain(view.title)}** with its model, checkpoint and curves?")
            if st.button("Delete for good", type="primary", key=f"really-{safe}"):
                _act(delete, folder)
                _forget(view.key)
                st.rerun()


def _act(action: Callable[[RunFolder], Any], folder: RunFolder) -> None:
    """Do it and look again; a run that ended or vanished meanwhile costs a sentence."""
    try:
        action(folder)
    except CoreError as error:
        st.session_state["runs-note"] = f"{error.cause} {error.remedy}".strip()


def _forget(key: str) -> None:
    """Show the others that were chosen, or what is shown on arrival."""
    others = [each for each in st.session_state.get(CHOSEN, "").split(",") if each not in ("", key)]
    if others:
        choose(others)
    else:
        st.session_state.pop(CHOSEN, None)
        st.query_params.pop(CHOSEN, None)


def _open_button(page: str, label: str, icon: str, view: RunView, *, picker: str = "model") -> None:
    """Go to a page with the run's model; `picker` is what that page calls its model."""
    key = f"open-{page}-{_safe(view.key)}"
    if st.button(label, icon=f":material/{icon}:", key=key, help=f"Open in {label}.", type="tertiary"):
        remember(picker, view.model)
        st.switch_page(page_path(page))


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
    for view in views:
        st.code(view.command, language="bash", wrap_lines=True)


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
        _chart(plot_metric(curves, name, x=x, smoothing=st.session_state.get("smoothing", 0.0)), "metric")


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


def _safe(key: str) -> str:
    """For keys of widgets and containers."""
    return hashlib.sha256(key.encode()).hexdigest()[:10]
