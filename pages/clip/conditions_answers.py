"""The same things in several conditions: which pictures, what a model says of each, as tiles, as a table, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st

from core.data.catalogue import usual_split
from core.data.condition_sets import ConditionSet, made_conditions, most_of_each, stored_conditions
from core.data.conditions import CONDITIONS, ConditionName
from core.data.labelled_pictures import LabelledPictures, dataset_pictures, example_pictures, folder_pictures
from core.data.prompts import STRATEGIES
from core.errors import ConfigError
from core.figures.conditions import Tile
from core.methods.accuracy.batched_answers import Answers, ask_about
from core.methods.clip.conditions import ConditionResult, parse_references, tally
from core.methods.clip.zero_shot import unit
from core.reports import OnProgress, silent
from core.shares import FEW, difference_words, share
from pages.shared.cache import loaded_model
from pages.shared.results import shared
from pages.shared.zero_shot import encoder, weights_of

Source = Literal["made", "stored", "folder"]


EXAMPLES = "examples"


TILES = 8


# Columns of the table: the share and both ends of its interval, in per cent.
ENDS = ("%", "from", "to")


MOST_PICTURES = 6000


@dataclass(frozen=True, kw_only=True)
class ConditionRequest:
    """Which pictures, how they are asked about, and what the answers are compared with.

    Attributes:
        count: pictures of each category in each condition; 0 is all, of what is stored so.
    """

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
        return STRATEGIES[self.strategy].templates


@dataclass(frozen=True, kw_only=True)
class Found:
    """A set, what the model made of it, and what it said: (kept,) indices into the categories."""

    set: ConditionSet
    answers: Answers
    predicted: np.ndarray
    result: ConditionResult


def read_question() -> ConditionRequest:
    """What the session's widgets ask."""
    state = st.session_state
    source: Source = state.get("conditions_from") or "made"
    strengths = tuple(
        (kind, float(state.get(f"conditions_{kind}", condition.strengths[1]) if condition.strengths else 0))
        for kind, condition in CONDITIONS.items()
    )
    data = state.get("conditions_folder", "") if source == "folder" else state.get(f"conditions_{source}_data", "")
    return ConditionRequest(
        source=source,
        data=data or EXAMPLES,
        count=int(state.get("conditions_count", 4) if source == "made" else state.get("conditions_most_typed") or 0),
        strengths=strengths,
        strategy=state.get("conditions_strategy", "photo"),
        references=state.get("conditions_reference", ""),
    )


def picture_set(question: ConditionRequest) -> ConditionSet:
    """The pictures of a question; none is read yet.

    Raises:
        CoreError: they are not on this machine, or too many.
    """
    if question.source != "made":
        found = stored_conditions(_stored(question), count_of_each(question))
    else:
        found = made_conditions(_ordinary(question.data), question.count, dict(question.strengths))
    if len(found.pictures) > MOST_PICTURES:
        raise ConfigError(
            f"These are {len(found.pictures):,} pictures, and {MOST_PICTURES:,} can be shown here.",
            "Choose fewer of each category.",
        )
    return found


def answer(name: str, question: ConditionRequest) -> Found:
    """What the model says of every picture; computed once for the pictures, again for other words."""
    found = picture_set(question)
    # All may be fewer than all: how many they are belongs to the key.
    answers = _answers(name, (*question.pictures, len(found.pictures)), found)
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


def _stored(question: ConditionRequest) -> LabelledPictures:
    return folder_pictures(question.data) if question.source == "folder" else dataset_pictures(question.data)


def count_of_each(question: ConditionRequest) -> int:
    """How many pictures of each category are taken, 0 for all: as many as there is room for where all are asked for."""
    if question.source == "made" or question.count:
        return question.count
    return most_of_each(_stored(question), MOST_PICTURES)


def left_out_of_all(question: ConditionRequest, found: ConditionSet) -> str:
    """Where all were asked for and not all were taken, how many, as a sentence."""
    if question.source == "made" or question.count:
        return ""
    total = sum(map(len, _stored(question).groups.values()))
    if len(found.pictures) == total:
        return ""
    return f"{len(found.pictures):,} of {total:,} pictures, as many of each category as there is room for here."


def _ordinary(data: str) -> LabelledPictures:
    return example_pictures() if data == EXAMPLES else dataset_pictures(data, (usual_split(data),))


def kept_cues(question: ConditionRequest, found: ConditionSet) -> list[str]:
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


def headline(found: Found) -> str:
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
