"""A small canvas to draw on with mouse or finger: light strokes on black, as digits of MNIST are."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

import numpy as np
import streamlit as st

from pages.components.scripts import script

HTML = """
<canvas width="280" height="280" role="img"></canvas>
<div class="tools"><button type="button">Clear</button><span></span></div>
"""
CSS = """
canvas { width: 100%; max-width: 280px; aspect-ratio: 1; display: block; background: #000; cursor: crosshair;
  touch-action: none; border-radius: var(--st-base-radius); border: 1px solid var(--st-border-color);
  box-sizing: border-box; }
.tools { display: flex; gap: .6rem; align-items: center; margin-top: .4rem; font-family: var(--st-font);
  color: var(--st-text-color); font-size: .9rem; }
button { border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); padding: .25rem .8rem;
  background: var(--st-secondary-background-color); color: var(--st-text-color); font: inherit; cursor: pointer; }
button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
"""
_COMPONENT = st.components.v2.component(
    "vitrine_draw_canvas", html=HTML, css=CSS, js=script(Path(__file__).with_suffix(".js"))
)
SIDE = 56


def draw_canvas(*, key: str, alt: str) -> None:
    """Show the canvas; `kept_drawing` has what was drawn, also while the canvas is not on the page."""

    def keep() -> None:
        st.session_state[f"{key}_kept"] = (st.session_state.get(key) or {}).get("drawing")

    kept = st.session_state.get(f"{key}_kept")
    _COMPONENT(
        key=key,
        data={"side": SIDE, "drawing": kept if read_drawing(kept) is not None else "", "alt": alt},
        on_drawing_change=keep,
    )


def kept_drawing(key: str) -> np.ndarray | None:
    """The drawing, (56, 56) uint8, light on black; None where nothing was drawn yet or it was cleared."""
    return read_drawing(st.session_state.get(f"{key}_kept"))


def read_drawing(told: object) -> np.ndarray | None:
    """What the browser says was drawn; it may be anything."""
    if not isinstance(told, str) or len(told) != 4 * -(-(SIDE**2) // 3):
        return None
    try:
        found = base64.b64decode(told, validate=True)
    except (binascii.Error, ValueError):
        return None
    return np.frombuffer(found, np.uint8).reshape(SIDE, SIDE) if len(found) == SIDE**2 else None
