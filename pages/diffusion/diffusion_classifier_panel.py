"""One picture, raced: the prompts' errors as they come in, and what the network sees and predicts on the way."""

from __future__ import annotations

import time
from contextlib import closing

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.data.prompts import check_template, join_labels, parse_labels
from core.errors import CoreError
from core.figures.diffusion_classifier import plot_error_by_step, plot_race
from core.methods.diffusion.diffusion_classifier import Race
from core.methods.diffusion.sampling_plan import Plan
from pages.diffusion.denoising_pictures import exported_pictures, show_current, show_pictures
from pages.diffusion.diffusion_classifier import (
    Question,
    known_race,
    run_race,
    steps_of,
)
from pages.diffusion.race_plan import race_plan
from pages.diffusion.race_words import other_answers, progress_words, race_sentence, race_table
from pages.shared.cache import display_photo, loaded_model
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.pickers import Picture
from pages.shared.recipes import diffusion_recipe
from pages.shared.zero_shot import read_model_card

DEFAULT_LABELS = "cat, dog, coffee, rocket, flower, motorcycle"
DEFAULT_TEMPLATE = "a photo of a {}."
STOPPED = "stopped_race"
# Seconds between two pictures of a race: charts sent faster than they are drawn pile up in the browser.
_FRAME = 1.0
_QUESTION = "race_question"


def diffusion_classifier_panel(name: str, picture: Picture) -> None:
    """Labels and plan, the race beside the pictures, and what lies behind the answer."""
    with guard():
        question, notes = _read_question(name, picture)
        st.session_state[_QUESTION] = question
        left, right = st.columns([7, 5], gap="large")
        beside = right.empty()
        with left:
            race = _live(question, picture, beside)
            for note in notes:
                st.caption(f":material/info: {plain(note)}")
        with beside.container():
            st.fragment(show_pictures)(question, picture)
        if race is not None:
            _behind(question, picture, race)


def _read_question(name: str, picture: Picture) -> tuple[Question, tuple[str, ...]]:
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
        key="race_labels",
        bind="query-params",
        placeholder="cat, dog, cup of coffee",
    )
    template = second.text_input(
        "Prompt, with {} for the label",
        value=str(card.get("prompt") or DEFAULT_TEMPLATE),
        key="race_template",
        bind="query-params",
    )
    with third:
        plan = race_plan()
    found = parse_labels(labels)
    check_template(template)
    return Question(name, picture.digest, found.names, template.strip(), plan), found.notes


def _live(question: Question, picture: Picture, beside: DeltaGenerator) -> Race | None:
    """The race while it runs, and as it ended; None if it was stopped before its first look.

    `beside`: where the leading prompts' pictures at the current time step are shown meanwhile.
    """
    headline, chart, below = st.empty(), st.empty(), st.empty()
    stopped = st.session_state.get(STOPPED) == question
    race = known_race(question)
    if not stopped and (race is None or not race.finished):
        with below.container():
            left, right = st.columns([5, 1], vertical_alignment="center")
            bar = left.progress(0.0, text="Reading picture and prompts …")
            right.button("Stop", key="stop_race", on_click=_stop, args=(question,), width="stretch")
        beside.image(
            display_photo(loaded_model(question.name), picture.digest, picture.image),
            width="stretch",
            alt=picture.title,
        )
        shown, slow = 0.0, False
        with closing(run_race(question, picture.image)) as looks:
            for race in looks:
                bar.progress(race.step / race.steps, text=progress_words(race, question))
                if time.monotonic() - shown > _FRAME and not race.finished:
                    shown = time.monotonic()
                    _draw(headline, chart, race, question)
                    if not slow:
                        show_current(beside, question, picture, race)
                        slow = time.monotonic() - shown > _FRAME
        below.empty()
    if race is None:
        headline.info("Stopped before the first look.", icon=":material/pause:")
        below.button("Go on", key="go_on_race", on_click=_go_on, type="primary")
        return None
    _draw(headline, chart, race, question)
    if not race.finished:
        with below.container():
            left, right = st.columns([5, 1], vertical_alignment="center")
            left.info(f"Stopped after {race.step:,} of {race.steps:,} samples.", icon=":material/pause:")
            right.button("Go on", key="go_on_race", on_click=_go_on, type="primary", width="stretch")
    return race


def _stop(question: Question) -> None:
    st.session_state[STOPPED] = question


def _go_on() -> None:
    st.session_state.pop(STOPPED, None)


def _draw(headline: DeltaGenerator, chart: DeltaGenerator, race: Race, question: Question) -> None:
    headline.markdown(f"#### {plain(race_sentence(race, question))}")
    chart.plotly_chart(
        plot_race(race, question.labels),
        width="stretch",
        # No key: the chart in this place is redrawn, where another key would make the browser begin a new one.
        alt="Error of every prompt above the leader's against the number of samples; the table below has the figures.",
    )


def _behind(question: Question, picture: Picture, race: Race) -> None:
    """At which noise it was decided, and the table of all prompts with the other objective and CLIP beside it."""
    left, right = st.columns([5, 6], gap="large")
    with left:
        st.markdown("**At which noise it is decided**")
        st.plotly_chart(
            plot_error_by_step(race, question.labels, steps_of(question.name)),
            width="stretch",
            key="error_by_step",
            alt="Error above the winner's in ten parts of the schedule.",
        )
        st.caption("The higher a line, the more the winner's prompt helped there. Bars: ± one standard error.")
    with right:
        st.markdown("**All prompts**")
        table = race_table(question, picture, race)
        st.dataframe(table, hide_index=True, width="stretch", height=38 + 35 * min(len(table), 10))
        for sentence in other_answers(question, table, race):
            st.markdown(f"- {plain(sentence)}")


def diffusion_export(name: str, picture: Picture) -> Export:
    """The race that is shown.

    Raises:
        CoreError: it has not begun.
    """
    question: Question | None = st.session_state.get(_QUESTION)
    race = known_race(question) if question is not None else None
    if question is None or race is None or (question.name, question.digest) != (name, picture.digest):
        raise CoreError("There is no race to export yet.", "Wait for its first look.")
    return Export(
        stem="diffusion_race",
        recipe=diffusion_recipe(name, picture.key, question.labels, question.template, _changed(question.plan)),
        pictures=exported_pictures(question, picture, race),
        figures={
            "race": plot_race(race, question.labels),
            "error_by_step": plot_error_by_step(race, question.labels, steps_of(name)),
        },
        table=race_table(question, picture, race),
        facts={
            "model": name,
            "image": picture.key,
            "labels": list(question.labels),
            "template": question.template,
            "plan": _changed(question.plan),
            "winner": question.labels[race.winner],
            "calls": race.calls,
            "seconds": race.seconds,
            "finished": race.finished,
            "shown": {
                "view": st.session_state.get("race_view", "steps"),
                "noise, % of the schedule": int(st.session_state.get("noise", 50)),
                "also": st.session_state.get("also_show"),
            },
        },
        arrays={
            "noise_error": race.noise_error,
            "reconstruction_error": race.reconstruction_error,
            "time_steps": race.time_steps,
            "weights": race.weights,
        },
    )


def _changed(plan: Plan) -> dict[str, object]:
    """The settings that are not the usual ones."""
    usual = Plan()
    return {name: value for name, value in vars(plan).items() if value != getattr(usual, name)}
