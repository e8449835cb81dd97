"""One picture, raced: the prompts' errors as they come in, and what the network sees and predicts on the way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.data.prompts import check_template, join_labels, parse_labels
from core.errors import CoreError
from core.figures.diffusion_classifier import plot_error_by_step, plot_race, view_grid
from core.figures.overlay import overlay
from core.methods.diffusion.denoising_view import MAP_STEPS
from core.methods.diffusion.diffusion_classifier import Plan, Race, excess_error, other_objective
from core.reports import roughly
from pages.diffusion.diffusion_classifier import (
    Question,
    advantage_of,
    known_race,
    left_out_steps,
    price_of_pruning,
    run_race,
    second_opinion_model,
    steps_of,
    view_of,
)
from pages.diffusion.race_plan import race_plan
from pages.shared.cache import display_photo, loaded_model
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.pickers import Picture
from pages.shared.recipes import filled_recipe, picture_setting
from pages.shared.zero_shot import read_model_card, scores_of

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
            st.fragment(_pictures)(question, picture)
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
                bar.progress(race.step / race.steps, text=_progress(race, question))
                if time.monotonic() - shown > _FRAME and not race.finished:
                    shown = time.monotonic()
                    _draw(headline, chart, race, question)
                    if not slow:
                        _current(beside, question, picture, race)
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
            left.info(f"Stopped after {race.step:,} of {race.steps:,} draws.", icon=":material/pause:")
            right.button("Go on", key="go_on_race", on_click=_go_on, type="primary", width="stretch")
    return race


def _current(beside: DeltaGenerator, question: Question, picture: Picture, race: Race) -> None:
    """The pictures of the newest draw's time step, for the leading prompts."""
    shown = shown_prompts(question.labels, race.order(), "")
    prompts = tuple(question.prompts[index] for index in shown)
    share = round(100 * int(race.time_steps[-1]) / steps_of(question.name))
    found = view_of(question.name, picture.digest, prompts, share, race.step, picture.image)
    beside.html(view_grid(found, [question.labels[index] for index in shown]))


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
        alt="Error of every prompt above the leader's against the number of draws; the table below has the figures.",
    )


def _progress(race: Race, question: Question) -> str:
    most = race.steps * len(question.labels)
    return (
        f"{race.step:,} of {race.steps:,} draws · {len(race.alive)} of {len(question.labels):,} prompts left · "
        f"{race.calls:,} of at most {most:,} calls"
    )


def race_sentence(race: Race, question: Question) -> str:
    """Who won, by how much, and what it cost."""
    order = race.order()
    most = race.steps * len(question.labels)
    spent = f"{race.seconds:.1f} s" if race.seconds < 10 else roughly(race.seconds)
    cost = f"{race.calls:,} calls in {spent}"
    if race.finished and race.calls < most:
        cost += f" instead of {most:,}"
    if len(order) == 1:
        return f"{question.labels[order[0]]}: the only label, so there is nothing to race against · {cost}"
    best, second = question.labels[order[0]], question.labels[order[1]]
    ahead, width = _margin(race, order[1])
    interval = f" ± {100 * width:.2g}" if np.isfinite(width) else ", a single draw"
    if ahead > width:
        said = f"{best} {'wins' if race.finished else 'leads'}, then {second}"
    else:
        said = f"Too close to call{' yet' * (not race.finished)}: {best}, then {second}"
    return f"{said} ({100 * ahead:+.2g} %{interval}) · {cost}"


def _margin(race: Race, prompt: int) -> tuple[float, float]:
    """By how much `prompt` is behind at its last draw, and the half-width of the 95 % interval."""
    mean, half_width = excess_error(race)
    last = int(race.draws[prompt]) - 1
    return float(mean[last, prompt]), float(np.nan_to_num(half_width[last, prompt], nan=np.inf))


def shown_prompts(labels: Sequence[str], order: Sequence[int], chosen: str, most: int = 3) -> list[int]:
    """The prompts whose pictures are shown: the leading ones, and the chosen one in the place of the last."""
    shown = list(order[:most])
    if chosen in labels and labels.index(chosen) not in shown:
        shown[-1] = labels.index(chosen)
    return shown


