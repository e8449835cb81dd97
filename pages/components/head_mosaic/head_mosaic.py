"""All layers and heads at once, as small overlays; the chosen one is enlarged elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pages.components.scripts import script

HTML = """
<div class="frame" tabindex="0" role="application"><img alt="" draggable="false">
<div class="mark"></div><div class="ghost"></div></div>
<p aria-live="polite"></p>
"""
CSS = """
.frame { position: relative; width: 100%; cursor: pointer; }
.frame:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 3px; }
img { width: 100%; height: 100%; display: block; }
.mark, .ghost { position: absolute; box-sizing: border-box; pointer-events: none; border-radius: 3px; }
.mark { border: 3px solid #ffc400; box-shadow: 0 0 0 1px rgba(0,0,0,.7); }
.ghost { border: 2px solid #fff; box-shadow: 0 0 0 1px rgba(0,0,0,.6); display: none; }
p { min-height: 1.5em; margin: .4rem 0 0; font-size: .9rem; color: var(--st-text-color); opacity: .85;
    font-family: var(--st-font); }
"""
_COMPONENT = st.components.v2.component(
    "vitrine_head_mosaic", html=HTML, css=CSS, js=script(Path(__file__).with_suffix(".js"))
)


def head_mosaic(
    picture: str,
    layers: int,
    heads: int,
    *,
    cell: int,
    gap: int,
    selected: tuple[int, int],
    key: str,
    alt: str,
    on_choice: Callable[[int, int], None],
    noun: tuple[str, str] = ("layer", "head"),
) -> None:
    """Show the mosaic that `core.figures.overlay.mosaic` drew; `on_choice(layer, head)` runs before the next rerun.

    `selected`: layer and head, counted from 0; head -1 marks the whole row.
    """

    def report() -> None:
        cell_chosen = (st.session_state.get(key) or {}).get("cell")
        if isinstance(cell_chosen, list) and len(cell_chosen) == 3:
            layer, head, _ = cell_chosen
            if 0 <= layer < layers and 0 <= head < heads:
                on_choice(layer, head)

    _COMPONENT(
        key=key,
        data={
            "image": picture,
            "layers": layers,
            "heads": heads,
            "cell": cell,
            "gap": gap,
            "pitch": cell + gap,
            "maxHeight": 560,
            "selected": list(selected),
            "alt": alt,
            "noun": list(noun),
        },
        on_cell_change=report,
    )
