"""One look for every figure: colours that survive colour blindness, projectors, and both light and dark pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

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
# Plotly reads a little HTML in every text, links among it. Ours are these; of anything else the bracket is shown.
_FOREIGN_TAG = re.compile(r"<(?!/?(?:b|br|i|sub|sup|span|extra)\s*/?>|span style=)")
_WORDS = ("name", "text", "hovertext", "hovertemplate", "texttemplate", "customdata", "labels", "x", "y")


def ink_on(ground: str) -> str:
    """Black or white letters, whichever has more contrast on an opaque `ground` such as "#0072B2" (WCAG 2.1)."""
    return max(("#000000", "#FFFFFF"), key=lambda ink: contrast(ink, ground))


def contrast(one: str, other: str) -> float:
    """The contrast of two colours "#rrggbb", from 1 to 21: (L1 + 0.05) / (L2 + 0.05) of their relative luminances."""
    dark, bright = sorted(map(_luminance, (one, other)))
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    shares = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def finish(figure: go.Figure, *, height: int = 360, **layout: object) -> go.Figure:
    """Apply the house layout; `layout` overrides it. Names in the figure draw no link and no tag but the house's."""
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
    figure.update_layout(**layout)
    for trace in figure.data:
        if trace.type == "bar" and trace.orientation == "h":
            _without_lines_through_words(figure, trace)
        for place in _WORDS:
            if place in trace:
                _keep_literal(trace, place)
    for annotation in figure.layout.annotations:
        _keep_literal(annotation, "text")
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        _keep_literal(axis.title, "text")
        _keep_literal(axis, "ticktext")
    _keep_literal(figure.layout.title, "text")
    return figure


def _without_lines_through_words(figure: go.Figure, bars: go.Bar) -> None:
    """Lines of the names' axis say nothing beside bars, and would strike out what is written behind each."""
    axis = (bars.yaxis or "y").replace("y", "yaxis")
    if axis not in figure.layout or figure.layout[axis].showgrid is None:
        figure.update_layout({axis: {"showgrid": False}})


def _keep_literal(part: Any, place: str) -> None:
    """Foreign tags become letters; what has none is left alone, as plotly checks all that is set."""
    if (cleaned := _literal(part[place])) is not None:
        part[place] = cleaned


def _literal(words: Any) -> Any:
    """The same words with foreign tags as letters; None where there is nothing to change."""
    if isinstance(words, str):
        return _FOREIGN_TAG.sub("&lt;", words) if "<" in words else None
    if isinstance(words, np.ndarray) and words.dtype.kind not in "OU":
        return None
    if isinstance(words, list | tuple | np.ndarray):
        cleaned = [_literal(each) for each in words]
        if any(each is not None for each in cleaned):
            return [each if new is None else new for each, new in zip(words, cleaned, strict=True)]
    return None


def spread(values: Sequence[float], least: float) -> list[float]:
    """Where to write the names of lines that end at `values`, in their order: pushed up where they would overprint.

    Args:
        least: the distance at which two names can be read, in the unit of `values`.
    """
    places, lowest = [0.0] * len(values), -np.inf
    for index in sorted(range(len(values)), key=values.__getitem__):
        lowest = places[index] = max(values[index], lowest + least)
    return places


@lru_cache(maxsize=8)
def colour_table(name: str = SEQUENTIAL) -> np.ndarray:
    """256 colours of a plotly colour scale: (256, 3) uint8."""
    colours = sample_colorscale(name, np.linspace(0, 1, 256).tolist())
    return np.array([[round(channel) for channel in unlabel_rgb(colour)] for colour in colours], dtype=np.uint8)
