"""A plane of latents as a tiled manifold: the pointer decodes under itself, from a grid of pictures sent once."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from core.methods.latent.drawing import Manifold
from pages.components.image_plane.image_plane import served
from pages.components.scripts import script

HTML = """
<div class="tools" role="toolbar" aria-label="Map">
  <button type="button" data-do="tiles" aria-pressed="true">Tiles</button>
  <button type="button" data-do="points" aria-pressed="true">Points</button>
  <span class="legend"></span>
</div>
<div class="stage"><canvas class="base"></canvas><canvas class="top" tabindex="0" role="application"></canvas></div>
<p aria-live="polite"></p>
"""
CSS = """
.tools, .legend, p { font-family: var(--st-font); color: var(--st-text-color); font-size: .92rem; }
.tools { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; margin-bottom: .5rem; }
button { border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); padding: .25rem .7rem;
  background: var(--st-secondary-background-color); color: var(--st-text-color); font: inherit; cursor: pointer; }
button[aria-pressed="true"] { border-color: var(--st-primary-color); box-shadow: 0 0 0 1px var(--st-primary-color); }
button[hidden] { display: none; }
button:focus-visible, canvas:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
.legend { display: inline-flex; flex-wrap: wrap; gap: .15rem .7rem; }
.legend span { display: inline-flex; align-items: center; gap: .3rem; }
.legend i { width: .75rem; height: .75rem; border-radius: 50%; display: inline-block; }
.stage { position: relative; width: 100%; max-width: var(--picture-most, var(--map-side, 640px)); aspect-ratio: 1; }
canvas { position: absolute; inset: 0; width: 100%; height: 100%; border-radius: var(--st-base-radius); }
.base { background: #000; }
.top { cursor: crosshair; touch-action: pan-y; }
p { min-height: 1.5em; margin: .4rem 0 0; opacity: .9; font-variant-numeric: tabular-nums; }
"""
_COMPONENT = st.components.v2.component(
    "vitrine_latent_map", html=HTML, css=CSS, js=script(Path(__file__).with_suffix(".js"))
)
# What is sent once, in bytes, and the tiles that are drawn of it.
_MOST_BYTES = 1_500_000
_MOST_SIDE = 41


def grid_side(pixels: int) -> int:
    """Decodings a side of the grid that is sent, for pictures of so many numbers; odd, so that one lies at the centre.

    The tiles that are drawn are every second of them.
    """
    side = min(_MOST_SIDE, math.isqrt(_MOST_BYTES // pixels))
    return max(9, side - (side + 1) % 2)


def latent_map(
    plane: Manifold,
    *,
    dimensions: tuple[int, int],
    points: np.ndarray,
    codes: np.ndarray,
    legend: Sequence[str],
    palette: Sequence[str],
    pinned: tuple[float, float],
    key: str,
    alt: str,
    side: int = 640,
    on_choice: Callable[[float, float], None],
) -> None:
    """Show the plane; `on_choice(across, up)` runs before the next rerun when a place was clicked.

    Args:
        plane: the grid of decodings, side² of them.
        dimensions: which latents lie across and up.
        points: (pictures, 2) means to be drawn over the tiles; may be empty.
        codes: (pictures,) into `legend` and `palette`.
        pinned: the place that is marked.
        side: in CSS pixels, where there is room.
    """
    count, _, height, width, channels = plane.pictures.shape
    pixels = (np.clip(plane.pictures, 0, 1) * 255).round().astype(np.uint8)

    def report() -> None:
        place = read_place((st.session_state.get(key) or {}).get("at"))
        if place is not None:
            on_choice(*place)

    packed = np.ascontiguousarray(points, "<f4").tobytes() + np.ascontiguousarray(codes, "<u2").tobytes()
    _COMPONENT(
        key=key,
        data={
            "grid": served(pixels.tobytes(), "application/octet-stream", f"{key}.grid"),
            "points": base64.b64encode(packed).decode(),
            "count": len(points),
            "shape": [count, height, width, channels],
            "axis": [float(value) for value in plane.axis],
            "dimensions": list(dimensions),
            "legend": list(legend),
            "palette": list(palette),
            "pinned": list(pinned),
            "side": side,
            "alt": alt,
        },
        on_at_change=report,
    )


def read_place(told: object) -> tuple[float, float] | None:
    """What the browser says was clicked; it may be anything."""
    if not isinstance(told, list) or len(told) < 2:
        return None
    across, up = told[:2]
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in (across, up)):
        return None
    return (float(across), float(up)) if abs(across) < 1e3 and abs(up) < 1e3 else None
