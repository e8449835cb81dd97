"""A model of images and texts on a whole data set: launched here, run in the background, read from its folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.data.catalogue import installed_datasets
from core.data.prompts import STRATEGIES, join_labels, parse_labels, parse_templates
from core.errors import CoreError
from core.experiments.zero_shot import RESULT, Config, choose_labels
from core.figures.confusion import MOST_CLASSES, plot_compared_accuracies
from core.methods.confusion import most_confused, surest_errors
from core.reports import roughly
from core.runs.control import request_stop, resume
from core.runs.queue import advance, submit
from core.runs.status import RESUMABLE, read_state
from core.runs.store import RunFolder, RunSpec, create_run
from core.ui.address import remember, remembered
from core.ui.cache import loaded_model
from core.ui.errors import guard
from core.ui.evaluation_views import (
    Evaluation,
    card_accuracies,
    comparison_figures,
    error_picture,
    evaluation_figures,
    evaluation_runs,
    evaluation_table,
    headline,
    read_evaluation,
)
from core.ui.export import Export
from core.ui.forms import dataset_import
from core.ui.launch_panel import suggested_name
from core.ui.layout import page_link
from core.ui.recipes import evaluation_recipe
from core.ui.run_views import age
from core.ui.zero_shot_panel import plain

CHOSEN = "evaluation"  # of the address: the run that is shown
EVERY = "1s"
GALLERY = 12
ACROSS = 6
MOST_LISTED = 50
CHOOSE = "choose"


def evaluation_panel(name: str) -> None:
    """The form, what runs now, and a result: the newest, or the one of the address."""
    form, stage = st.columns([4, 9], gap="large")
    with form, guard():
        _form(name)
    with stage:
        runs = evaluation_runs()
        active = [run for run in runs if read_state(run).status in ("queued", "running")]
        st.session_state["evaluations_poll"] = bool(active)
        st.fragment(_progress, run_every=EVERY if active else None)()
        finished = [run for run in runs if (run.path / RESULT).is_file()]
        with guard():
            if not finished:
                _nothing_yet(name)
            else:
                _results(finished)


def _form(name: str) -> None:
    """What to evaluate on, and the button."""
    st.markdown(f"**{loaded_model(name).spec.title}** names every image of a data set, untrained.")
    installed = installed_datasets()
    if not installed:
        st.info("No data set is on this machine yet.", icon=":material/database_off:")
    else:
        config = _config(name, installed)
        run_name = suggested_name("zero-shot", None) if config is None else _suggested(config)
        launch = st.button(
            "Evaluate", type="primary", icon=":material/play_arrow:", disabled=config is None, width="stretch",
            key="evaluate",
        )  # fmt: skip
        if launch and config is not None and not _clicked_twice():
            submit(create_run(run_name, RunSpec.of("zero_shot", config)))
            st.session_state["evaluation_launched"] = (run_name, time.monotonic())
            remember(CHOSEN, run_name)
            st.rerun()
        if config is not None:
            with st.expander("The same without this page", icon=":material/terminal:"):
                command = RunSpec.of("zero_shot", config).command(run_name)
                st.code(command, language="bash", wrap_lines=True)
    with st.popover("Import a data set", icon=":material/upload:", type="tertiary"):
        dataset_import("my_images", "evaluation-import")


def _config(name: str, installed: dict[str, Any]) -> Config | None:
    """The config that the widgets make, or None beside a sentence."""
    names = list(installed)
    data = st.selectbox(
        "Data set",
        names,
        index=names.index("cifar10") if "cifar10" in names else 0,
        format_func=lambda each: installed[each]["title"],
        key="evaluation_data",
    )
    info = installed[data]
    splits = list(info["splits"])
    usual = next(([split] for split in ("test", "val") if split in splits), splits)
    chosen = st.multiselect("Test on", splits, default=usual, key=f"evaluation_splits_{data}")
    choices = [CHOOSE, *STRATEGIES]
    strategy = st.selectbox(
        "Prompts",
        choices,
        format_func=lambda each: STRATEGIES[each].title if each != CHOOSE else "Best on validation images",
        key="evaluation_strategy",
        help="Best on validation images: all strategies are compared on images that are not tested on.",
    )
    labels, templates, domain = "", "", ""
    with st.expander("Labels and prompts", icon=":material/tune:"):
        labels = st.text_area(
            f"{len(info['classes'])} labels, one for each class in this order",
            value="\n".join(join_labels([label]) for label in choose_labels((), info)),
            key=f"evaluation_labels_{data}",
            height=180,
        )
        if strategy in (CHOOSE, "domain"):
            domain = st.text_input("Kind of things (domain prompts)", key="evaluation_domain", placeholder="object")
        if strategy in (CHOOSE, "custom"):
            templates = st.text_area(
                "Sentences of your own, with {} for the label",
                key="evaluation_templates",
                placeholder="a sketch of a {}.",
            )
    most = sum(info["splits"][split] for split in chosen)
    images = st.number_input(
        "Images of each split", 0, 10_000_000, 0, 500, key="evaluation_images", help="A fixed random part; 0 is all."
    )
    values: dict[str, Any] = {"model": name, "dataset": data, "strategy": strategy}
    with guard():
        if not chosen:
            raise CoreError("No split is chosen.", "Choose at least one to test on.")
        names_given = parse_labels(labels).names if labels.strip() else ()
        config = Config(
            **values,
            test_split="" if chosen == usual else "+".join(chosen),
            templates=parse_templates(templates) if templates.strip() else (),
            domain=domain.strip(),
            labels=() if names_given == choose_labels((), info) else names_given,
            max_images=int(images),
        )
        choose_labels(config.labels, info)
        st.caption(f"{min(most, len(chosen) * int(images)) if images else most:,} images.")
        return config
    return None


def _suggested(config: Config) -> str:
    """A free name that says which model and which data."""
    model = config.model.rpartition("/")[2].rpartition(":")[2]
    stem = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in f"{model}-{config.dataset}")
    return suggested_name(stem.strip("-")[:60] or "zero-shot", None)


def _clicked_twice() -> bool:
    last = st.session_state.get("evaluation_launched")
    return last is not None and time.monotonic() - last[1] < 3


def _progress() -> None:
    """Evaluations that run, wait or ended badly; polls only while something runs."""
    with guard():
        advance()
    runs = evaluation_runs()
    states = [(run, read_state(run)) for run in runs]
    active = [(run, state) for run, state in states if state.status in ("queued", "running")]
    if st.session_state.get("evaluations_poll") != bool(active):
        st.rerun()  # the last one ended, or one was started elsewhere: the results below are others now
    for run, state in active:
        left, right = st.columns([6, 1], vertical_alignment="center")
        share = min(1.0, state.step / state.steps) if state.steps else 0.0
        text = state.text or ("waiting for a device; older runs go first" if state.status == "queued" else "starting")
        if state.seconds_per_step and state.steps:
            text += f" · about {roughly((state.steps - state.step) * state.seconds_per_step)} left"
        left.progress(share, text=f"**{plain(run.name)}** · {text}")
        if right.button("Stop", key=f"stop_{run.name}", disabled=run.stop.exists(), icon=":material/stop:"):
            request_stop(run)
            st.rerun(scope="fragment")
    wanted = st.session_state.get(CHOSEN)
    for run, state in states:
        if run.name == wanted and state.status in RESUMABLE:
            show = st.error if state.status == "failed" else st.info
            show(f"{plain(run.name)} {state.status}. {plain(state.cause)} {plain(state.remedy)}")
            if st.button("Resume", key=f"resume_{run.name}", icon=":material/play_arrow:"):
                with guard():
                    resume(run)
                    st.rerun()


def _nothing_yet(name: str) -> None:
    """What is known before anything was evaluated here: the figures of the model's own card."""
    known = card_accuracies(name)
    if known:
        st.markdown("**What its card says**, measured once when it was trained")
        st.plotly_chart(
            plot_compared_accuracies([title for title, _ in known], [right for _, right in known], chosen=-1),
            width="stretch",
            key="card_accuracies",
            alt="Accuracies from the model's card with their 95 % intervals.",
        )
    st.info(
        "Nothing has been evaluated on this machine yet. Afterwards the images are kept, so that other labels or "
        "prompts on them take seconds.",
        icon=":material/query_stats:",
    )


