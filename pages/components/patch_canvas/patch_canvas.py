"""The photo with its patch grid: hover, click or use the arrow keys to ask a patch what it attends to."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import streamlit as st

from core.figures.theme import DIVERGING, SEQUENTIAL, colour_table
from pages.components.scripts import script

HTML = """
<canvas tabindex="0" role="application"></canvas>
<p aria-live="polite"></p>
"""
CSS = """
canvas { width: 100%; max-width: var(--picture-most, none); aspect-ratio: 1; display: block;
  border-radius: var(--st-base-radius); }
canvas:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
p { min-height: 1.5em; margin: .4rem 0 0; font-size: .9rem; color: var(--st-text-color); opacity: .85;
    font-family: var(--st-font); }
"""
_COMPONENT = st.components.v2.component(
    "vitrine_patch_canvas", html=HTML, css=CSS, js=script(Path(__file__).with_suffix(".js"))
)


def attention_canvas(
    photo: str,
    weights: np.ndarray,
    grid: tuple[int, int],
    *,
    key: str,
    alt: str,
    signed: bool = False,
    direction: Literal["to", "from"] = "to",
    smooth: bool = True,
    reader: str = "The class token",
    selected: int = -1,
    on_choice: Callable[[int], None],
) -> None:
    """Show attention live under the pointer; `on_choice(patch)`, -1 for none, runs before the next rerun.

    `photo`: a square picture as a `data:` address. `weights`: (1 + patches, patches), first the row of the
    `reader`, shown while no patch is chosen.
    """
    stored, peaks = _quantise(weights, signed)
    colours = colour_table(DIVERGING if signed else SEQUENTIAL)

    def report() -> None:
        chosen = (st.session_state.get(key) or {}).get("selected", -1)
        if isinstance(chosen, int) and -1 <= chosen < grid[0] * grid[1]:
            on_choice(chosen)

    _COMPONENT(
        key=key,
        data={
            "image": photo,
            "rows": grid[0],
            "cols": grid[1],
            "weights": base64.b64encode(stored.tobytes()).decode(),
            "peaks": peaks.tolist(),
            "signed": signed,
            "direction": direction,
            "smooth": smooth,
            "reader": reader,
            "colours": base64.b64encode(colours.tobytes()).decode(),
            "selected": selected,
            "mode": "look",
            "alt": alt,
        },
        on_selected_change=report,
    )


def paint_canvas(photo: str, grid: tuple[int, int], *, filling: str, key: str, alt: str) -> list[int]:
    """Let patches be removed by hand; returns the removed ones, in raster order.

    `filling`: what lies under all of the patches, a square picture as a `data:` address like `photo`.
    """
    removed = painted_patches(key, grid)
    _COMPONENT(
        key=key,
        data={
            "image": photo,
            "rows": grid[0],
            "cols": grid[1],
            "colours": "",
            "removed": removed,
            "filling": filling,
            "mode": "paint",
            "alt": alt,
        },
        on_removed_change=lambda: None,
    )
    return removed


def painted_patches(key: str, grid: tuple[int, int]) -> list[int]:
    """What has been removed on the canvas called `key`."""
    stored = (st.session_state.get(key) or {}).get("removed") or []
    return [patch for patch in stored if isinstance(patch, int) and 0 <= patch < grid[0] * grid[1]]


def _quantise(weights: np.ndarray, signed: bool) -> tuple[np.ndarray, np.ndarray]:
    """A byte per weight and each row's largest magnitude: a 256-patch map is 64 KB instead of 256."""
    peaks = np.maximum(np.abs(weights).max(axis=1), 1e-12)
    share = weights / peaks[:, None]
    stored = np.round(share * 127 + 128) if signed else np.round(np.clip(share, 0, 1) * 255)
    return stored.astype(np.uint8), peaks
