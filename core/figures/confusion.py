"""A classifier's answers over a whole data set: who is taken for whom, class by class, and strategy by strategy."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.figures.attention import short_label
from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.methods.accuracy.confusion import Accuracy, classes_by_error

MOST_CLASSES = 30
# Up to so many classes the cells have room for their percentages.
NUMBERED = 12


def plot_confusion(confusion: np.ndarray, classes: Sequence[str], *, most: int = MOST_CLASSES) -> go.Figure:
    """The confusion matrix in percent of each true class: rows the truth, columns what was said.

    Of more than `most` classes, those with the most errors, in their own order.
    """
    shown = list(classes_by_error(confusion, most))
    totals = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    share = (100 * confusion / totals)[np.ix_(shown, shown)]
    counts = confusion[np.ix_(shown, shown)]
    names = [html.escape(short_label(classes[index], 22)) for index in shown]
    places = list(range(len(shown)))
    figure = go.Figure(
        go.Heatmap(
            z=share,
            x=places,
            y=places,
            zmin=0,
            zmax=100,
            # White is nothing on light pages and dark ones alike.
            colorscale=[[0, "rgba(0,114,178,0)"], [0.15, "rgba(86,180,233,0.55)"], [1, "#0072B2"]],
            customdata=[[[names[row], names[column], int(counts[row, column])] for column in places] for row in places],
            hovertemplate="%{customdata[0]} taken for %{customdata[1]}: %{customdata[2]:,} (%{z:.1f} %)<extra></extra>",
            showscale=False,
            xgap=1,
            ygap=1,
        )
    )
    if len(shown) <= NUMBERED:
        for row in places:
            for column in places:
                if share[row, column] >= 0.5:
                    figure.add_annotation(
                        x=column,
                        y=row,
                        text=f"{share[row, column]:.0f}",
                        showarrow=False,
                        font={"size": 13, **({"color": "white"} if share[row, column] > 55 else {})},
                    )
    # Of many classes only the rows are named: below, the names would overlap, and each cell says what it is.
    named = {"tickvals": places, "ticktext": names, "tickangle": -40} if len(shown) <= NUMBERED else {"tickvals": []}
    figure.update_xaxes(title="said (% of the true class)", showgrid=False, **named)
    figure.update_yaxes(tickvals=places, ticktext=names, title="true class", autorange="reversed", showgrid=False)
    return finish(figure, height=max(340, 150 + (34 if len(shown) <= NUMBERED else 20) * len(shown)))


def plot_class_accuracies(
    classes: Sequence[str], accuracies: Sequence[Accuracy], *, overall: float, most: int = MOST_CLASSES
) -> go.Figure:
    """Accuracy of every class with its 95 % interval, best on top; of many, the best and the worst half of `most`."""
    order = sorted(range(len(classes)), key=lambda index: -accuracies[index].value)
    order = [index for index in order if accuracies[index].count]
    if len(order) > most:
        order = [*order[: most // 2], *order[-(most // 2) :]]
    values = [100 * accuracies[index].value for index in order]
    intervals = [accuracies[index].interval for index in order]
    places = list(range(len(order)))
    figure = go.Figure(
        go.Scatter(
            x=values,
            y=places,
            mode="markers",
            marker={"size": 10, "color": CATEGORICAL[0]},
            error_x={
                "type": "data",
                "array": [100 * high - value for (_, high), value in zip(intervals, values, strict=True)],
                "arrayminus": [value - 100 * low for (low, _), value in zip(intervals, values, strict=True)],
                "color": CATEGORICAL[0],
            },
            customdata=[[html.escape(classes[index]), accuracies[index].count] for index in order],
            hovertemplate="%{customdata[0]}: %{x:.1f} % of %{customdata[1]}<extra></extra>",
            showlegend=False,
        )
    )
    figure.add_vline(x=100 * overall, line={"color": BASELINE, "width": 2, "dash": "dot"})
    names = [f"{html.escape(short_label(classes[index], 22))} " for index in order]
    figure.update_yaxes(tickvals=places, ticktext=names, autorange="reversed")
    figure.update_xaxes(title="accuracy (%), 95 % intervals; dotted: all classes", range=[-2, 102])
    return finish(figure, height=max(340, 110 + (30 if len(order) <= 12 else 20) * len(order)))


def plot_compared_accuracies(titles: Sequence[str], accuracies: Sequence[Accuracy], *, chosen: int) -> go.Figure:
    """Accuracy with its 95 % interval, a row for each of `titles`; the `chosen` one in colour."""
    places = list(range(len(titles)))
    colours = [CATEGORICAL[1] if place == chosen else CATEGORICAL[0] for place in places]
    figure = go.Figure()
    for place, right in zip(places, accuracies, strict=True):
        low, high = right.interval
        figure.add_trace(
            go.Scatter(
                x=[100 * right.value],
                y=[place],
                mode="markers+text",
                text=[right.short()],
                textposition="top center",
                marker={"size": 12, "color": colours[place]},
                error_x={
                    "type": "data",
                    "array": [100 * (high - right.value)],
                    "arrayminus": [100 * (right.value - low)],
                    "color": colours[place],
                },
                hovertemplate=f"{html.escape(titles[place])}: {right.sentence()}<extra></extra>",
                showlegend=False,
            )
        )
    # A telephone has room for three words beside the plot.
    lines = [[html.escape(line) for line in textwrap.wrap(title, 20, break_long_words=False)] for title in titles]
    names = [f"{'<br>'.join(each)} " for each in lines]
    figure.update_yaxes(tickvals=places, ticktext=names, range=[len(titles) - 0.5, -0.7])
    ends = [100 * end for right in accuracies for end in right.interval]
    margin = 0.15 * (max(ends) - min(ends)) + 1  # for the numbers above the first and the last point
    figure.update_xaxes(title="accuracy (%), 95 % intervals", range=[min(ends) - margin, max(ends) + margin])
    return finish(figure, height=100 + max(48, 17 * max(map(len, lines), default=1) + 14) * len(titles))