def _results(finished: Sequence[RunFolder]) -> None:
    """Which results there are, and the chosen one."""
    names = [run.name for run in finished[:MOST_LISTED]]
    wanted = remembered(CHOSEN, names[0])
    if wanted not in {run.name for run in evaluation_runs()}:
        st.warning(
            f"There is no result named “{plain(wanted)}” on this machine: deleted meanwhile, or the address is from "
            "another one. The newest is shown.",
            icon=":material/search_off:",
        )
    rows = {run.name: _listed(run) for run in finished[:MOST_LISTED]}
    st.session_state["evaluation_choice"] = wanted if wanted in names else names[0]
    shown = st.selectbox(
        f"Results ({len(finished)})",
        names,
        format_func=rows.__getitem__,
        key="evaluation_choice",
        on_change=lambda: remember(CHOSEN, st.session_state["evaluation_choice"]),
    )
    show_evaluation(read_evaluation(next(run for run in finished if run.name == shown)))


def _listed(run: RunFolder) -> str:
    """A result in one line."""
    try:
        found = read_evaluation(run)
    except CoreError:
        return f"{run.name}: damaged"
    created = pd.Timestamp(run.read_spec().created).timestamp()
    split = found.summary["test"]["split"]
    return (
        f"{found.accuracy.value:.1%} · {found.summary['model_title']} · {found.summary['dataset_title']} ({split}) · "
        f"{age(created)} · {run.name}"
    )


