"""One run in one line of the Runs page, with its buttons."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from core.errors import CoreError
from core.experiments.run_precision import read_precision
from core.figures.curves import colour_of
from core.launch.control import delete, request_stop, resume
from core.reports import roughly
from core.runs.status import RESUMABLE, Status
from core.runs.store import RunFolder
from pages.shared.address import remember
from pages.shared.foreign import plain
from pages.shared.layout import go_to
from pages.shared.once import once
from pages.shared.run_views import RunView

ICONS: dict[Status, tuple[str, str]] = {
    "queued": ("◌", ":material/hourglass_empty:"),
    "running": ("▶", ":material/play_circle:"),
    "stopped": ("■", ":material/stop_circle:"),
    "finished": ("✔", ":material/check_circle:"),
    "failed": ("✖", ":material/error:"),
    "interrupted": ("⚠", ":material/heart_broken:"),
}
ONE_LINE = "display:block;overflow:hidden;white-space:nowrap;text-overflow:ellipsis"


def strip(view: RunView, position: int, *, clone: Callable[[RunView], None], forget: Callable[[str], None]) -> None:
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
            _buttons(view, clone, forget)
        if state.cause and not view.active:
            _reason(view)
        if view.damaged:
            st.warning(
                f"{view.damaged:,} of the lines of its metrics.jsonl are damaged and left out: its curves have gaps. "
                "Clone it to train the same again.",
                icon=":material/broken_image:",
            )


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


def _buttons(view: RunView, clone: Callable[[RunView], None], forget: Callable[[str], None]) -> None:
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
        _act(lambda run: once(f"resume-{safe}-{view.state.ended}", partial(resume, run)), folder)
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
                # Not the other way round: a second click would end this before it is forgotten.
                forget(view.key)
                _act(delete, folder)
                st.rerun()


def _act(action: Callable[[RunFolder], Any], folder: RunFolder) -> None:
    """Do it and look again; a run that ended or vanished meanwhile costs a sentence."""
    try:
        action(folder)
    except CoreError as error:
        st.session_state["runs-note"] = f"{error.cause} {error.remedy}".strip()


def _open_button(page: str, label: str, icon: str, view: RunView, *, picker: str = "model") -> None:
    """Go to a page with the run's model; `picker` is what that page calls its model."""
    key = f"open-{page}-{_safe(view.key)}"
    if st.button(label, icon=f":material/{icon}:", key=key, help=f"Open in {label}.", type="tertiary"):
        remember(picker, view.model)
        go_to(page)


def _safe(key: str) -> str:
    """For keys of widgets and containers."""
    return hashlib.sha256(key.encode()).hexdigest()[:10]
