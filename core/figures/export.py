"""Figures as files: HTML always; PNG and SVG where a Chromium can be found to draw them."""

from __future__ import annotations

import os
from typing import Literal

import plotly.graph_objects as go

from core.errors import CoreError


def can_draw() -> bool:
    """Whether PNG and SVG can be made on this machine."""
    return find_browser() is not None


def find_browser() -> str | None:
    """The browser that would draw, looked for as the drawing itself does.

    That is `BROWSER_PATH`, one that choreographer has downloaded, then Chrome, Chromium, Edge and Brave: in Windows'
    registry, on PATH, and where they are usually installed on Windows, macOS and Linux.
    """
    from choreographer.browsers.chromium import Chromium

    found = Chromium.find_browser(skip_local=False)
    return found if found and os.access(found, os.X_OK) else None


def figure_html(figure: go.Figure) -> bytes:
    """A page of its own that works offline; its tool bar saves the figure as SVG."""
    config = {"toImageButtonOptions": {"format": "svg"}, "displaylogo": False}
    return _on_white(figure).to_html(include_plotlyjs=True, config=config).encode()


def figure_image(figure: go.Figure, kind: Literal["png", "svg"]) -> bytes:
    """The figure as PNG (twice the screen's resolution) or SVG.

    Raises:
        CoreError: no Chromium is installed, or it did not answer.
    """
    try:
        image: bytes = _on_white(figure).to_image(format=kind, scale=2 if kind == "png" else 1, width=900)
        return image
    except Exception as error:  # kaleido raises many kinds, from its browser's start to its time-outs
        raise CoreError(
            f"The figure could not be drawn as {kind.upper()} ({type(error).__name__}).",
            "Install Chromium on the machine that runs Vitrine, or save the HTML and use its tool bar.",
        ) from error


def _on_white(figure: go.Figure) -> go.Figure:
    return go.Figure(figure).update_layout(template="plotly_white", paper_bgcolor="white", plot_bgcolor="white")
