"""The same things in several conditions, on the CLIP page: a sheet of answers, accuracies, values to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st

from core.data.catalogue import installed_datasets, usual_split
from core.data.condition_sets import ConditionSet, made_conditions, stored_conditions
from core.data.conditions import CONDITIONS, ConditionName
from core.data.labelled_pictures import LabelledPictures, dataset_pictures, example_pictures, folder_pictures
from core.data.prompts import STRATEGIES
from core.errors import ConfigError, CoreError
from core.figures.conditions import Tile, condition_sheet, plot_categories, plot_conditions
from core.methods.accuracy.many_pictures import Answers, ask_about
from core.methods.clip.conditions import ConditionResult, parse_references, tally
from core.methods.clip.zero_shot import unit
from core.reports import OnProgress, silent
from core.shares import FEW, difference_words, share
from pages.shared.address import bound
from pages.shared.cache import loaded_model
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.recipes import filled_recipe
from pages.shared.results import shared
from pages.shared.zero_shot import encoder, labels_seen, weights_of

Source = Literal["made", "stored", "folder"]

SOURCES: dict[Source, str] = {
    "made": "Made here",
    "stored": "Data set",
    "folder": "Folder",
}
EXAMPLES = "examples"
# Data sets whose parts show the same kinds of things, or whose pictures make good silhouettes, first.
MADE_FROM = ("cifar10", "pacs", "tiny_imagenet")
STORED_IN = ("cifar10g", "pacs")
ASKED_AS = ("photo", "plain", "descriptive", "ensemble")
TILES = 8
# Columns of the table: the share and both ends of its interval, in per cent.
ENDS = ("%", "from", "to")
MOST_PICTURES = 6000


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which pictures, how they are asked about, and what the answers are compared with."""

    source: Source
    data: str
    count: int
    strengths: tuple[tuple[ConditionName, float], ...]
    strategy: str
    references: str

    @property
    def pictures(self) -> tuple[object, ...]:
        """What the set of pictures depends on."""
        return self.source, self.data, self.count, self.strengths if self.source == "made" else ()

    @property
    def templates(self) -> tuple[str, ...]:
        return STRATEGIES[self.strategy].templates  # type: ignore[index]


@dataclass(frozen=True, kw_only=True)
class Found:
    """A set, what the model made of it, and what it said: (kept,) indices into the categories."""

    set: ConditionSet
    answers: Answers
    predicted: np.ndarray
    result: ConditionResult


def panel(name: str) -> None:
    """The controls and the sheet; the model called `name` knows images and texts."""
    form, stage = st.columns([4, 9], gap="large")
    question = found = None
    with form, guard():
        question = _form()
    if question is None:
        return
    with stage, guard():
        found = answer(name, question)
        st.markdown(f"#### {plain(_headline(found))}")
        st.html(condition_sheet(found.result, _keeps(question, found.set), sheet_tiles(found)))
        _notes(name, found)
    if found is None:
        return
    with st.expander("Accuracies with intervals", icon=":material/bar_chart:", expanded=True):
        left, right = st.columns(2, gap="large")
        left.plotly_chart(
            plot_conditions(found.result),
            width="stretch",
            key="conditions_figure",
            alt="Share of pictures named right in each condition, with 95 % intervals, chance and reference values.",
        )
        for row in found.result.rows:
            if sentence := row.sentence():
                left.caption(plain(sentence))
        right.plotly_chart(
            plot_categories(found.result),
            width="stretch",
            key="conditions_categories",
            alt="Share named right for each category in each condition.",
        )
        right.dataframe(table(found.result), hide_index=True, width="stretch")


def export(name: str) -> Export:
    """Figures, the table, and a script that makes them again."""
    question = read_question()
    found = answer(name, question)
    return Export(
        stem="conditions",
        recipe=filled_recipe("clip", "conditions", **recipe_settings(name, question)),
        figures={"accuracies": plot_conditions(found.result), "categories": plot_categories(found.result)},
        table=table(found.result),
        facts={
            "model": name,
            "pictures": found.set.title,
            "categories": list(found.set.categories),
            "templates": list(question.templates),
            "chance": found.result.chance,
            "strengths": dict(question.strengths) if question.source == "made" else {},
        },
    )


