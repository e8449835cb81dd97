"""Models under manipulations: what is left of their accuracy, over strengths too, and how alike their errors are."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from core.figures.attention import short_label
from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.methods.biases.consistency import error_consistency
from core.methods.biases.ratios import Estimate
from core.methods.biases.stress_table import ModelPair, StressRow, condition_words
from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.steps import parse_steps

Measure = Literal["corrected", "ratio", "accuracy", "drop"]
MEASURES: dict[Measure, str] = {
    "corrected": "Kept beyond chance",
    "ratio": "Kept (plain ratio)",
    "accuracy": "Accuracy",
    "drop": "Drop",
}
_LONGEST = 40
LETTERS = tuple("ABCDEFGHIJKL")
AXES: dict[Measure, str] = {
    "corrected": "(accuracy − chance) / (accuracy as they are − chance)",
    "ratio": "accuracy / accuracy as they are",
    "accuracy": "accuracy (%)",
    "drop": "accuracy − accuracy as they are (points)",
}


@dataclass(frozen=True, kw_only=True)
class StressTable:
    """What all of these figures are made of.

    Attributes:
        models: titles.
        conditions: as `core.methods.manipulations` writes them; the first is no manipulation.
        classes: that the models chose among.
    """

    models: tuple[str, ...]
    conditions: tuple[str, ...]
    classes: int
    rows: tuple[StressRow, ...]
    pairs: tuple[ModelPair, ...]

    @classmethod
    def read(cls, summary: dict[str, Any]) -> StressTable:
        """Of `result.json` of an evaluation under manipulations."""
        seed = int(summary["seed"])
        return cls(
            models=tuple(str(model["title"]) for model in summary["models"]),
            conditions=tuple(str(each["steps"]) for each in summary["conditions"]),
            classes=len(summary["labels"]),
            rows=tuple(StressRow.read(values, seed=seed) for values in summary["table"]),
            pairs=tuple(ModelPair.read(values) for values in summary["pairs"]),
        )

    def row(self, model: int, condition: int) -> StressRow:
        return next(row for row in self.rows if (row.model, row.condition) == (model, condition))

    def manipulations(self) -> dict[str, list[int]]:
        """Single manipulations of which there are several strengths, and the conditions of each, the weakest first."""
        found: dict[str, list[tuple[float, int]]] = {}
        for place, text in enumerate(self.conditions):
            steps = parse_steps(text)
            if len(steps) == 1 and not MANIPULATIONS[steps[0].name].names:
                found.setdefault(steps[0].name, []).append((steps[0].strength, place))
        return {name: [place for _, place in sorted(each)] for name, each in found.items() if len(each) > 1}


def measured(row: StressRow, measure: Measure) -> Estimate:
    """One number of a row with its interval; ratios of the images as they are are 1, by definition."""
    if measure == "accuracy":
        low, high = row.accuracy.interval
        return Estimate(value=row.accuracy.value, low=low, high=high)
    if row.ratio is None:
        return Estimate(value=0.0 if measure == "drop" else 1.0)
    return {"corrected": row.ratio.corrected, "ratio": row.ratio.ratio, "drop": row.ratio.drop}[measure]


def plot_stress(table: StressTable, measure: Measure = "corrected") -> go.Figure:
    """A field for each condition (down) and model (across): the darker, the less is left."""
    factor = 100 if measure in ("accuracy", "drop") else 1
    shown = [place for place in range(len(table.conditions)) if place or measure == "accuracy"]
    found = [[measured(table.row(model, place), measure) for model in range(len(table.models))] for place in shown]
    values = np.array([[np.nan if each.value is None else factor * each.value for each in row] for row in found])
    text = [[_number(each, measure) for each in row] for row in found]
    hover = [
        [
            f"{html.escape(table.models[model])}<br>{html.escape(condition_words(table.conditions[place]))}<br>"
            f"{_words(each, measure)}<br>{html.escape(table.row(model, place).accuracy.sentence())}"
            for model, each in enumerate(row)
        ]
        for place, row in zip(shown, found, strict=True)
    ]
    low, high = {"drop": (-100.0, 0.0), "accuracy": (100 / table.classes, 100.0)}.get(measure, (0.0, 1.0))
    figure = go.Figure(
        go.Heatmap(
            z=values, x=list(range(len(table.models))), y=list(range(len(shown))), text=text, customdata=hover,
            texttemplate="%{text}", hovertemplate="%{customdata}<extra></extra>", colorscale="Cividis", zmin=low,
            zmax=high, xgap=2, ygap=2, showscale=False,
        )
    )  # fmt: skip
    figure.update_xaxes(
        tickvals=list(range(len(table.models))), ticktext=LETTERS[: len(table.models)], side="top",
        showgrid=False, tickangle=0,
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(shown))),
        ticktext=[f"{_condition(table.conditions[place])} " for place in shown],
        autorange="reversed",
        showgrid=False,
    )
    _name_models(figure, table.models)
    return finish(figure, height=70 + 30 * len(shown) + 21 * len(table.models), **_under_names(table.models))


def plot_stress_curves(table: StressTable, name: str, measure: Measure = "corrected") -> go.Figure:
    """One manipulation over its strengths, a line a model, with intervals; dotted where chance is."""
    factor = 100 if measure in ("accuracy", "drop") else 1
    row = MANIPULATIONS[name]
    places = [0, *table.manipulations()[name]]
    strengths = [row.neutral, *(parse_steps(table.conditions[place])[0].strength for place in places[1:])]
    figure = go.Figure()
    for model, title in enumerate(table.models):
        found = [measured(table.row(model, place), measure) for place in places]
        values = [None if each.value is None else factor * each.value for each in found]
        above, below = ([factor * _reach(each, side) for each in found] for side in ("high", "low"))
        figure.add_trace(
            go.Scatter(
                x=strengths, y=values, mode="lines+markers", name=html.escape(title),
                line={"color": CATEGORICAL[model % len(CATEGORICAL)], "width": 3},
                marker={"size": 9, "symbol": model},
                error_y={"type": "data", "array": above, "arrayminus": below, "thickness": 1.5, "width": 4},
                customdata=[
                    f"{html.escape(row.words(strength))}: {_words(each, measure)}"
                    for strength, each in zip(strengths, found, strict=True)
                ],
                hovertemplate="%{customdata}<extra>" + html.escape(title) + "</extra>",
            )
        )  # fmt: skip
    chance = {"accuracy": 100 / table.classes, "corrected": 0.0}.get(measure)
    if chance is not None:
        figure.add_hline(y=chance, line={"color": BASELINE, "width": 2, "dash": "dot"})
    figure.update_xaxes(title=f"{row.title} ({row.unit})")
    figure.update_yaxes(title=AXES[measure])
    return finish(figure, height=420)


def plot_consistency(table: StressTable, condition: int = 0) -> go.Figure:
    """κ of every two models' errors: 1 for the same errors, 0 for independent ones."""
    count = len(table.models)
    values, text, hover = (
        np.full((count, count), np.nan),
        [[""] * count for _ in range(count)],
        [[""] * count for _ in range(count)],
    )
    for pair in (each for each in table.pairs if each.condition == condition):
        found = error_consistency(pair.paired)
        names = table.models[pair.first], table.models[pair.second]
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            values[one, other] = np.nan if found.kappa.value is None else found.kappa.value
            text[one][other] = "–" if found.kappa.value is None else f"{found.kappa.value:.2f}"
            hover[one][other] = f"κ = {found.kappa.words()}<br>" + _lines(pair.paired.sentence(*names))
    figure = go.Figure(
        go.Heatmap(
            z=values, x=list(range(count)), y=list(range(count)), text=text, customdata=hover, texttemplate="%{text}",
            hovertemplate="%{customdata}<extra></extra>", colorscale="Cividis", zmin=0, zmax=1, xgap=2, ygap=2,
            showscale=False, hoverongaps=False,
        )
    )  # fmt: skip
    letters = LETTERS[:count]
    figure.update_xaxes(tickvals=list(range(count)), ticktext=letters, side="top", showgrid=False)
    figure.update_yaxes(tickvals=list(range(count)), ticktext=letters, autorange="reversed", showgrid=False)
    _name_models(figure, table.models)
    return finish(figure, height=70 + 67 * count, **_under_names(table.models))


