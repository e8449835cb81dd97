"""Shape, texture, colour: how much of each model's accuracy is left, beside what was published."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from core.figures.attention import short_label
from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.methods.biases.ratios import Estimate


@dataclass(frozen=True, kw_only=True)
class NamedRatio:
    """Both ratios of one model under one cue."""

    model: str
    cue: str
    ratio: Estimate
    corrected: Estimate


def plot_ratios(rows: Sequence[NamedRatio], published: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """A line for each cue and model: the ratio beyond chance with its interval, the plain one, and published ones.

    Args:
        published: cue → model → plain ratio.
    """
    lines = [(row.cue, short_label(row.model, 26), row) for row in rows]
    lines += [
        (cue, f"{model} (report)", NamedRatio(model=model, cue=cue, ratio=Estimate(value=value), corrected=NONE))
        for cue, models in published.items()
        for model, value in models.items()
    ]
    cues = list(dict.fromkeys(cue for cue, *_ in lines))
    lines.sort(key=lambda line: cues.index(line[0]))
    figure = go.Figure()
    kinds = (
        ("beyond chance", "circle", CATEGORICAL[0], [(at, row.corrected) for at, (*_, row) in enumerate(lines)]),
        ("plain ratio", "circle-open", CATEGORICAL[1],
         [(at, row.ratio) for at, (*_, row) in enumerate(lines) if row.corrected is not NONE]),
        ("published plain ratio", "diamond", BASELINE,
         [(at, row.ratio) for at, (*_, row) in enumerate(lines) if row.corrected is NONE]),
    )  # fmt: skip
    for name, symbol, colour, found in kinds:
        shown = [(at, each) for at, each in found if each.value is not None]
        figure.add_trace(_points(name, symbol, colour, shown))
    for place, (cue, *_) in enumerate(lines):
        if place and cue != lines[place - 1][0]:
            figure.add_hline(y=place - 0.5, line={"color": BASELINE, "width": 1})
    figure.add_vline(x=0, line={"color": BASELINE, "width": 2, "dash": "dot"})
    names = [f"{html.escape(cue[:1].upper() + cue[1:])} · {html.escape(model)} " for cue, model, _ in lines]
    figure.update_yaxes(
        tickvals=list(range(len(lines))), ticktext=names, range=[len(lines) - 0.4, -0.6], showgrid=False
    )
    figure.update_xaxes(title="share left; dotted: chance")
    return finish(figure, height=120 + 26 * len(lines))


NONE = Estimate(value=None)


def _points(name: str, symbol: str, colour: str, shown: Sequence[tuple[int, Estimate]]) -> go.Scatter:
    """One kind of ratio with its intervals, where it has some."""
    values = [each.value or 0.0 for _, each in shown]
    high = [0.0 if each.high is None else each.high - value for value, (_, each) in zip(values, shown, strict=True)]
    low = [0.0 if each.low is None else value - each.low for value, (_, each) in zip(values, shown, strict=True)]
    return go.Scatter(
        x=values,
        y=[at for at, _ in shown],
        mode="markers",
        name=name,
        marker={"size": 11, "symbol": symbol, "color": colour, "line": {"width": 2, "color": colour}},
        error_x={"type": "data", "array": high, "arrayminus": low, "color": colour, "thickness": 1.5, "width": 4},
        customdata=[each.words() if each.low is not None else f"{each.value:.2f}" for _, each in shown],
        hovertemplate=f"%{{customdata}}<extra>{name}</extra>",
    )
