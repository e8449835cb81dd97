"""Sweeps on the Runs page: what was tried, what matters, what was best; and beginning another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from core.errors import CoreError
from core.experiments.space import usual_space
from core.figures.sweep import (
    plot_epochs,
    plot_history,
    plot_importance,
    plot_parallel,
    plot_slices,
    short_name,
)
from core.figures.theme import Figure
from core.intervals import wilson_interval
from core.launch.queue import submit
from core.launch.recipes import RECIPES
from core.launch.sweep import Config, attach, sweepable
from core.paths import runs_root
from core.runs.status import read_state
from core.runs.store import RunFolder, RunSpec, create_run, list_runs
from core.runs.studies import (
    Importance,
    Provenance,
    StudySummary,
    StudyTrial,
    TrialStatus,
    bundled_studies,
    journal_file,
    list_studies,
    parameter_importance,
    read_study,
    short_value,
)
from pages.shared.address import remember, remembered
from pages.shared.amounts import amount_input
from pages.shared.charts import show_chart
from pages.shared.errors import guard, show_error
from pages.shared.foreign import plain
from pages.shared.layout import command_block, command_details
from pages.shared.once import once
from pages.shared.results import shared
from pages.shared.train_address import open_settings

EVERY = "3s"
ICONS: dict[TrialStatus, str] = {"finished": "✔", "pruned": "✂", "failed": "✖", "running": "▶", "stopped": "■"}
# Plotly draws the axes of parallel coordinates in black and has no setting for that.
AXES_ON_DARK_PAGES = "<style>.parcoords .domain { stroke: #8A8F98 !important; stroke-opacity: 0.7 }</style>"
TRIALS_VIEWS = {"parallel": "Parallel coordinates", "slices": "One by one", "epochs": "Epoch by epoch"}


def sweep_panel(show_runs: Callable[[list[str]], None]) -> None:
    """Everything about sweeps; `show_runs` is called to look at runs of these names."""
    own, bundled = list_studies(), bundled_studies()
    names = [*own, *bundled]
    bar = st.columns([5, 2], vertical_alignment="bottom")
    with bar[1], st.popover("Begin a sweep", icon=":material/tune:", width="stretch", key="begin_sweep"):
        _begin(set(own))
    if not names:
        st.info(
            "No sweep was begun on this machine yet. A sweep tries settings of a recipe in many short trainings and "
            "stops those that fall behind.",
            icon=":material/tune:",
        )
        command_block("python -m core sweep vit_scratch --name first --trials 20")
        return
    with bar[0]:
        # Which study is the newest changes, so the address names it always, and may name one that is gone.
        name = remembered("study", names[0])
        name = name if name in names else names[0]
        st.session_state["study_choice"] = name
        st.selectbox(
            "Study", names, key="study_choice", on_change=_choose_study,
            format_func=lambda name: f"{name} · comes with Vitrine" if name in bundled else name,
        )  # fmt: skip
    with guard():
        st.session_state["study_polls"] = _is_active(read_study(name))
        every = EVERY if st.session_state["study_polls"] else None
        st.fragment(partial(_study, name, show_runs), run_every=every, key="study_view")()


def _choose_study() -> None:
    remember("study", st.session_state["study_choice"])


def _study(name: str, show_runs: Callable[[list[str]], None]) -> None:
    """One study, read anew each time."""
    with guard():
        summary = read_study(name)
        if not _is_active(summary) and st.session_state.get("study_polls"):
            st.session_state["study_polls"] = False
            st.rerun()  # nobody works on it any more: the page is drawn once without the timer
        st.markdown(_headline(summary))
        source = bundled_studies().get(name)
        if source is not None:
            _where_made(summary, source)
        st.progress(min(1.0, summary.done / max(1, summary.budget)), text=_what_is_going_on(summary))
        if not any(trial.value is not None for trial in summary.trials):
            st.info("No epoch of any trial has ended yet: the pictures begin with the first.", icon=":material/tune:")
            _reasons(summary)
            return
        left, right = st.columns([3, 2], gap="medium")
        with left:
            st.markdown("**What was reached, trial by trial**")
            _chart(plot_history(summary), "history", f"{_score(summary)} of every trial, with the best so far.")
        with right:
            st.markdown("**Which settings matter**")
            _importance(summary)
        _best(summary)
        _trials(summary, show_runs, elsewhere=source is not None)
        if source is not None:
            with command_details("study_command", "Command that made it") as is_open:
                if is_open:
                    command_block(source.command)


def _is_active(summary: StudySummary) -> bool:
    """Whether somebody works on the study, or is about to."""
    folder = RunFolder(runs_root() / summary.name)
    own = folder.spec.is_file() and read_state(folder).status in ("queued", "running")
    return own or bool(summary.having("running"))


def _score(summary: StudySummary) -> str:
    """What trials are compared by, at the beginning of a sentence."""
    return summary.score_words[0].upper() + summary.score_words[1:]


def _reached(summary: StudySummary, value: float) -> str:
    """What a value means, as the end of a sentence."""
    if summary.score == "val_accuracy":
        return f"is right on **{value:.1%}** of the validation images"
    return f"reaches a {plain(summary.score_words)} of **{plain(summary.say(value))}**"


def _headline(summary: StudySummary) -> str:
    title = RECIPES[summary.recipe].title if summary.recipe in RECIPES else summary.recipe
    best = summary.best
    reached = (
        f"The best of {len(summary.having('finished'))} finished trials {_reached(summary, best.value)} "
        f"(trial {best.number:d})."
        if best is not None and best.value is not None
        else "No trial has finished yet."
    )
    images = f"{summary.max_images:,} images" if summary.max_images else "all images"
    epochs = _count(summary.epochs, "epoch")
    return f"#### {reached}\n{plain(title)}, {epochs} on {images} a trial. The test split is not read."


def _what_is_going_on(summary: StudySummary) -> str:
    statuses: tuple[TrialStatus, ...] = ("finished", "pruned", "failed", "running", "stopped")
    counts = [f"{len(found)} {status}" for status in statuses if (found := summary.having(status))]
    return f"{summary.done:,} of {summary.budget:,} trials: {', '.join(counts) or 'none begun'}"


def _where_made(summary: StudySummary, source: Provenance) -> None:
    """Of a study that comes with Vitrine: that nothing of it was computed here, on what, and how sure its best is."""
    st.caption(f"Made with Vitrine on {plain(source.date)}, not on this machine, with {plain(source.data)}.")
    if summary.best is not None and summary.best.value is not None:
        low, high = wilson_interval(round(summary.best.value * source.val_count), source.val_count)
        st.caption(
            f"The best one's 95 % interval over {source.val_count:,} validation images is {low:.1%} to {high:.1%}; as "
            "the best of many, it flatters."
        )


def _importance(summary: StudySummary) -> None:
    finished = tuple(trial.number for trial in summary.having("finished"))
    importance = _importance_of(summary.name, str(journal_file(summary.name)), finished)
    if importance.missing:
        st.info(importance.missing, icon=":material/query_stats:")
        return
    _chart(plot_importance(importance, height=320), "importance", "Share of the variance that each setting explains.")
    st.caption(
        f"{importance.method}: how much each setting explains by itself, of what single settings explain together. "
        "With few trials it is no more than a hint."
    )


@shared("Fitting a forest to the trials …")
def _importance_of(name: str, journal: str, finished: tuple[int, ...]) -> Importance:
    """Computed again when another trial has finished."""
    return parameter_importance(name)


def _best(summary: StudySummary) -> None:
    """The best configuration: what it is, and what to do with it."""
    best = summary.best
    if best is None:
        return
    with st.container(border=True):
        left, right = st.columns([3, 2], gap="medium", vertical_alignment="center")
        with left:
            st.markdown(
                f":material/star: **Best configuration** · trial {best.number:d}, "
                f"{plain(summary.say(best.value or 0.0))}"
            )
            words = [f"{plain(short_name(key))} **{plain(short_value(value))}**" for key, value in best.params.items()]
            st.markdown(" ".join(f":gray-badge[{each}]" for each in words))
        with right:
            if st.button(
                "Train this with more epochs", type="primary", icon=":material/model_training:", key="train_best",
                width="stretch", help="Opens Train with these settings, all images and the recipe's usual epochs.",
            ):  # fmt: skip
                open_settings(summary.recipe, summary.overrides(best))
        command_block(summary.command(best))


def _trials(summary: StudySummary, show_runs: Callable[[list[str]], None], *, elsewhere: bool) -> None:
    """All trials, as one picture of three and as a table; `elsewhere`: their runs are on another machine."""
    view = st.segmented_control(
        "Trials",
        list(TRIALS_VIEWS),
        format_func=TRIALS_VIEWS.__getitem__,
        default="parallel",
        required=True,
        key="trials_view",
    )
    if view == "parallel" and len(summary.having("finished")) > 1:
        alt = f"Every finished trial as a line through its settings to its {summary.score_words}."
        st.html(AXES_ON_DARK_PAGES)
        _chart(plot_parallel(summary), "parallel", alt)
        st.caption("Finished trials. Drag along an axis to keep only a range of it; drag a name to move its axis.")
    elif view == "slices":
        _chart(plot_slices(summary), "slices", f"{_score(summary)} against each setting.")
        st.caption("Pruned trials (×) stand at the last value they had, after fewer epochs than the others.")
    elif view == "epochs":
        _chart(plot_epochs(summary), "epochs", f"{_score(summary)} of every trial, epoch by epoch.")
        st.caption("A pruned trial ends with ×: it was below the median of the finished ones at that epoch.")
    else:
        st.info("Lines through all settings need two finished trials.", icon=":material/show_chart:")
    chosen = _table(summary, elsewhere=elsewhere)
    label = f"Show {_count(len(chosen), 'run')}" if chosen else "Tick trials to see their runs"
    if not elsewhere and st.button(label, icon=":material/monitoring:", disabled=not chosen, key="show_trial_runs"):
        show_runs(chosen)
    _reasons(summary)


def _table(summary: StudySummary, *, elsewhere: bool) -> list[str]:
    """The trials, best first among the finished; the runs of those that are ticked, unless they are `elsewhere`."""
    order = sorted(
        summary.trials, key=lambda trial: (trial.status != "finished", trial.value is None, -(trial.value or 0.0))
    )
    name = summary.score.replace("_", " ")
    rows = pd.DataFrame([_row(trial, name) for trial in order])
    look: dict[str, Any] = {
        "hide_index": True,
        "width": "stretch",
        "height": min(38 + 35 * len(rows), 360),
        "placeholder": "",
        "column_config": {
            name: st.column_config.NumberColumn(format="percent" if summary.is_share else "%.5g"),
            "minutes": st.column_config.NumberColumn(format="%.1f"),
            **{name: st.column_config.NumberColumn(format="%.3g") for name in _float_settings(summary)},
        },
        "key": f"trials-{summary.name}-{len(rows)}",
        "alt": f"All trials with status, {summary.score_words} and settings.",
    }
    if elsewhere:
        st.dataframe(rows.drop(columns=["run", "minutes"]), **look)
        return []
    event = st.dataframe(rows, **look, on_select="rerun", selection_mode="multi-row")
    numbers = event["selection"]["rows"]
    return [order[number].run for number in numbers if number < len(order) and order[number].run]


def _row(trial: StudyTrial, score: str) -> dict[str, Any]:
    settings = {short_name(key): value for key, value in trial.params.items()}
    minutes = trial.seconds / 60 if trial.seconds is not None else None
    return {
        "trial": trial.number, "status": f"{ICONS[trial.status]} {trial.status}", score: trial.value,
        "epochs": len(trial.epochs), **settings, "minutes": minutes, "run": trial.run,
    }  # fmt: skip


def _float_settings(summary: StudySummary) -> set[str]:
    trials = summary.trials
    return {short_name(key) for trial in trials for key, value in trial.params.items() if isinstance(value, float)}


def _reasons(summary: StudySummary) -> None:
    """Why trials failed or were pruned, where any was."""
    ended = [trial for trial in summary.having("failed", "pruned") if trial.reason]
    if ended:
        with st.expander(f"Why {_count(len(ended), 'trial')} ended early"):
            said = [f"- **trial {trial.number:d}** {plain(trial.status)}: {plain(trial.reason)}" for trial in ended]
            st.markdown("\n".join(said))


def _begin(taken: set[str]) -> None:
    """The form that begins a sweep as a background run."""
    recipes = sweepable()
    if not recipes:
        st.info("No recipe on this machine can be swept.")
        return
    runs = {run.name for run in list_runs()}
    suggestion = next(f"sweep-{number}" for number in range(1, 10_000) if f"sweep-{number}" not in taken | runs)
    left, right = st.columns(2)
    name = left.text_input("Name", suggestion, key=f"sweep_name_{suggestion}").strip()
    recipe = right.selectbox("Recipe", list(recipes), format_func=lambda key: recipes[key].title, key="sweep_recipe")
    columns = st.columns(3)
    trials = columns[0].number_input("Trials", 1, 10_000, 20, key="sweep_trials")
    epochs = columns[1].number_input("Epochs a trial", 1, 2000, 3, key="sweep_epochs")
    with columns[2]:
        images = amount_input("Training images", 5000, "all images", key="sweep_images", most=10_000_000, step=1000)
    space = st.text_area(
        "What is varied, a line each",
        "\n".join(usual_space(recipes[recipe].config())),
        height=230,
        key=f"sweep_space_{recipe}",
        help="model.depth=int:2..8 · training.learning_rate=log:1e-4..3e-3 · model.patch_size=choice:4,8",
    )
    base = st.text_area(
        "The same for all trials, a key=value a line", "", height=80, key="sweep_base", placeholder="dataset=cifar10"
    )
    prune = st.toggle("Stop trials that fall below the median", True, key="sweep_prune")
    if st.button("Begin", type="primary", icon=":material/rocket_launch:", key="sweep_begin"):

        def act() -> str:
            config = Config(
                recipe=recipe,
                base=_lines(base),
                space=_lines(space),
                trials=int(trials),
                epochs=int(epochs),
                max_images=images,
                pruner="median" if prune else "none",
            )
            if name in taken:
                raise CoreError(f"There is a study named {name!r} already.", "Choose another name.")
            journal_file(name)
            folder = create_run(name, RunSpec.of("sweep", config))
            attach(config, name)  # so that it is listed before its worker has started
            submit(folder)
            return name

        try:
            begun = once("sweep", act)
        except CoreError as error:
            show_error(error)
            return
        remember("study", begun)
        st.rerun()


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _chart(figure: Figure, name: str, alt: str) -> None:
    show_chart(figure, key=f"sweep-{name}", alt=alt)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
