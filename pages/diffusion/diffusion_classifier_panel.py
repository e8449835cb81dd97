"""One picture, classified: the prompts' errors as they come in, and what the network sees and predicts on the way."""

from __future__ import annotations

import time
from contextlib import closing

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.data.prompts import check_template, join_labels, parse_labels
from core.errors import CoreError
from core.figures.diffusion_classifier import plot_classification, plot_error_by_step
from core.methods.diffusion.diffusion_classifier import Classification
from core.methods.diffusion.sampling_plan import Plan
from pages.diffusion.classification_words import classification_sentence, other_answers, progress_words, prompt_table
from pages.diffusion.denoising_pictures import exported_pictures, show_current, show_pictures
from pages.diffusion.diffusion_classifier import (
    ClassificationRequest,
    known_classification,
    run_classification,
    steps_of,
)
from pages.diffusion.plan_form import plan_form
from pages.shared.cache import display_photo, loaded_model
from pages.shared.charts import chart_table, show_chart
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.pickers import Picture
from pages.shared.recipes import filled_recipe, picture_setting
from pages.shared.zero_shot import read_model_card

DEFAULT_LABELS = "cat, dog, coffee, rocket, flower, motorcycle"
DEFAULT_TEMPLATE = "a photo of a {}."
STOPPED = "stopped_classification"
# Seconds between two pictures of a classification: charts sent faster than they are drawn pile up in the browser.
_FRAME = 1.0
_QUESTION = "classification_settings"


def diffusion_classifier_panel(name: str, picture: Picture) -> None:
    """Labels and plan, the classification beside the pictures, and what lies behind the answer."""
    with guard():
        question, notes = _read_question(name, picture)
        st.session_state[_QUESTION] = question
        left, right = st.columns([7, 5], gap="large")
        beside = right.empty()
        with left:
            classification = _live(question, picture, beside)
            for note in notes:
                st.caption(f":material/info: {plain(note)}")
        with beside.container():
            st.fragment(show_pictures)(question, picture)
        if classification is not None:
            _behind(question, picture, classification)


def _read_question(name: str, picture: Picture) -> tuple[ClassificationRequest, tuple[str, ...]]:
    """What the widgets ask, and notes on the labels.

    Raises:
        CoreError: no label, a template without a place for it, or stages that make no sense.
    """
    card = read_model_card(name)
    classes = card.get("classes") or []
    first, second, third = st.columns([7, 4, 2], vertical_alignment="bottom")
    labels = first.text_input(
        "Labels, with commas between them",
        value=join_labels(classes) if classes else DEFAULT_LABELS,
        key="diffusion_labels",
        bind="query-params",
        placeholder="cat, dog, cup of coffee",
    )
    template = second.text_input(
        "Prompt, with {} for the label",
        value=str(card.get("prompt") or DEFAULT_TEMPLATE),
        key="diffusion_template",
        bind="query-params",
    )
    with third:
        plan = plan_form()
    found = parse_labels(labels)
    check_template(template)
    return ClassificationRequest(name, picture.digest, found.names, template.strip(), plan), found.notes


def _live(question: ClassificationRequest, picture: Picture, beside: DeltaGenerator) -> Classification | None:
    """The classification while it runs, and as it ended; None if it was stopped before its first look.

    `beside`: where the leading prompts' pictures at the current time step are shown meanwhile.
    """
    headline, chart, below = st.empty(), st.empty(), st.empty()
    stopped = st.session_state.get(STOPPED) == question
    classification = known_classification(question)
    if not stopped and (classification is None or not classification.finished):
        with below.container():
            left, right = st.columns([5, 1], vertical_alignment="center")
            bar = left.progress(0.0, text="Reading picture and prompts …")
            right.button("Stop", key="stop_classification", on_click=_stop, args=(question,), width="stretch")
        beside.image(
            display_photo(loaded_model(question.name), picture.digest, picture.image),
            width="stretch",
            alt=picture.title,
        )
        shown, slow = 0.0, False
        with closing(run_classification(question, picture.image)) as looks:
            for classification in looks:
                bar.progress(classification.step / classification.steps, text=progress_words(classification, question))
                if time.monotonic() - shown > _FRAME and not classification.finished:
                    shown = time.monotonic()
                    _draw(headline, chart, classification, question)
                    if not slow:
                        show_current(beside, question, picture, classification)
                        slow = time.monotonic() - shown > _FRAME
        below.empty()
    if classification is None:
        headline.info("Stopped before the first look.", icon=":material/pause:")
        below.button("Go on", key="resume_classification", on_click=_go_on, type="primary")
        return None
    _draw(headline, chart, classification, question)
    if not classification.finished:
        with below.container():
            left, right = st.columns([5, 1], vertical_alignment="center")
            left.info(
                f"Stopped after {classification.step:,} of {classification.steps:,} samples.", icon=":material/pause:"
            )
            right.button("Go on", key="resume_classification", on_click=_go_on, type="primary", width="stretch")
    return classification


