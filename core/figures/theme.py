"""One look for every figure: colours that survive colour blindness, projectors, and both light and dark pages."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale, unlabel_rgb

# For code outside of `core/figures`, which does not import plotly.
Figure = go.Figure

# Okabe & Ito 2008, in an order that keeps neighbours apart; the grey stands for baselines.
CATEGORICAL = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5AB6")
BASELINE = "#8A8F98"
SEQUENTIAL = "Inferno"
DIVERGING = "RdBu_r"

# Transparent backgrounds let the page's theme show through; mid-greys are legible on both.
AXIS = {"gridcolor": "rgba(128,128,128,0.22)", "zeroline": False, "linecolor": "rgba(128,128,128,0.5)"}


def finish(figure: go.Figure, *, height: int = 360, **layout: object) -> go.Figure:
    """Apply the house layout; `layout` overrides it."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 28, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        colorway=list(CATEGORICAL),
        font={"size": 14},
        hoverlabel={"font": {"size": 14}},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
    )
    figure.update_xaxes(automargin=True, **AXIS)
    figure.update_yaxes(automargin=True, **AXIS)
    return figure.update_layout(**layout)


@lru_cache(maxsize=8)
def colour_table(name: str = SEQUENTIAL) -> np.ndarray:
    """256 colours of a plotly colour scale: (256, 3) uint8."""
    colours = sample_colorscale(name, np.linspace(0, 1, 256).tolist())
    return np.array([[round(channel) for channel in unlabel_rgb(colour)] for colour in colours], dtype=np.uint8)
