"""Photos with patches taken away, and what the model still believes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.figures.attention import short_label
from core.figures.overlay import PAPER
from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.methods.accuracy.predictions import class_name
from core.methods.masking.orders import MaskingCurve, RandomBand, keep_from_order, masking_order

STRATEGY_COLOURS = {
    "most_attended": CATEGORICAL[1],
    "least_attended": CATEGORICAL[0],
    "centre": CATEGORICAL[2],
    "random": BASELINE,
    "hand": CATEGORICAL[3],
}


def masked_thumbnail(photo: np.ndarray, scores: np.ndarray, *, share: float) -> np.ndarray:
    """The photo without the `share` of its patches that `scores` (rows, columns) rank highest, in plain grey."""
    grid = (scores.shape[0], scores.shape[1])
    keep = keep_from_order(masking_order("most_attended", grid, scores=scores), share, grid)
    height, width = photo.shape[:2]
    wide = keep[np.arange(height) * grid[0] // height][:, np.arange(width) * grid[1] // width]
    return np.where(wide[..., None], photo, np.array(PAPER, dtype=np.uint8))


def plot_masking_curves(
    curves: Mapping[str, MaskingCurve],
    titles: Mapping[Any, str],
    band: RandomBand | None,
    *,
    current: tuple[str, int] | None,
    classes: Sequence[str],
    measure: str,
) -> go.Figure:
    """Confidence against the share removed, one line a strategy, random orders as a band of ± 2 standard deviations.

    `current`: the strategy and step under the slider.
    """
    figure = go.Figure()
    if band is not None:
        low, high = band.mean - 2 * band.std, np.minimum(band.mean + 2 * band.std, 1)
        figure.add_trace(
            go.Scatter(
                x=np.concatenate([band.shares, band.shares[::-1]]) * 100,
                y=np.concatenate([high, low[::-1]]),
                fill="toself",
                fillcolor="rgba(138,143,152,0.25)",
                line={"width": 0},
                hoverinfo="skip",
                name=f"random, {len(band.seeds)} orders (± 2 sd)",
            )
        )
        figure.add_trace(
            go.Scatter(
                x=band.shares * 100,
                y=band.mean,
                mode="lines",
                line={"color": BASELINE, "dash": "dot"},
                name="random, mean",
                showlegend=False,
                hovertemplate="%{x:.0f} % at random: %{y:.2f}<extra></extra>",
            )
        )
    for strategy, curve in curves.items():
        named = [""] * len(curve.shares)
        if curve.top_class is not None and curve.top_probability is not None:
            named = [
                f"<br>says {short_label(class_name(classes, int(index)))} {probability:.0%}"
                for index, probability in zip(curve.top_class, curve.top_probability, strict=True)
            ]
        figure.add_trace(
            go.Scatter(
                x=curve.shares * 100,
                y=curve.confidence,
                mode="lines",
                line={"color": STRATEGY_COLOURS[strategy], "width": 4 if current and current[0] == strategy else 2},
                name=titles[strategy],
                customdata=named,
                hovertemplate="%{x:.0f} % removed: %{y:.2f}%{customdata}<extra></extra>",
            )
        )
    if current and current[0] in curves:
        curve, step = curves[current[0]], current[1]
        figure.add_trace(
            go.Scatter(
                x=[curve.shares[step] * 100],
                y=[curve.confidence[step]],
                mode="markers",
                marker={"size": 15, "color": "#FFC400", "line": {"width": 2, "color": "#222"}},
                showlegend=False,
                hoverinfo="skip",
            )
        )
    figure.update_xaxes(title="patches removed (%)", range=[-1, 101])
    figure.update_yaxes(title=measure, range=[min(-0.02, *(float(c.confidence.min()) for c in curves.values())), 1.03])
    return finish(figure, height=400)
