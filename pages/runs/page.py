"""A cockpit for training runs: what is running, how far, how good, and what to do about it."""

from __future__ import annotations

import streamlit as st

from core.launch.queue import advance
from pages.runs.accuracy_panel import accuracy_export, accuracy_panel
from pages.runs.run_details import details
from pages.runs.run_panel import (
    choose,
    chosen_keys,
    curve_panel,
    export_figures,
    forget,
    metrics_table,
    missing_sentence,
    runs_table,
    views_for,
)
from pages.runs.run_strip import strip
from pages.runs.sweep_panel import sweep_panel
from pages.shared.errors import PageEnd, guard
from pages.shared.export import Export, export_popover
from pages.shared.foreign import plain
from pages.shared.layout import heading, page_link, teaching_cards
from pages.shared.recipes import filled_recipe
from pages.shared.run_views import RunView
from pages.shared.train_address import open_train

EVERY = "2s"


def current() -> tuple[list[RunView], list[RunView]]:
    """All runs that are listed, and those that are chosen, in the order of choice."""
    views = views_for(trials=st.session_state.get("trials", False))
    keys = chosen_keys(views)
    hidden = [key for key in keys if key not in {view.key for view in views}]
    if hidden:  # a trial of a sweep that the address names
        views = [view for view in views_for(trials=True) if view in views or view.key in hidden]
    by_key = {view.key: view for view in views}
    return views, [by_key[key] for key in keys if key in by_key]


def clone(view: RunView) -> None:
    """Open Train with the settings of a run."""
    open_train(view)


def cockpit() -> None:
    """Everything that lives: curves first, what each run does, and the table to choose from."""
    with guard():
        advance()  # also writes down which runs died
    views, chosen = current()
    if st.session_state.get("runs-polls") and not any(view.active for view in views):
        st.session_state["runs-polls"] = False
        st.rerun()  # nothing runs any more: the page is drawn once without the timer
    if gone := missing_sentence(chosen_keys(views), views):
        st.warning(plain(gone, 1000), icon=":material/search_off:")
    if note := st.session_state.pop("runs-note", ""):
        st.toast(plain(note, 1000), icon=":material/info:")
    if not chosen:
        st.info("Tick runs in the table to see their curves.", icon=":material/check_box:")
    else:
        curve_panel(chosen)
        for position, view in enumerate(chosen):
            strip(view, position, clone=clone, forget=forget)
    runs_table(views, [view.key for view in chosen])
    if chosen:
        details(chosen)


def show_runs(names: list[str]) -> None:
    """Leave the sweeps and look at these runs."""
    choose(names)
    st.session_state["runs-wanted"] = True
    st.rerun()


def make_export() -> Export:
    _, chosen = current()
    return Export(
        stem="runs",
        recipe=filled_recipe("runs", commands={view.key: view.command for view in chosen}),
        figures=export_figures(chosen),
        table=metrics_table(chosen),
        facts={view.title: {"command": view.command, **view.settings} for view in chosen},
    )


heading("Runs", "Is it learning, and when is it done?")
for wanted, view_name in (("runs-wanted", "Runs"), ("sweeps-wanted", "Sweeps")):
    if st.session_state.pop(wanted, False):
        st.session_state["show"] = view_name  # a widget's value can be set only before it is drawn
bar = st.columns([6, 2, 2], vertical_alignment="center")
show = bar[0].segmented_control(
    "Show", ["Runs", "Sweeps", "Accuracy"], default="Runs", required=True, key="show", bind="query-params",
    label_visibility="collapsed",
)  # fmt: skip
if show == "Sweeps":
    sweep_panel(show_runs)
    teaching_cards("runs", "sweeps")
    raise PageEnd
if show == "Accuracy":
    with bar[2]:
        export_popover(accuracy_export, key="export")
    with guard():
        accuracy_panel()
    teaching_cards("runs", "accuracy")
    raise PageEnd
with bar[0]:
    if not any(view.folder for view in views_for(trials=True)):
        st.markdown("Nothing was trained on this machine yet; these are the bundled models' own trainings.")
        page_link("train", "Train your own", "model_training")
bar[1].toggle("Trials of sweeps", key="trials", help="Every trial of a sweep is a run; they are many.")
with bar[2]:
    export_popover(make_export, key="export")
active = any(view.active for view in views_for(trials=True))
st.session_state["runs-polls"] = active
# A timer only while something runs: a page that nobody feeds must not keep asking.
st.fragment(cockpit, run_every=EVERY if active else None)()
teaching_cards("runs")
