"""Evaluations of one recipe as runs: launched from a page, followed while they work, their results chosen among."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from core.errors import CoreError
from core.experiments.evaluation import RESULT, Evaluation, read_evaluation
from core.launch.control import request_stop, resume
from core.launch.queue import advance, submit
from core.reports import roughly
from core.runs.status import RESUMABLE, read_state, status_word
from core.runs.store import RunFolder, RunSpec, create_run, list_runs
from core.shares import share_of
from pages.shared.address import remember, remembered
from pages.shared.errors import guard
from pages.shared.foreign import plain
from pages.shared.launch_panel import suggested_name
from pages.shared.layout import command_block, command_details
from pages.shared.once import once
from pages.shared.run_views import age, seconds_of

EVERY = "1s"
MOST_LISTED = 50


@dataclass(frozen=True, kw_only=True)
class EvaluationRuns:
    """The runs of one recipe and what a page remembers about them.

    Attributes:
        key: of the address, where it names the run that is shown; the widgets' keys begin with it.
        headline: a result in words; one that it cannot be made of is damaged.
        left_out: columns of a result that no page shows.
    """

    recipe: str
    key: str
    headline: Callable[[Evaluation], str]
    left_out: tuple[str, ...] = ()

    def runs(self) -> list[RunFolder]:
        """Every run of the recipe on this machine, the newest first."""
        found = []
        for folder in list_runs():
            try:
                spec = folder.read_spec()
            except CoreError:
                continue
            if spec.recipe == self.recipe:
                found.append((spec.created, folder))
        return [folder for _, folder in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def finished(self) -> list[RunFolder]:
        """Those that have a result."""
        return [run for run in self.runs() if (run.path / RESULT).is_file()]

    def read(self, run: RunFolder) -> Evaluation:
        """The result of a run, kept in memory while its file is the same.

        Raises:
            CoreError: there is none, or it is damaged.
        """
        try:
            stamp = (run.path / RESULT).stat().st_mtime_ns
        except OSError as error:
            raise CoreError(f"The run {run.name!r} has no result.", "Evaluate again.") from error
        return _read(run.name, stamp, self.left_out, run, self.headline)

    def launch(self, config: Any, model: str, dataset: str) -> None:
        """The button and the command line of the same run; `config` is None where it is impossible."""
        name = free_name(model, dataset)
        pressed = st.button(
            "Evaluate", type="primary", icon=":material/play_arrow:", disabled=config is None, width="stretch",
            key="evaluate",
        )  # fmt: skip
        if config is None:
            return

        def act() -> str:
            submit(create_run(name, RunSpec.of(self.recipe, config)))
            return name

        if pressed:
            remember(self.key, once(f"evaluate-{self.key}", act))
            st.rerun()
        with command_details(f"{self.key}_command") as is_open:
            if is_open:
                command_block(RunSpec.of(self.recipe, config).command(name))

    def progress(self) -> None:
        """What runs, waits or ended badly; asks again every second while something runs."""
        active = [run for run in self.runs() if read_state(run).status in ("queued", "running")]
        st.session_state[f"{self.key}_poll"] = bool(active)
        st.fragment(self._progress, run_every=EVERY if active else None)()

    def _progress(self) -> None:
        with guard():
            advance()
        states = [(run, read_state(run)) for run in self.runs()]
        active = [(run, state) for run, state in states if state.status in ("queued", "running")]
        if st.session_state.get(f"{self.key}_poll") != bool(active):
            st.rerun()  # the last one ended, or one was started elsewhere: the results below are others now
        for run, state in active:
            left, right = st.columns([6, 1], vertical_alignment="center")
            share = min(1.0, state.step / state.steps) if state.steps else 0.0
            waiting = "waiting for a device; older runs go first" if state.status == "queued" else "starting"
            stopping = status_word(run, state) == "stopping"
            text = "stopping" if stopping else plain(state.text) or waiting
            if state.seconds_per_step and state.steps:
                text += f" · about {roughly((state.steps - state.step) * state.seconds_per_step)} left"
            left.progress(share, text=f"**{plain(run.name)}** · {text}")
            if right.button("Stop", key=f"stop_{run.name}", disabled=stopping, icon=":material/stop:"):
                request_stop(run)
                st.rerun(scope="fragment")
        wanted = st.session_state.get(self.key)
        for run, state in states:
            if run.name == wanted and state.status in RESUMABLE:
                show = st.error if state.status == "failed" else st.info
                show(f"{plain(run.name)} {state.status}. {plain(state.cause)} {plain(state.remedy)}")
                if st.button("Resume", key=f"resume_{run.name}", icon=":material/play_arrow:"):
                    with guard():
                        once(f"resume-{run.name}-{state.ended}", partial(resume, run))
                        st.rerun()

    def choose(self, finished: Sequence[RunFolder]) -> RunFolder:
        """Which of the results to show: the one of the address, else the newest."""
        names = [run.name for run in finished[:MOST_LISTED]]
        wanted = remembered(self.key, names[0])
        if wanted not in {run.name for run in self.runs()}:
            st.warning(
                f"There is no result named “{plain(wanted)}” on this machine: deleted meanwhile, or the address is "
                "from another one. The newest is shown.",
                icon=":material/search_off:",
            )
        rows = {run.name: self._listed(run) for run in finished[:MOST_LISTED]}
        widget = f"{self.key}_choice"
        st.session_state[widget] = wanted if wanted in names else names[0]
        shown = st.selectbox(
            f"Results ({len(finished)})",
            names,
            format_func=rows.__getitem__,
            key=widget,
            on_change=lambda: remember(self.key, st.session_state[widget]),
        )
        return next(run for run in finished if run.name == shown)

    def shown(self) -> RunFolder:
        """The result that is on the page.

        Raises:
            CoreError: there is none.
        """
        name = st.session_state.get(f"{self.key}_choice")
        run = next((run for run in self.finished() if run.name == name), None)
        if run is None:
            raise CoreError("There is no result to export yet.", "Evaluate a data set first.")
        return run

    def _listed(self, run: RunFolder) -> str:
        try:
            found = self.read(run)
            right, summary = found.accuracy, found.summary
            images = f"{summary['dataset_title']} ({summary['split']})"
            line = f"{share_of(right.correct, right.count, digits=1)} · {summary['model_title']} · {images}"
            return f"{line} · {age(seconds_of(run.read_spec().created))} · {run.name}"
        except CoreError:
            return f"{run.name}: damaged"


@st.cache_resource(max_entries=16, show_spinner=False)
def _read(
    name: str, stamp: int, left_out: tuple[str, ...], _run: RunFolder, _headline: Callable[[Evaluation], str]
) -> Evaluation:
    found = read_evaluation(_run, left_out)
    try:
        _headline(found)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise CoreError(f"The result of {name!r} cannot be read ({error}).", "Evaluate again.") from error
    return found


def free_name(model: str, dataset: str) -> str:
    """A free name that says which model and which data."""
    model = model.rpartition("/")[2].rpartition(":")[2]
    stem = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in f"{model}-{dataset}")
    return suggested_name(stem.strip("-")[:60] or "evaluation", None)
