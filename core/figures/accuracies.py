"""Accuracies of models × data sets as a heat map, and class token beside mean as bars."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

import plotly.graph_objects as go

from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.methods.accuracy.measured import POOLINGS, MeasuredAccuracy

_LONGEST = 42


def plot_accuracies(cells: Mapping[tuple[str, str], MeasuredAccuracy]) -> go.Figure:
    """A field for each model (down) and data set (across), the brighter the more is right; empty: not measured."""
    rows, datasets = ordered(cells.values())
    values, texts, words = [], [], []
    for row in rows:
        found = [cells.get((row, dataset)) for dataset in datasets]
        values.append([None if each is None else each.accuracy for each in found])
        texts.append(["" if each is None else f"{each.accuracy:.0%}" for each in found])
        said = ["not measured" if each is None else sentence(each) for each in found]
        words.append([f"<b>{html.escape(row)}</b><br>{html.escape(each)}" for each in said])
    figure = go.Figure(
        go.Heatmap(
            x=[html.escape(dataset) for dataset in datasets],
            y=list(range(len(rows))),  # not their names, which may be equal once they are shortened
            z=values,
            text=texts,
            texttemplate="%{text}",
            customdata=words,
            hovertemplate="%{customdata}<extra>%{x}</extra>",
            hoverongaps=True,
            colorscale="Cividis",
            zmin=0,
            zmax=1,
            xgap=2,
            ygap=2,
            showscale=False,  # every field has its number, and names need the room
        )
    )
    figure.update_xaxes(side="top", showgrid=False)
    names = [html.escape(_short(row)) for row in rows]
    figure.update_yaxes(autorange="reversed", showgrid=False, tickvals=list(range(len(rows))), ticktext=names)
    return finish(figure, height=130 + 24 * len(rows))


def plot_probes(
    probes: Sequence[MeasuredAccuracy], published: Mapping[str, Mapping[str, float]] | None = None
) -> go.Figure:
    """Linear probes on class token and on the mean of the patches side by side, a pair of bars a model.

    Args:
        probes: of one data set.
        published: model → pooling → accuracy, drawn pale behind those measured here.
    """
    models = list(dict.fromkeys(each.model for each in sorted(probes, key=lambda each: -each.accuracy)))
    figure = go.Figure()
    for colour, (pooling, name) in zip(CATEGORICAL, POOLINGS.items(), strict=False):
        found = {each.model: each for each in probes if each.pooling == pooling}
        if not found:
            continue
        shown = [model for model in models if model in found]
        right = [found[model] for model in shown]
        figure.add_trace(
            go.Bar(
                x=[html.escape(model) for model in shown],
                y=[each.accuracy for each in right],
                name=name,
                marker_color=colour,
                error_y={
                    "type": "data",
                    "array": [each.high - each.accuracy for each in right],
                    "arrayminus": [each.accuracy - each.low for each in right],
                    "color": BASELINE,
                },
                customdata=[html.escape(sentence(each)) for each in right],
                hovertemplate=f"<b>%{{x}}</b>, {name}<br>%{{customdata}}<extra></extra>",
            )
        )
    _published(figure, published or {})
    figure.update_layout(barmode="group")
    figure.update_yaxes(range=[0, 1], tickformat=".0%", title="test accuracy")
    return finish(figure, height=380)


def _published(figure: go.Figure, published: Mapping[str, Mapping[str, float]]) -> None:
    """Diamonds for what others reported."""
    for colour, (pooling, name) in zip(CATEGORICAL, POOLINGS.items(), strict=False):
        shown = {model: each[pooling] for model, each in published.items() if pooling in each}
        if shown:
            figure.add_trace(
                go.Bar(
                    x=[f"{html.escape(model)} (published)" for model in shown],
                    y=list(shown.values()),
                    name=f"{name}, published",
                    marker={"color": colour, "opacity": 0.45, "pattern": {"shape": "/"}},
                    hovertemplate="<b>%{x}</b><br>%{y:.1%}, as published<extra></extra>",
                )
            )


def ordered(cells: Iterable[MeasuredAccuracy]) -> tuple[list[str], list[str]]:
    """Rows and columns of the table: data sets that most models were measured on first, then rows by their accuracy
    on the first data set that they have, protocol by protocol."""
    everything: Sequence[MeasuredAccuracy] = list(cells)
    counts: dict[str, int] = {}
    for each in everything:
        counts[each.dataset] = counts.get(each.dataset, 0) + 1
    datasets = sorted(counts, key=lambda title: (-counts[title], title))
    best: dict[str, tuple[str, int, float]] = {}
    for each in everything:
        rank = each.protocol, datasets.index(each.dataset), -each.accuracy
        best[each.row] = min(best.get(each.row, rank), rank)
    return sorted(best, key=lambda row: (best[row], row)), datasets


def sentence(measured: MeasuredAccuracy) -> str:
    """One measurement in words, with what it rests on."""
    learned = f", learned from {measured.train_count:,}" if measured.train_count else ""
    return (
        f"{measured.accuracy:.1%} of {measured.count:,} images (95 % {measured.low:.1%} to {measured.high:.1%}), "
        f"{measured.split}{learned}; {measured.source}"
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