def read_question() -> Question:
    """What the session's widgets ask."""
    state = st.session_state
    source: Source = state.get("conditions_from") or "made"
    strengths = tuple(
        (kind, float(state.get(f"conditions_{kind}", condition.strengths[1]) if condition.strengths else 0))
        for kind, condition in CONDITIONS.items()
    )
    data = state.get("conditions_folder", "") if source == "folder" else state.get(f"conditions_{source}_data", "")
    return Question(
        source=source,
        data=data or EXAMPLES,
        count=int(state.get("conditions_count", 4)),
        strengths=strengths,
        strategy=state.get("conditions_strategy", "photo"),
        references=state.get("conditions_reference", ""),
    )


def picture_set(question: Question) -> ConditionSet:
    """The pictures of a question; none is read yet.

    Raises:
        CoreError: they are not on this machine, or too many.
    """
    if question.source == "folder":
        found = stored_conditions(folder_pictures(question.data), question.count)
    elif question.source == "stored":
        found = stored_conditions(dataset_pictures(question.data), question.count)
    else:
        found = made_conditions(_ordinary(question.data), question.count, dict(question.strengths))
    if len(found.pictures) > MOST_PICTURES:
        raise ConfigError(
            f"These are {len(found.pictures):,} pictures, and {MOST_PICTURES:,} can be shown here.",
            "Choose fewer of each category.",
        )
    return found


def answer(name: str, question: Question) -> Found:
    """What the model says of every picture; computed once for the pictures, again for other words."""
    found = picture_set(question)
    answers = _answers(name, question.pictures, found)
    weights = weights_of(name, found.categories, question.templates)
    predicted = (unit(answers.values) @ weights.T).argmax(axis=1)
    references = parse_references(question.references, found.conditions)
    return Found(
        set=found, answers=answers, predicted=predicted, result=tally(found, answers.kept, predicted, references)
    )


@shared("Looking at the pictures …")
def _answers(
    name: str, pictures: tuple[object, ...], _set: ConditionSet, *, on_progress: OnProgress = silent
) -> Answers:
    module, model = encoder(name), loaded_model(name)
    return ask_about(
        [each.open for each in _set.pictures],
        model.network.preprocessing,
        module.embed,
        lock=model.lock,
        on_progress=on_progress,
    )


def sheet_tiles(found: Found) -> list[list[Tile]]:
    """Up to eight pictures of each condition: the first of every category, then the second of every category."""
    place = {int(index): row for row, index in enumerate(found.answers.kept)}
    sheet = []
    for condition in range(len(found.set.conditions)):
        drawn: dict[int, int] = {}
        ranked = []
        for index, each in enumerate(found.set.pictures):
            if each.condition == condition:
                drawn[each.category] = drawn.get(each.category, 0) + 1
                ranked.append((drawn[each.category], each.category, index))
        sheet.append([_tile(found, category, place.get(index)) for _, category, index in sorted(ranked)[:TILES]])
    return sheet


def table(result: ConditionResult) -> pd.DataFrame:
    """A row per condition; shares in per cent."""
    rows = []
    for row in result.rows:
        low, high = row.interval
        # Of a few pictures the two counts say all that there is to say.
        ends = (row.accuracy, low, high) if row.count >= FEW else (None, None, None)
        rows.append(
            {
                "condition": row.condition,
                "right": row.correct,
                "shown": row.count,
                **{name: None if end is None else round(100 * end, 1) for name, end in zip(ENDS, ends, strict=True)},
                "against the first": difference_words(row.only_here, row.only_first, row.compared)
                if row.compared
                else "",
                "to compare with": "" if row.reference is None else f"{100 * row.reference:.1f}",
            }
        )
    return pd.DataFrame(rows)


def recipe_settings(name: str, question: Question) -> dict[str, object]:
    """What the recipe asks: the same."""
    of_dataset = question.source == "made" and question.data != EXAMPLES
    return {
        "model": name,
        "source": question.source,
        "data": question.data,
        "splits": (usual_split(question.data),) if of_dataset else (),
        "count": question.count,
        "strengths": dict(question.strengths),
        "templates": list(question.templates),
        "references": question.references,
    }


