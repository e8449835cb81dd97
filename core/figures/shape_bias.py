"""Decisions by shape and by texture, category by category, as Geirhos et al. 2019 draw them."""

from __future__ import annotations

import html
from collections.abc import Mapping

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.figures.attention import short_label
from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.methods.biases.shape_bias import CueDecisions, ShapeBias


def plot_shape_bias(models: Mapping[str, ShapeBias]) -> go.Figure:
    """Left: of the decisions for a cue, the share by shape, from texture (0) to shape (1); right: how many decided.

    A line a model stands at its bias over all images. Dotted: what guessing gives.
    """
    names = list(dict.fromkeys(row.name for found in models.values() for row in found.categories))
    at = {name: len(names) - place for place, name in enumerate(names)}
    figure = make_subplots(cols=2, shared_yaxes=True, column_widths=[0.68, 0.32], horizontal_spacing=0.07)
    for place, (title, found) in enumerate(models.items()):
        colour, symbol = CATEGORICAL[place % len(CATEGORICAL)], place
        decided = [row for row in found.categories if row.decided]
        common = {"mode": "markers", "name": html.escape(title), "legendgroup": title}
        marker = {"size": 12, "color": colour, "symbol": symbol}
        figure.add_trace(
            go.Scatter(
                x=[row.bias.value for row in decided], y=[at[row.name] for row in decided], marker=marker,
                customdata=[_words(row) for row in decided],
                hovertemplate="%{customdata}<extra>" + html.escape(title) + "</extra>", **common,
            ),
            row=1, col=1,
        )  # fmt: skip
        figure.add_trace(
            go.Scatter(
                x=[row.decided_share for row in found.categories], y=[at[row.name] for row in found.categories],
                marker=marker, showlegend=False, customdata=[_words(row) for row in found.categories],
                hovertemplate="%{customdata}<extra>" + html.escape(title) + "</extra>", **common,
            ),
            row=1, col=2,
        )  # fmt: skip
        if found.overall.bias.value is not None:
            figure.add_vline(x=found.overall.bias.value, line={"color": colour, "width": 3}, row=1, col=1)
        figure.add_vline(x=found.overall.decided_share, line={"color": colour, "width": 3}, row=1, col=2)
    guessing = {"color": BASELINE, "width": 2, "dash": "dot"}
    figure.add_vline(x=0.5, line=guessing, row=1, col=1)
    if models:
        chance = next(iter(models.values())).chance_decided
        figure.add_vline(x=chance, line=guessing, row=1, col=2)
    figure.update_xaxes(
        range=[-0.04, 1.04], tickvals=[0, 0.5, 1], ticktext=["0<br>texture", "0.5", "1<br>shape"],
        title="by shape, of decisions for a cue", col=1,
    )  # fmt: skip
    figure.update_xaxes(range=[-0.04, 1.04], tickformat=".0%", tickvals=[0, 0.5, 1], title="decided for a cue", col=2)
    figure.update_yaxes(tickvals=list(at.values()), ticktext=[f"{html.escape(short_label(name))} " for name in at])
    return finish(figure, height=150 + 27 * len(names))


def _words(row: CueDecisions) -> str:
    return f"{html.escape(row.name)}: {row.shape} by shape, {row.texture} by texture, {row.neither} by neither"
