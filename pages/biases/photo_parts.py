"""What the view of one photo shows, and what it gives away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.figures.attention import short_label
from core.figures.manipulations import MODEL_COLOURS, plot_strengths
from core.figures.theme import Figure
from core.methods.accuracy.predictions import class_name
from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.photo import PhotoAnswers
from core.methods.manipulations.steps import format_steps
from pages.biases.photo import SMALL_SIDE, answers_of, sheet_uri, versions_of
from pages.biases.photo_view import CARDS, MOST_KEPT, PhotoView, Variant
from pages.biases.photo_words import headline
from pages.shared.cache import loaded_model
from pages.shared.export import Export
from pages.shared.foreign import literal
from pages.shared.pickers import Picture
from pages.shared.recipes import filled_recipe, picture_setting

LETTERS = "ABCDEF"


def is_known(view: PhotoView, picture: Picture, name: str) -> bool:
    return answers_of.known(*_asked(view, picture, name, view.all())) is not None


def _asked(view: PhotoView, picture: Picture, name: str, variants: tuple[Variant, ...]) -> Figure:
    labels = view.labels if loaded_model(name).spec.lacks("classifier") else ()
    return name, picture.digest, view.side, view.seed, variants, labels, picture.image


def answers_by_model(view: PhotoView, picture: Picture, variants: tuple[Variant, ...]) -> dict[str, PhotoAnswers]:
    """What each model says of each of the variants."""
    return {name: answers_of(*_asked(view, picture, name, variants)) for name in view.models}


def titles_of(view: PhotoView) -> list[str]:
    """What the models are called, with their letters."""
    return [f"{LETTERS[place]} {literal(loaded_model(name).spec.title, 60)}" for place, name in enumerate(view.models)]


def grid_data(
    view: PhotoView,
    picture: Picture,
    variants: tuple[Variant, ...],
    answers: dict[str, PhotoAnswers],
    *,
    everything: bool,
) -> dict[str, Any]:
    """Everything that the component shows."""
    versions = versions_of(picture.digest, view.side, view.seed, variants, picture.image)
    places = {variant: place for place, variant in enumerate(variants)}

    def sheet(chosen: tuple[Variant, ...]) -> str:
        return sheet_uri(picture.digest, view.side, view.seed, chosen, versions[[places[each] for each in chosen]])

    rows = []
    for name in CARDS:
        row = MANIPULATIONS[name]
        strengths = view.ladder(name) if everything else sorted({float(row.neutral), view.strengths[name]})
        chosen = tuple(view.variant(name, each) for each in strengths)
        rows.append(
            {
                "name": name,
                "title": row.title,
                "summary": row.summary,
                "neutral": row.neutral,
                "strengths": strengths,
                "words": [row.words(each) for each in strengths],
                "sheet": sheet(chosen),
                "answers": [[_answer(found, places[each]) for each in chosen] for found in answers.values()],
            }
        )
    return {
        "side": view.side if view.side > SMALL_SIDE else SMALL_SIDE,
        "models": [
            {"letter": LETTERS[place], "title": title[2:], "colour": MODEL_COLOURS[place]}
            for place, title in enumerate(titles_of(view))
        ],
        "photo": {
            "title": "The photo",
            "words": "as changed so far" if view.kept else "unchanged",
            "alt": f"{literal(picture.title, 80)}.",
            "sheet": sheet((view.kept,)),
            "answers": [_answer(found, places[view.kept]) for found in answers.values()],
        },
        "rows": rows,
        "kept": [step.words for step in view.kept],
        "most": MOST_KEPT,
        "state": {
            "shown": view.shown,
            "strengths": dict(view.strengths),
            "kept": [{"name": step.name, "strength": step.strength} for step in view.kept],
        },
    }


def _answer(found: PhotoAnswers, place: int) -> dict[str, Any]:
    said = int(found.answers[place])
    return {
        "label": literal(short_label(class_name(found.classes, said)), 40),
        "share": round(float(found.probabilities[place, said]), 4),
        "same": bool(found.same[place]),
        "kept": round(float(found.kept[place]), 4),
    }


def strengths_figure(view: PhotoView, answers: dict[str, PhotoAnswers], variants: tuple[Variant, ...]) -> Figure:
    """The curves of the card that is shown."""
    chosen = _of_card(view, answers, variants)
    return plot_strengths(
        MANIPULATIONS[view.shown], view.ladder(view.shown), chosen, current=view.strengths[view.shown]
    )


def _of_card(
    view: PhotoView, answers: dict[str, PhotoAnswers], variants: tuple[Variant, ...]
) -> dict[str, PhotoAnswers]:
    """The answers along the slider of the card that is shown, by the models' titles."""
    places = [variants.index(view.variant(view.shown, each)) for each in view.ladder(view.shown)]
    return {
        title: PhotoAnswers(classes=found.classes, probabilities=found.probabilities[places], clean=found.clean)
        for title, found in zip(titles_of(view), answers.values(), strict=True)
    }


def strengths_table(view: PhotoView, answers: dict[str, PhotoAnswers], variants: tuple[Variant, ...]) -> pd.DataFrame:
    """The same in words: what each model says along the slider, by its letter."""
    row = MANIPULATIONS[view.shown]
    table: dict[str, list[str]] = {row.title: [row.words(each) for each in view.ladder(view.shown)]}
    for title, found in _of_card(view, answers, variants).items():
        table[title[0]] = [
            f"{'=' if same else '≠'} {short_label(class_name(found.classes, int(said)), 20)} {shares[said]:.0%}"
            for said, same, shares in zip(found.answers, found.same, found.probabilities, strict=True)
        ]
    return pd.DataFrame(table)


def photo_export(view: PhotoView, picture: Picture) -> Export:
    """What is on the screen: every picture, every answer, and the curves of the card that is shown."""
    variants = view.all()
    answers = answers_by_model(view, picture, variants)
    versions = versions_of(picture.digest, view.side, view.seed, variants, picture.image)
    places = {variant: place for place, variant in enumerate(variants)}
    now = {name: places[view.variant(name, view.strengths[name])] for name in CARDS}
    said = [
        {"manipulation": name, "strength": view.strengths[name], "model": model, **_answer(found, now[name])}
        for name in CARDS
        for model, found in answers.items()
    ]
    return Export(
        stem="biases",
        recipe=filled_recipe(
            "biases",
            image=picture_setting(picture.key),
            models=list(view.models),
            labels=list(view.labels),
            side=view.side,
            seed=view.seed,
            kept=format_steps(view.kept),
            strengths=dict(view.strengths),
            shown=view.shown,
            ladder=view.ladder(view.shown),
        ),
        figures={"strengths": strengths_figure(view, answers, variants)},
        pictures={"photo": versions[places[view.kept]]} | {name: versions[place] for name, place in now.items()},
        table=pd.DataFrame(said),
        facts={
            "image": picture.title,
            "sha256": picture.digest,
            "models": list(view.models),
            "labels": list(view.labels),
            "side": view.side,
            "seed": view.seed,
            "kept": format_steps(view.kept),
            "shown": view.shown,
            "headline": headline(view, variants, answers),
            "answers on the unchanged photo": {
                name: class_name(found.classes, found.clean_answer) for name, found in answers.items()
            },
        },
        arrays={
            f"probabilities_{place}": found.probabilities[[now[name] for name in CARDS]].astype(np.float32)
            for place, found in enumerate(answers.values())
        },
    )