def _form() -> Question:
    """The widgets, and what they ask."""
    installed = installed_datasets()
    source: Source = st.segmented_control(
        "Conditions",
        list(SOURCES),
        format_func=SOURCES.__getitem__,
        default="made",
        required=True,
        key="conditions_from",
        bind="query-params",
        help="Ordinary pictures changed in five ways; the parts that a data set has, such as photos and sketches; or a "
        "folder on this machine: CONDITION/CATEGORY/*.jpg.",
    )
    if source == "folder":
        st.text_input(
            "Path of the folder", key="conditions_folder", placeholder="/pictures", help="CONDITION/CATEGORY/*.jpg"
        )
        if not st.session_state.get("conditions_folder", "").strip():
            raise CoreError("Which folder?", "It holds a folder per condition, and in each a folder per category.")
    else:
        preferred = MADE_FROM if source == "made" else STORED_IN
        names = [each for each in preferred if each in installed]
        names += [each for each in installed if each not in names]
        if source == "made":
            names.append(EXAMPLES)
        if not names:
            raise CoreError("No data set is on this machine yet.", "Import one: python -m core data import FILE.")
        st.selectbox(
            "Of",
            names,
            format_func=lambda each: "The bundled photos" if each == EXAMPLES else installed[each]["title"],
            key=f"conditions_{source}_data",
            bind="query-params",
        )
    st.number_input(
        "Pictures of each category",
        1,
        500,
        4,
        key="conditions_count",
        bind=bound("conditions_count"),
        help="In each condition. More take longer and make the intervals narrower.",
    )
    if source == "made":
        with st.popover("How strong", icon=":material/tune:", width="stretch"):
            for kind, condition in CONDITIONS.items():
                if condition.strengths:
                    least, usual, most = map(float, condition.strengths)
                    step = 1.0 if kind == "features" else 0.1
                    st.slider(
                        f"{condition.title} ({condition.unit})", least, most, usual, step, key=f"conditions_{kind}",
                        bind="query-params",
                    )  # fmt: skip
    st.selectbox(
        "Asked as",
        ASKED_AS,
        format_func=lambda each: STRATEGIES[each].title,
        key="conditions_strategy",
        bind="query-params",
    )
    st.text_input(
        "To compare with, in %",
        key="conditions_reference",
        bind="query-params",
        placeholder="100, 54.2, 69.1 or Silhouette: 54.2",
        help="Published values of people or of other models, in the order of the conditions or by their names.",
    )
    return read_question()


def _ordinary(data: str) -> LabelledPictures:
    return example_pictures() if data == EXAMPLES else dataset_pictures(data, (usual_split(data),))


def _keeps(question: Question, found: ConditionSet) -> list[str]:
    """What each condition keeps, where we made it."""
    if question.source != "made":
        return [""] * len(found.conditions)
    return [CONDITIONS[kind].keeps for kind, _ in question.strengths]


def _tile(found: Found, category: int, row: int | None) -> Tile:
    shows = found.set.categories[category]
    if row is None:
        return Tile(pixels=None, shows=shows, said="")
    said = found.set.categories[int(found.predicted[row])]
    return Tile(pixels=found.answers.thumbnails[row], shows=shows, said=said)


def _headline(found: Found) -> str:
    """Best and worst condition in words."""
    rows = [row for row in found.result.rows if row.count]
    best, worst = max(rows, key=lambda row: row.accuracy), min(rows, key=lambda row: row.accuracy)
    if len(rows) == 1 or best.accuracy == worst.accuracy:
        where = "every condition" if len(rows) > 1 else best.condition.lower()
        alike = {(row.correct, row.count) for row in rows}
        said = share(best.correct, best.count) if len(alike) == 1 else f"{best.accuracy:.0%}"
        return f"{said} named right in {where}"
    return (
        f"{best.condition}: {share(best.correct, best.count)} named right. {worst.condition}: "
        f"{share(worst.correct, worst.count)}. Guessing: {found.result.chance:.0%}"
    )


def _notes(name: str, found: Found) -> None:
    """What was left out, and what the model has never heard of."""
    if skipped := found.answers.skipped:
        why = next(iter(skipped.values()))
        st.caption(f":material/info: {len(skipped):,} of {len(found.set.pictures):,} could not be shown: {plain(why)}")
    seen = {label.casefold() for labels in labels_seen(name).values() for label in labels}
    unseen = [category for category in found.set.categories if category.casefold() not in seen]
    if seen and unseen:
        shown = ", ".join(unseen[:8]) + (" …" if len(unseen) > 8 else "")
        st.caption(f":material/info: Never seen in training under these names: {plain(shown)}.")
