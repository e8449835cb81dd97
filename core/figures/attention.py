"""Figures of attention that are not pictures: how far heads look, how sure the model is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.figures.theme import CATEGORICAL, finish
from core.methods.accuracy.predictions import Prediction


def plot_predictions(predictions: Sequence[Prediction], *, title: str = "") -> go.Figure:
    """A bar per class, best on top; probabilities in percent."""
    labels = [short_label(prediction.label) for prediction in predictions]
    values = [100 * prediction.probability for prediction in predictions]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=list(range(len(labels))),
            customdata=labels,
            orientation="h",
            text=[f"{value:.1f} %" for value in values],
            textposition="outside",
            cliponaxis=False,
            marker_color=[CATEGORICAL[0]] + ["rgba(0,114,178,0.45)"] * (len(values) - 1),
            hovertemplate="%{customdata}: %{x:.2f} %<extra></extra>",
        )
    )
    # By position: ImageNet has two classes called crane.
    figure.update_yaxes(
        autorange="reversed", tickvals=list(range(len(labels))), ticktext=[f"{label} " for label in labels]
    )
    figure.update_xaxes(range=[0, max(100.0, max(values)) * 1.15], title="probability (%)")
    return finish(figure, height=60 + 38 * len(values), title=title, showlegend=False)


def plot_attention_distance(distances: Sequence[np.ndarray], names: Sequence[str], *, image_size: int) -> go.Figure:
    """A dot per head, layers along the axis: local heads low, global heads high.

    `distances`: one (layers, heads) array in input pixels per model.
    """
    figure = go.Figure()
    for index, (distance, name) in enumerate(zip(distances, names, strict=True)):
        layers, heads = distance.shape
        offsets = np.linspace(-0.14, 0.14, heads) + 0.34 * (index - (len(names) - 1) / 2)
        figure.add_trace(
            go.Scatter(
                x=(np.arange(layers)[:, None] + offsets).ravel(),
                y=distance.ravel(),
                mode="markers",
                name=name,
                marker={"size": 9, "opacity": 0.75, "color": CATEGORICAL[index]},
                customdata=[[layer + 1, head + 1] for layer in range(layers) for head in range(heads)],
                hovertemplate="layer %{customdata[0]}, head %{customdata[1]}: %{y:.1f}<extra>%{fullData.name}</extra>",
            )
        )
        figure.add_trace(
            go.Scatter(
                x=np.arange(layers),
                y=distance.mean(axis=1),
                mode="lines",
                line={"color": CATEGORICAL[index], "width": 2},
                showlegend=False,
                hoverinfo="skip",
            )
        )
    depth = max(distance.shape[0] for distance in distances)
    figure.update_xaxes(title="layer", tickvals=list(range(depth)), ticktext=[str(layer + 1) for layer in range(depth)])
    figure.update_yaxes(title=f"mean attention distance (px of {image_size})", rangemode="tozero")
    return finish(figure, showlegend=len(names) > 1)


def short_label(label: str, width: int = 28) -> str:
    """The first name of a class with synonyms ("tabby, tabby cat"), cut to `width`."""
    first = label.split(",")[0].strip()
    return first if len(first) <= width else first[: width - 1] + "…"
