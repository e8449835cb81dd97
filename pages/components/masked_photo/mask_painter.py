"""A photo whose patches are removed by hand, in the browser: painted, undone, cleared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from pages.components.scripts import script

HTML = """
<div class="painter">
  <div class="stage"><canvas class="base"></canvas><canvas class="top" tabindex="0" role="application"></canvas></div>
  <div class="tools"><button type="button" class="undo" title="Undo the last stroke (Ctrl+Z)">Undo</button>
    <button type="button" class="clear" title="Give all patches back">Clear</button><output aria-live="polite"></output>
  </div>
</div>
"""
CSS = """
.painter { font-family: var(--st-font); color: var(--st-text-color); }
.stage { position: relative; width: 100%; max-width: var(--picture-most, none); aspect-ratio: 1; }
canvas { position: absolute; inset: 0; width: 100%; height: 100%; border-radius: var(--st-base-radius); }
canvas.small { image-rendering: pixelated; }
.top { cursor: cell; touch-action: none; }
.top:focus-visible, button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
.tools { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; margin-top: .5rem; }
button { font: inherit; color: inherit; cursor: pointer; padding: .3rem .9rem; border: 1px solid var(--st-border-color);
  border-radius: var(--st-button-radius); background: var(--st-background-color); }
button:hover:not(:disabled) { border-color: var(--st-primary-color); }
button:disabled { opacity: .45; cursor: default; }
output { font-size: .9rem; opacity: .9; font-variant-numeric: tabular-nums; }
"""
_HERE = Path(__file__)
_COMPONENT = st.components.v2.component(
    "vitrine_mask_painter",
    html=HTML,
    css=CSS,
    js=script(_HERE.with_name("masked_photo.js"), _HERE.with_suffix(".js")),
)


def mask_painter(
    photo: str,
    filling: str,
    grid: tuple[int, int],
    removed: Sequence[int],
    *,
    key: str,
    alt: str,
    on_change: Callable[[list[int]], None],
) -> None:
    """Let patches be removed by hand; `on_change(removed)`, in raster order, runs before the next rerun.

    `photo`, `filling`: addresses of the photo as the model sees it and of what lies under its patches, both lossless
    and as large as the model's input.
    """

    def report() -> None:
        told = read_removed((st.session_state.get(key) or {}).get("removed"), grid)
        if told is not None:
            on_change(told)

    data = {
        "photo": photo,
        "filling": filling,
        "rows": grid[0],
        "cols": grid[1],
        "removed": sorted(removed),
        "alt": alt,
    }
    _COMPONENT(key=key, data=data, on_removed_change=report)


def read_removed(told: object, grid: tuple[int, int]) -> list[int] | None:
    """What the browser says was removed; it may be anything, or of another grid."""
    count = grid[0] * grid[1]
    if not isinstance(told, list) or len(told) > count:
        return None
    if not all(isinstance(each, int) and not isinstance(each, bool) and 0 <= each < count for each in told):
        return None
    return sorted(set(told))
