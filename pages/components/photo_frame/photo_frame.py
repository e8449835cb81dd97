"""A small photo and on it the frame of what the model sees, which can be moved along the side that is cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import streamlit as st

from pages.components.scripts import script

HTML = """<div class="box"><img alt="" draggable="false"><div class="frame"></div></div>"""
CSS = """
.box { position: relative; overflow: hidden; border-radius: 4px; background: var(--st-secondary-background-color); }
img { position: absolute; display: block; user-select: none; }
.frame { position: absolute; box-sizing: border-box; border: 2px solid #fff; outline: 1px solid #000;
  box-shadow: 0 0 0 999px rgba(0, 0, 0, .55); touch-action: none; }
.frame:focus-visible { border-color: var(--st-primary-color); outline: 2px solid var(--st-primary-color); }
"""
ROOM = (190, 84)  # width and height, in pixels of the screen
_COMPONENT = st.components.v2.component(
    "vitrine_photo_frame", html=HTML, css=CSS, js=script(Path(__file__).with_suffix(".js"))
)


def photo_frame(
    photo: str,
    size: tuple[int, int],
    seen: tuple[float, float, float, float],
    *,
    key: str,
    axis: Literal["x", "y", ""],
    place: float,
    alt: str,
    on_place: Callable[[float], None],
) -> None:
    """Show the photo; `on_place(place)` runs when the frame was moved, before the next run.

    Args:
        photo: its address on this server, or a data URI.
        size: its width and height.
        seen: left, top, right and bottom of what the model sees, in shares of the photo; beyond it where there are
            bands.
        axis: along which the frame moves; empty where it does not.
        place: of the square along that axis, 0 to 1.
    """

    def report() -> None:
        told = (st.session_state.get(key) or {}).get("place")
        if isinstance(told, int | float) and not isinstance(told, bool) and 0 <= told <= 1:
            on_place(float(told))

    # With room for the bands beside the photo.
    width, height = (side * max(1.0, high - low) for side, low, high in zip(size, seen[:2], seen[2:], strict=True))
    scale = min(ROOM[0] / width, ROOM[1] / height)
    _COMPONENT(
        key=key,
        data={
            "photo": photo,
            "seen": list(seen),
            "axis": axis,
            "place": place,
            "side": min(size) / max(size),
            "box": [width * scale, height * scale],
            "alt": alt,
        },
        on_place_change=report,
        width=max(48, round(width * scale)),
        height=max(24, round(height * scale)),
    )