def _pictures(question: Question, picture: Picture) -> None:
    """The noised picture and what the network makes of it, at the noise that the slider says."""
    choices = {"steps": "Denoised under each prompt", "where": "Where it decides", "photo": "Photo"}
    view = st.segmented_control(
        "Show", list(choices), format_func=choices.__getitem__, default="steps", required=True, key="race_view",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    with guard():
        photo = display_photo(loaded_model(question.name), picture.digest, picture.image)
        if view == "photo":
            st.image(photo, width="stretch", alt=picture.title)
            size = loaded_model(question.name).network.preprocessing.size
            st.caption(f"Cut to a square; the network sees it at {size:d} pixels.")
            return
        race = known_race(question)
        order = race.order() if race is not None else tuple(range(len(question.labels)))
        left, right = st.columns(2, vertical_alignment="bottom")
        if view == "where":
            _where(question, picture, photo, order)
            return
        share = left.slider("Noise: part of the schedule", 1, 99, 50, key="noise", bind="query-params", format="%d %%")
        others = [label for place, label in enumerate(question.labels) if place not in order[:3]]
        chosen = right.selectbox(
            "Also show", others, index=None, placeholder="a label", key="also_show", disabled=not others
        )
        shown = shown_prompts(question.labels, order, chosen or "")
        prompts = tuple(question.prompts[index] for index in shown)
        found = view_of(question.name, picture.digest, prompts, share, question.plan.seed, picture.image)
        st.html(view_grid(found, [question.labels[index] for index in shown]))


def _where(question: Question, picture: Picture, photo: np.ndarray, order: tuple[int, ...]) -> None:
    """Where in the picture the first prompt denoises better than the second."""
    if len(order) < 2:
        st.image(photo, width="stretch", alt=picture.title)
        st.caption("With one label there is nothing to compare.")
        return
    first, second = order[:2]
    found = advantage_of(
        question.name, picture.digest, question.prompts[first], question.prompts[second], picture.image
    )
    st.image(
        overlay(photo, found, signed=True),
        width="stretch",
        alt=f"Red where {question.labels[first]} denoises better, blue where {question.labels[second]} does.",
    )
    share = float((found > 0).mean())
    st.caption(
        f"Red: the noise is predicted better under “{plain(question.labels[first])}”, in {share:.0%} of places; blue: "
        f"under “{plain(question.labels[second])}”. Mean of {MAP_STEPS} time steps."
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
        for sentence in _other_answers(question, table, race):
            st.markdown(f"- {plain(sentence)}")


def race_table(question: Question, picture: Picture, race: Race) -> pd.DataFrame:
    """A row for each prompt, the best first."""
    mean, half_width = excess_error(race)
    gone = {each.prompt: each for each in race.pruned}
    other = {prompt: place + 1 for place, prompt in enumerate(race.order(other_objective(race.objective)))}
    clip = second_opinion_model()
    shares = None
    if clip and len(question.labels) <= 200:
        found = scores_of(clip, picture.digest, picture.image, question.labels, (question.template,))
        shares = found.probabilities[0]
    rows, draws = [], race.draws
    for place, prompt in enumerate(race.order()):
        last = int(draws[prompt]) - 1
        left = gone.get(prompt)
        rows.append(
            {
                "": place + 1,
                "label": question.labels[prompt],
                "above leader, %": round(100 * float(mean[last, prompt]), 2),
                "± 95 %": None if place == 0 else round(100 * float(half_width[last, prompt]), 2),
                "draws": last + 1,
                "p": left.p_value if left is not None else None,
                f"by {other_objective(race.objective)}": other[prompt],
                **({"CLIP, %": round(100 * float(shares[prompt]), 1)} if shares is not None else {}),
            }
        )
    return pd.DataFrame(rows)


def _other_answers(question: Question, table: pd.DataFrame, race: Race) -> list[str]:
    """The other objective, CLIP, and what pruning risks, each in a sentence."""
    other = question.labels[race.order(other_objective(race.objective))[0]]
    same = "as well" if other == question.labels[race.winner] else "instead"
    names = {"reconstruction": "reconstruction error", "noise": "noise error"}
    found = [f"By the {names[other_objective(race.objective)]}, without any further call, {other} would win {same}."]
    if "CLIP, %" in table and len(table) > 1:
        row = table.loc[table["CLIP, %"].idxmax()]
        agrees = "agrees" if row["label"] == question.labels[race.winner] else "disagrees"
        clip = loaded_model(second_opinion_model()).spec.title
        found.append(f"{clip} {agrees}, after one look: {row['label']} {row['CLIP, %']:.0f} %.")
    more = price_of_pruning(question.plan, len(question.labels)), left_out_steps(question.name)
    return [*found, *(sentence for sentence in more if sentence)]


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
        recipe=filled_recipe(
            "diffusion",
            model=name,
            image=picture_setting(picture.key),
            labels=list(question.labels),
            template=question.template,
            plan=_changed(question.plan),
        ),
        pictures=_shown_pictures(question, picture, race),
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


def _shown_pictures(question: Question, picture: Picture, race: Race) -> dict[str, np.ndarray]:
    """What stands beside the race, in the view, at the noise and for the prompts that are chosen there."""
    state, order = st.session_state, race.order()
    photo = display_photo(loaded_model(question.name), picture.digest, picture.image)
    view = state.get("race_view", "steps")
    if view == "photo" or (view == "where" and len(order) < 2):
        return {"photo": photo}
    if view == "where":
        first, second = (question.prompts[index] for index in order[:2])
        found = advantage_of(question.name, picture.digest, first, second, picture.image)
        return {"where": overlay(photo, found, signed=True)}
    shown = shown_prompts(question.labels, order, state.get("also_show") or "")
    prompts = tuple(question.prompts[index] for index in shown)
    seen = view_of(
        question.name, picture.digest, prompts, int(state.get("noise", 50)), question.plan.seed, picture.image
    )
    return {
        "noised": seen.noised,
        **{f"denoised_{place}": pixels for place, pixels in enumerate(seen.reconstructed, 1)},
    }


def _changed(plan: Plan) -> dict[str, object]:
    """The settings that are not the usual ones."""
    usual = Plan()
    return {name: value for name, value in vars(plan).items() if value != getattr(usual, name)}
