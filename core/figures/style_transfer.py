"""How far the style has come, and how far the content had to give way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.figures.theme import BASELINE, CATEGORICAL, finish

# Below it a logarithmic axis would be drawn for nothing but the first steps.
LEAST_SHARE = 1e-3


def plot_style_losses(
    content: np.ndarray,
    style: np.ndarray,
    *,
    steps: int,
    layers: dict[str, np.ndarray] | None = None,
    height: int = 300,
) -> go.Figure:
    """Both losses over the steps, each as a share of what it is to be compared with.

    Args:
        content: (steps so far,), 1 is as far from the content as the style's own picture.
        style: (steps so far,), 1 is as far from the style as the content's own picture.
        steps: where the axis ends.
        layers: the same as `style` for every style layer.
    """
    figure = go.Figure()
    for name, values in (layers or {}).items():
        _line(figure, f"style, {name}", values, BASELINE, 1.2)
    _line(figure, "style", style, CATEGORICAL[1], 3)
    _line(figure, "content", content, CATEGORICAL[0], 3)
    figure.update_xaxes(title="step", range=[0, max(1, steps)])
    figure.update_yaxes(
        title="share of its 100 %",
        type="log",
        range=[np.log10(LEAST_SHARE), np.log10(2)],
        tickvals=[0.001, 0.01, 0.1, 1],
        ticktext=["0.1 %", "1 %", "10 %", "100 %"],
    )
    return finish(figure, height=height, uirevision="style losses")


def _line(figure: go.Figure, name: str, values: Sequence[float] | np.ndarray, colour: str, width: float) -> None:
    shown = np.where(np.asarray(values) >= LEAST_SHARE, values, np.nan)
    figure.add_scatter(
        x=np.arange(len(shown)),
        y=shown,
        mode="lines",
        name=name,
        line={"color": colour, "width": width},
        showlegend=width > 2,
        hovertemplate=f"{name}: %{{y:.2%}} at step %{{x}}<extra></extra>",
    )