def _reach(each: Estimate, end: Literal["low", "high"]) -> float:
    """How far the interval goes to one side; 0 where there is none."""
    limit = getattr(each, end)
    return 0.0 if limit is None or each.value is None else abs(limit - each.value)


def _number(each: Estimate, measure: Measure) -> str:
    if each.value is None:
        return "–"
    return f"{100 * each.value:.0f}" if measure in ("accuracy", "drop") else f"{each.value:.2f}"


def _words(each: Estimate, measure: Measure) -> str:
    scaled = [None if value is None else 100 * value for value in (each.value, each.low, each.high)]
    if measure in ("accuracy", "drop"):
        return f"{MEASURES[measure]}: {Estimate(value=scaled[0], low=scaled[1], high=scaled[2]).words(1)}"
    return f"{MEASURES[measure]}: {each.words()}"


def _lines(text: str) -> str:
    return html.escape(_wrapped(text)).replace("\n", "<br>")


def _condition(text: str) -> str:
    """A condition in one line."""
    words = condition_words(text)
    return html.escape(words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1].rstrip()}…")


def _name_models(figure: go.Figure, titles: Sequence[str]) -> None:
    """Which letter is which model, as a legend above: their names are longer than the fields are wide."""
    for letter, title in zip(LETTERS, titles, strict=False):
        figure.add_trace(
            go.Scatter(
                x=[None], y=[None], mode="markers", marker={"color": "rgba(0,0,0,0)"}, hoverinfo="skip",
                name=f"{letter} {html.escape(short_label(title, 30))}",
            )
        )  # fmt: skip


def _under_names(titles: Sequence[str]) -> dict[str, Any]:
    """The layout of a figure whose letters stand below such a legend."""
    legend = {"orientation": "h", "xref": "container", "yref": "container", "x": 0, "y": 1, "yanchor": "top"}
    return {"legend": legend, "margin": {"l": 8, "r": 8, "t": 40 + 21 * len(titles), "b": 8}}


def _wrapped(text: str, width: int = 70) -> str:
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and len(line) + len(word) >= width:
            lines, line = [*lines, line], ""
        line = f"{line} {word}".strip()
    return "\n".join([*lines, line])
