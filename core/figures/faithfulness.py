"""Whether a heat map matters: deletion and insertion curves, and the track record over many images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.methods.masking.faithfulness import Faithfulness, TrackRecord


def plot_faithfulness(result: Faithfulness, titles: Mapping[str, str], *, measure: str) -> go.Figure:
    """Deletion on the left (low is faithful), insertion on the right (high is faithful), random orders in grey."""
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.04)
    percent = result.shares * 100
    for column, curves in ((1, result.random.deletion), (2, result.random.insertion)):
        for index, curve in enumerate(curves):
            figure.add_trace(
                go.Scatter(
                    x=percent,
                    y=curve,
                    mode="lines",
                    line={"color": BASELINE, "width": 1},
                    opacity=0.55,
                    legendgroup="random",
                    name=f"random, {len(curves)} orders",
                    showlegend=column == 1 and index == 0,
                    hoverinfo="skip",
                ),
                row=1,
                col=column,
            )
    for index, (method, tested) in enumerate(result.methods.items()):
        for column, curve in ((1, tested.deletion), (2, tested.insertion)):
            figure.add_trace(
                go.Scatter(
                    x=percent,
                    y=curve,
                    mode="lines",
                    line={"color": CATEGORICAL[index], "width": 3},
                    legendgroup=method,
                    name=titles[method],
                    showlegend=column == 1,
                    hovertemplate="%{x:.0f} %: %{y:.2f}<extra>" + titles[method] + "</extra>",
                ),
                row=1,
                col=column,
            )
    figure.update_xaxes(title="deleted (%)", row=1, col=1)
    figure.update_xaxes(title="inserted (%)", row=1, col=2)
    figure.update_yaxes(title=measure, row=1, col=1)
    return finish(figure, height=400)


def plot_track_record(tracks: Mapping[str, TrackRecord], titles: Mapping[str, str]) -> go.Figure:
    """Mean gain over random orders on the same images, with 95 % intervals; right of zero beats random."""
    methods = list(tracks)[::-1]
    figure = go.Figure()
    for label, colour, shift in (("deletion", CATEGORICAL[1], 0.16), ("insertion", CATEGORICAL[0], -0.16)):
        gains = [getattr(tracks[method], f"{label}_gain") for method in methods]
        figure.add_trace(
            go.Scatter(
                x=[gain.mean for gain in gains],
                y=np.arange(len(methods)) + shift,
                mode="markers",
                name=f"{label} area better than random by",
                marker={"size": 11, "color": colour},
                error_x={
                    "type": "data",
                    "array": [gain.high - gain.mean for gain in gains],
                    "arrayminus": [gain.mean - gain.low for gain in gains],
                    "color": colour,
                },
                hovertemplate=label + ": %{x:+.3f}<extra></extra>",
            )
        )
    figure.add_vline(x=0, line={"color": BASELINE, "width": 2})
    figure.update_yaxes(
        tickvals=list(range(len(methods))),
        ticktext=[titles.get(m, m) for m in methods],
        range=[-0.6, len(methods) - 0.4],
    )
    figure.update_xaxes(title="gain in area over random orders (95 % interval)")
    return finish(figure, height=130 + 70 * len(methods))
