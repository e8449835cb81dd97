"""Any models on a data set under manipulations: what comes with Vitrine, a form that launches a run, and its result."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.data.catalogue import installed_datasets
from core.errors import CoreError
from core.experiments.evaluation import Evaluation
from core.experiments.stress import Config
from core.figures.disputes import Answered, answers_sheet
from core.figures.stress import MEASURES, StressTable
from core.methods.biases.stress_table import condition_words, disputed_images
from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.steps import format_steps, parse_steps
from core.models.catalogue import find_model
from core.models.spec import Capability
from core.models.weights import availability
from core.runs.store import RunFolder
from pages.biases.accuracy_parts import (
    AccuracyView,
    accuracy_export,
    bundled_overrides,
    headline,
    published_figures,
    readable_table,
    strengths_of,
)
from pages.biases.frame import chosen_result, result_and_form
from pages.biases.measured import bundled_note, measured_table, measured_tables
from pages.shared.address import bound
from pages.shared.amounts import amount_input
from pages.shared.charts import show_chart
from pages.shared.dataset_import import arrived, dataset_import
from pages.shared.errors import guard
from pages.shared.evaluation.images import ChosenImages, choose_images
from pages.shared.evaluation.runs import EvaluationRuns
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.layout import command_block, command_details, page_link
from pages.shared.model_set import models_picker
from pages.shared.pickers import own_model_form

PREFERRED = ("vit_p4", "differential_vit_p4", "cnn_small", "clip_small")
KINDS: tuple[Capability, ...] = ("classifier", "image_text", "text_to_image")
USUAL = "grey:100\nelastic:2\nelastic:4\nnoise_patch:64\nnoise_patch:128\nscramble:2\nscramble:4"
MOST = 12


def _headline(found: Evaluation) -> str:
    return headline(StressTable.read(found.summary), found.summary)


RUNS = EvaluationRuns(recipe="stress", key="stress", headline=_headline)


def accuracy_panel() -> Callable[[], Export] | None:
    """The view; returns what makes its export."""
    return result_and_form(RUNS, _form, _result)


def _result() -> Callable[[], Export] | None:
    chosen = chosen_result(RUNS, RUNS.finished(), measured_table("locality"))
    if chosen is None:
        return None
    if isinstance(chosen, RunFolder):
        found = RUNS.read(chosen)
        view = _show(chosen.name, found.summary, found)
        return lambda: accuracy_export(view, found, list(chosen.read_spec().overrides))
    view = _show("", chosen["evaluation"], None)
    _published()
    return lambda: accuracy_export(view, None, bundled_overrides(chosen["evaluation"]))


def _show(name: str, summary: dict[str, object], found: Evaluation | None) -> AccuracyView:
    """Pictures first: every condition, the curves over strengths, whose errors agree; then the table."""
    table = StressTable.read(summary)
    st.markdown(f"#### {plain(headline(table, summary))}")
    measure = st.segmented_control(
        "Measure", list(MEASURES), format_func=MEASURES.__getitem__, default="corrected", required=True,
        key="stress_measure", bind="query-params", label_visibility="collapsed",
        help="Of each model's accuracy on the same images as they are. Beyond chance: 0 is what guessing would give.",
    )  # fmt: skip
    strengths = strengths_of(table)
    left, right = st.columns(2, gap="medium")
    parts = {"strengths": right.container(), "agreement": right.container()}
    chosen, condition = "", "0"
    if strengths:
        with parts["strengths"]:
            chosen = _one_of("Over strengths", list(strengths), strengths, "stress_strengths")
    conditions = {str(place): condition_words(text) for place, text in enumerate(table.conditions)}
    if table.pairs:
        with parts["agreement"]:
            condition = _one_of("Agreement of errors", list(conditions), conditions, "stress_condition")
    view = AccuracyView(
        name=name, summary=summary, table=table, measure=measure, manipulation=chosen, condition=int(condition)
    )
    figures = view.figures()
    show_chart(
        figures["conditions"], key="stress_conditions",
        alt=f"{MEASURES[view.measure]} of every model under every manipulation.", place=left)  # fmt: skip
    for key, alt in (("strengths", "Curves over the strength"), ("agreement", "Cohen's κ of every two models")):
        if key in figures:
            show_chart(figures[key], key=f"stress_{key}_figure", alt=alt, place=parts[key])
    if "agreement" in figures:
        right.caption("κ is 1 where two models fail on the same images, 0 where they fail independently.")
    if found is not None:
        with guard():
            _gallery(found, table, view.condition)
    with st.expander("Every number with its 95 % interval", icon=":material/table:"):
        st.dataframe(readable_table(table), hide_index=True, width="stretch")
    if found is not None:
        with command_details("stress_shown_command", "Command") as is_open:
            if is_open:
                command_block(found.summary["command"])
            page_link("runs", "Its run", "monitoring", run=found.name)
    return view


def _one_of(label: str, options: list[str], titles: dict[str, str], key: str) -> str:
    """A choice that the address keeps; what another result had and this one has not is left out."""
    if st.session_state.get(key) not in (None, *options):
        del st.session_state[key]
    return str(st.selectbox(label, options, format_func=lambda each: titles[each], key=key, bind="query-params"))


def _gallery(found: Evaluation, table: StressTable, condition: int) -> None:
    """Images on which the models differ, as they are stored, and who said what under the condition."""
    answers = found.answers[:, :, condition]
    places = disputed_images(found.labels, answers, MOST).tolist()
    st.markdown(f"**Where the models differ** · {plain(condition_words(table.conditions[condition]))}")
    if not places:
        st.caption("Nowhere: on every image all are right, or all are wrong.")
        return
    names = found.classes
    pictures = [
        Answered(
            pixels=found.image(place),
            shows=names[int(found.labels[place])],
            said=tuple(
                (names[answer], "=" if answer == found.labels[place] else "≠") if answer >= 0 else None
                for answer in answers[place].tolist()
            ),
        )
        for place in places
    ]
    st.html(answers_sheet(pictures, table.models))
    if condition:
        st.caption("The images are shown as they are.")


def _published() -> None:
    """The figures of course reports, beside ours, and what differs."""
    for each in published_figures(measured_tables()):
        st.markdown(f"**{plain(each.title)}** · beside published ratios")
        show_chart(each.figure, key=f"stress_published_{each.key}", alt=each.alt)
        st.caption(plain(each.caption))
        with st.expander("Every number with its 95 % interval", icon=":material/table:"):
            st.dataframe(each.numbers, hide_index=True, width="stretch")
        bundled_note(each.table, f"stress_published_{each.key}")


def _form() -> None:
    """Which models, images and manipulations; the button."""
    st.markdown("**Evaluate yourself**")
    arrived("stress-import", "stress_data")
    installed = installed_datasets()
    if not installed:
        st.info("No data set is on this machine yet.", icon=":material/database_off:")
    else:
        names = models_picker(KINDS, name="stress_models", preferred=PREFERRED)
        own_model_form(name="stress_models_added")
        images, config = choose_images(installed, "stress"), None
        conditions = st.text_area(
            "Manipulations, one a line", USUAL, key="stress_steps", height=190, bind="query-params",
            help="NAME:STRENGTH, several joined by +. Names: " + ", ".join(MANIPULATIONS),
        )  # fmt: skip
        first, second = st.columns(2)
        with first:
            most = amount_input(
                "Images", 500, "all images", key="stress_images", most=1_000_000, step=100, in_address=True,
                help="A random part of all of them.",
            )  # fmt: skip
        seed = second.number_input("Seed", 0, 9999, 0, key="stress_seed", bind=bound("stress_seed"))
        with guard():
            config = _config(names, images, conditions, most, int(seed))
            _cost(config, images)
        RUNS.launch(config, f"{len(names)}-models", images.dataset)
    with st.popover("Import a data set", icon=":material/upload:", type="tertiary"):
        dataset_import("my_images", "stress-import")


def _config(names: list[str], images: ChosenImages, conditions: str, most: int, seed: int) -> Config:
    """
    Raises:
        CoreError: a manipulation is none, or a model is not on this machine.
    """
    for name in names:
        if availability(find_model(name)).state != "ready":
            raise CoreError(f"{find_model(name).title} is not on this machine.", "Download it first, or leave it out.")
    steps = tuple(format_steps(parse_steps(line)) for line in conditions.splitlines() if line.strip())
    if len(images.info["classes"]) < 2:
        raise CoreError(
            f"{images.info['title']} has one class: every answer would be right.",
            "Choose a data set with at least two; each class is a folder of its own.",
        )
    return Config(
        models=tuple(names),
        dataset=images.dataset,
        test_split=images.test_split,
        conditions=steps,
        max_images=most,
        seed=seed,
    )


def _cost(config: Config, images: ChosenImages) -> None:
    """How many answers that are."""
    there = sum(images.info["splits"][split] for split in images.splits)
    count = min(there, config.max_images or there)
    asked = count * len(config.models) * len(config.all_conditions)
    st.caption(f"{asked:,} answers: {count:,} images, {len(config.all_conditions)} conditions with none, each model.")