def show_evaluation(found: Evaluation) -> None:
    """Accuracy, confusion, classes, splits, strategies, errors."""
    summary = found.summary
    st.markdown(f"#### {found.accuracy.sentence()}")
    st.caption(plain(headline(found)))
    figures = evaluation_figures(found)
    left, right = st.columns(2, gap="medium")
    left.plotly_chart(
        figures["confusion"],
        width="stretch",
        key="confusion",
        alt="Confusion matrix: true classes down, what was said across.",
    )
    right.plotly_chart(
        figures["classes"], width="stretch", key="class_accuracies", alt="Accuracy of every class with its interval."
    )
    if len(found.classes) > MOST_CLASSES:
        st.caption(
            f"Of {len(found.classes)} classes, left the {MOST_CLASSES} with the most errors, columns ordered as the "
            f"rows; right the best and the worst {MOST_CLASSES // 2}."
        )
    if len(summary["splits"]) > 1 or summary["compared"]:
        left, right = st.columns(2, gap="medium")
        for place, (title, figure, alt) in zip((left, right), comparison_figures(found), strict=False):
            with place:
                st.markdown(f"**{title}**")
                st.plotly_chart(figure, width="stretch", key=f"compared_{alt}", alt=title)
    with guard():
        _gallery(found)
    _more(found)


def _gallery(found: Evaluation) -> None:
    """The errors it was surest of, all or of one kind."""
    first, second = st.columns([3, 6], vertical_alignment="bottom")
    first.markdown("**Surest errors**")
    kinds = most_confused(found.confusion, 20)
    options = [-1, *range(len(kinds))]
    kind = second.selectbox(
        "Kind",
        options,
        format_func=lambda each: (
            "all kinds"
            if each < 0
            else f"{found.classes[kinds[each][0]]} taken for {found.classes[kinds[each][1]]} ({kinds[each][2]})"
        ),
        key=f"errors_{found.name}",
        label_visibility="collapsed",
    )
    true, said = (None, None) if kind < 0 else kinds[kind][:2]
    indices = surest_errors(found.labels, found.predicted, found.confidence, GALLERY, true_class=true, said_class=said)
    if not len(indices):
        st.caption("It made no mistake.")
        return
    for start in range(0, len(indices), ACROSS):
        for column, index in zip(st.columns(ACROSS), indices[start : start + ACROSS], strict=False):
            true_label, said_label = found.classes[found.labels[index]], found.classes[found.predicted[index]]
            column.image(error_picture(found, int(index)), width="stretch", alt=true_label)
            column.caption(f"{plain(true_label)} → **{plain(said_label)}** {found.confidence[index]:.0%}")


def _more(found: Evaluation) -> None:
    summary = found.summary
    seconds = f"{roughly(summary['image_seconds'])} for the images, {roughly(summary['text_seconds'])} for the labels"
    with st.expander(f"Prompts, labels, command · {seconds}"):
        st.markdown(f"**Prompts** {plain(' · '.join(summary['templates'][:8]))}")
        st.markdown(f"**Labels** {plain(', '.join(found.classes[:60]))}")
        if summary["skipped"]:
            st.markdown(f"**Left out** {plain(', '.join(list(summary['skipped'])[:10]))}: could not be decoded.")
        st.code(summary["command"], language="bash", wrap_lines=True)
        page_link("runs", "Its run", "monitoring", run=found.name)


def evaluation_export() -> Export:
    """The result that is shown.

    Raises:
        CoreError: there is none.
    """
    finished = [run for run in evaluation_runs() if (run.path / RESULT).is_file()]
    shown = st.session_state.get("evaluation_choice")
    run = next((run for run in finished if run.name == shown), None)
    if run is None:
        raise CoreError("There is no result to export yet.", "Evaluate a data set first.")
    found = read_evaluation(run)
    return Export(
        stem="zero_shot_evaluation",
        recipe=evaluation_recipe(list(run.read_spec().overrides), f"{run.name}-again"[:80]),
        figures=evaluation_figures(found),
        table=evaluation_table(found),
        facts=found.summary,
    )
