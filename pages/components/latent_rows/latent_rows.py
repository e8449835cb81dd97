"""Latents as rows of pictures: the pointer on a row turns that latent, from decodings sent once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import streamlit as st

from core.methods.latent.drawing import Traversal
from core.methods.latent.pictures import as_bytes
from pages.components.image_plane.image_plane import served
from pages.components.scripts import script

HTML = """
<p aria-live="polite"></p>
<div class="stage"><canvas class="base"></canvas><canvas class="top" tabindex="0" role="application"></canvas></div>
"""
CSS = """
.stage, p { font-family: var(--st-font); color: var(--st-text-color); font-size: .92rem; }
canvas:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
.stage { position: relative; width: 100%; max-width: 640px; }
canvas { position: absolute; inset: 0; width: 100%; height: 100%; border-radius: var(--st-base-radius); }
.top { cursor: ew-resize; touch-action: pan-y; }
p { min-height: 1.5em; margin: 0 0 .4rem; opacity: .9; font-variant-numeric: tabular-nums; }
"""
_COMPONENT = st.components.v2.component(
    "vitrine_latent_rows", html=HTML, css=CSS, js=script(Path(__file__).with_suffix(".js"))
)
# What is sent once, in bytes. Nine tiles a row are drawn, so the steps are a multiple of eight, and one.
_MOST_BYTES = 1_500_000
_STEPS = (65, 33, 17, 9)


def row_steps(rows: int, pixels: int) -> int:
    """Decodings a row that are sent, for so many rows of pictures of so many numbers."""
    return next((steps for steps in _STEPS if rows * steps * pixels <= _MOST_BYTES), _STEPS[-1])


def latent_rows(
    walked: Traversal,
    *,
    point: tuple[float, ...],
    key: str,
    alt: str,
    rest: str,
    on_choice: Callable[[int, float], None],
) -> None:
    """Show the rows; `on_choice(dimension, value)` runs before the next rerun when a value was clicked.

    Args:
        walked: the decodings, `row_steps` a row, over values that lie around 0.
        point: (latent_dim,) where the latents are while nothing is turned; marked in every row.
        rest: what is said while the pointer is elsewhere.
    """

    def report() -> None:
        kept = read_kept((st.session_state.get(key) or {}).get("kept"), tuple(walked.dimensions.tolist()))
        if kept is not None:
            on_choice(*kept)

    dimensions = walked.dimensions.tolist()
    _COMPONENT(
        key=key,
        data={
            "rows": served(
                np.ascontiguousarray(as_bytes(walked.pictures)).tobytes(), "application/octet-stream", f"{key}.rows"
            ),
            "shape": list(walked.pictures.shape),
            "names": [f"z{each}" for each in dimensions],
            "dimensions": dimensions,
            "at": [point[each] for each in dimensions],
            "extent": float(walked.values[-1]),
            "rest": rest,
            "alt": alt,
        },
        on_kept_change=report,
    )


def read_kept(told: object, dimensions: tuple[int, ...]) -> tuple[int, float] | None:
    """What the browser says was clicked; it may be anything."""
    if not isinstance(told, list) or len(told) < 2:
        return None
    dimension, value = told[:2]
    if isinstance(dimension, bool) or not isinstance(dimension, int) or dimension not in dimensions:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 100:
        return None
    return dimension, round(float(value), 2)
