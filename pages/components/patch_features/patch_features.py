"""Photos with their patch tokens as colours, and what is like the patch under the pointer, drawn by the browser."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from core.figures.theme import SEQUENTIAL, colour_table
from pages.components.image_plane.image_plane import served
from pages.components.scripts import script

HTML = """
<div class="tools">
  <label class="layer">Layer <input type="range" name="layer" min="1" step="1"><output></output></label>
  <label>Colours over the photo <input type="range" name="veil" min="0" max="1" step="0.05" value="0.75"></label>
</div>
<p aria-live="polite"></p>
<div class="row"></div>
"""
CSS = """
.tools, p, figcaption { font-family: var(--st-font); color: var(--st-text-color); font-size: .92rem; }
.tools { display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; align-items: center; }
label { display: inline-flex; gap: .5rem; align-items: center; }
input { accent-color: var(--st-primary-color); min-width: 9rem; }
output { min-width: 1.6em; font-variant-numeric: tabular-nums; }
p { min-height: 1.5em; margin: .4rem 0; opacity: .9; font-variant-numeric: tabular-nums; }
.row { display: grid; gap: .7rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); }
figure { margin: 0; max-width: var(--picture-most, 34rem); }
figcaption { opacity: .8; margin-top: .2rem; }
canvas { width: 100%; aspect-ratio: 1; display: block; border-radius: var(--st-base-radius); cursor: crosshair;
  touch-action: pan-y; }
canvas:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
"""
_COMPONENT = st.components.v2.component(
    "vitrine_patch_features", html=HTML, css=CSS, js=script(Path(__file__).with_suffix(".js"))
)


@dataclass(frozen=True, kw_only=True)
class FeaturePhoto:
    """A photo as it is drawn.

    Attributes:
        title: what people read.
        note: how much of it the model sees, in a sentence.
        source: a square picture as a `data:` address.
    """

    title: str
    note: str
    source: str


def patch_features(
    photos: Sequence[FeaturePhoto],
    tokens: np.ndarray,
    colours: np.ndarray,
    figure: np.ndarray,
    shares: np.ndarray,
    *,
    layer: int,
    chosen: tuple[int, int] | None,
    key: str,
    on_layer: Callable[[int], None],
    on_choice: Callable[[tuple[int, int] | None], None],
) -> None:
    """Show the photos; the callbacks run before the next rerun.

    Args:
        tokens: (layers, photos, patches, dim).
        colours: (layers, photos, rows, columns, 3) in [0, 1].
        figure: (layers, photos, rows, columns) bool; where False the photo is seen.
        shares: (layers, 3) of the variance.
        layer: from 0.
        chosen: photo and patch that are asked about while the pointer is elsewhere.
    """
    layers, count, patches, dim = tokens.shape
    rows, columns = colours.shape[2:4]
    packed = np.concatenate([np.round(colours * 255), 255.0 * figure[..., None]], axis=-1).astype(np.uint8)

    def told(name: str) -> object:
        return (st.session_state.get(key) or {}).get(name)

    def report_layer() -> None:
        found = told("layer")
        if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < layers:
            on_layer(found)

    def report_choice() -> None:
        on_choice(read_choice(told("chosen"), count, patches))

    _COMPONENT(
        key=key,
        data={
            "photos": [{"title": each.title, "note": each.note, "source": each.source} for each in photos],
            "tokens": [
                served(quantised(tokens[index]).tobytes(), "application/octet-stream", f"{key}.tokens{index}")
                for index in range(layers)
            ],
            "colours": served(packed.tobytes(), "application/octet-stream", f"{key}.colours"),
            "shares": shares.tolist(),
            "table": base64.b64encode(colour_table(SEQUENTIAL).tobytes()).decode(),
            "rows": rows,
            "columns": columns,
            "dim": dim,
            "layers": layers,
            "layer": layer,
            "chosen": None if chosen is None else list(chosen),
        },
        on_layer_change=report_layer,
        on_chosen_change=report_choice,
    )


def quantised(tokens: np.ndarray) -> np.ndarray:
    """Directions of tokens (..., dim), a byte a number: cosines of them are those of the tokens to about 0.01."""
    peaks = np.maximum(np.abs(tokens).max(axis=-1, keepdims=True), 1e-12)
    return np.round(tokens / peaks * 127).astype(np.int8)


def read_choice(told: object, photos: int, patches: int) -> tuple[int, int] | None:
    """Photo and patch as the browser says they were chosen; it may be anything. None: none is."""
    if not isinstance(told, list) or len(told) < 2:
        return None
    photo, patch = told[:2]
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in (photo, patch)):
        return None
    return (photo, patch) if 0 <= photo < photos and 0 <= patch < patches else None