def _stop(question: ClassificationRequest) -> None:
    st.session_state[STOPPED] = question


def _go_on() -> None:
    st.session_state.pop(STOPPED, None)


def _draw(
    headline: DeltaGenerator, chart: DeltaGenerator, classification: Classification, question: ClassificationRequest
) -> None:
    headline.markdown(f"#### {plain(classification_sentence(classification, question))}")
    chart.plotly_chart(
        plot_classification(classification, question.labels),
        width="stretch",
        # No key: the chart in this place is redrawn, where another key would make the browser begin a new one.
        alt="Error of every prompt above the leader's against the number of samples; the table below has the figures.",
    )


def _behind(question: ClassificationRequest, picture: Picture, classification: Classification) -> None:
    """At which noise it was decided, and the table of all prompts with the other objective and CLIP beside it."""
    chart_table(
        plot_classification(classification, question.labels), key="classification", title="Every prompt's error"
    )
    left, right = st.columns([5, 6], gap="large")
    with left:
        st.markdown("**At which noise it is decided**")
        show_chart(
            plot_error_by_step(classification, question.labels, steps_of(question.name)),
            key="error_by_step",
            alt="Error above the winner's in ten parts of the schedule.",
        )
        st.caption("The higher a line, the more the winner's prompt helped there. Bars: ± one standard error.")
    with right:
        st.markdown("**All prompts**")
        table = prompt_table(question, picture, classification)
        st.dataframe(table, hide_index=True, width="stretch", height=38 + 35 * min(len(table), 10))
        for sentence in other_answers(question, table, classification):
            st.markdown(f"- {plain(sentence)}")


def diffusion_export(name: str, picture: Picture) -> Export:
    """The classification that is shown.

    Raises:
        CoreError: it has not begun.
    """
    question: ClassificationRequest | None = st.session_state.get(_QUESTION)
    classification = known_classification(question) if question is not None else None
    if question is None or classification is None or (question.name, question.digest) != (name, picture.digest):
        raise CoreError("There is no classification to export yet.", "Wait for its first look.")
    return Export(
        stem="diffusion_classification",
        recipe=filled_recipe(
            "diffusion",
            model=name,
            image=picture_setting(picture.key),
            labels=list(question.labels),
            template=question.template,
            plan=_changed(question.plan),
        ),
        pictures=exported_pictures(question, picture, classification),
        figures={
            "classification": plot_classification(classification, question.labels),
            "error_by_step": plot_error_by_step(classification, question.labels, steps_of(name)),
        },
        table=prompt_table(question, picture, classification),
        facts={
            "model": name,
            "image": picture.key,
            "labels": list(question.labels),
            "template": question.template,
            "plan": _changed(question.plan),
            "winner": question.labels[classification.predicted],
            "calls": classification.calls,
            "seconds": classification.seconds,
            "finished": classification.finished,
            "shown": {
                "view": st.session_state.get("denoising_view", "steps"),
                "noise, % of the schedule": int(st.session_state.get("noise", 50)),
                "also": st.session_state.get("also_show"),
            },
        },
        arrays={
            "noise_error": classification.noise_error,
            "reconstruction_error": classification.reconstruction_error,
            "time_steps": classification.time_steps,
            "weights": classification.weights,
        },
    )


def _changed(plan: Plan) -> dict[str, object]:
    """The settings that are not the usual ones."""
    usual = Plan()
    return {name: value for name, value in vars(plan).items() if value != getattr(usual, name)}
