"""Pictures on a plane or in space, up to ten thousand: zoom, hover, lasso and click happen in the browser.

Coordinates, names and the sheet of thumbnails are served as files, whose addresses tell their content: the browser
fetches each once, and a rerun sends addresses and the selection alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from streamlit import runtime

from pages.components.scripts import script

HTML = """
<div class="tools" role="toolbar" aria-label="Plane">
  <button type="button" data-do="move">Move</button><button type="button" data-do="lasso">Lasso</button>
  <button type="button" data-do="in" aria-label="Zoom in">+</button>
  <button type="button" data-do="out" aria-label="Zoom out">−</button>
  <button type="button" data-do="fit">Whole plane</button>
  <label>Colour <select data-paint="colour"></select></label>
  <label>Outline <select data-paint="outline"></select></label>
  <label>Pictures <input type="range" min="12" max="96" step="2"
    aria-label="Size of the pictures, left is none"></label>
  <button type="button" data-do="clear">Clear</button>
</div>
<div class="film" hidden><button type="button">▶ Play</button><input type="range" min="0" step="0.02" value="0"
  aria-label="Depth of the layer"><output></output></div>
<div class="planes"><div class="card" hidden><canvas width="160" height="160"></canvas><span></span></div></div>
<p aria-live="polite"></p>
<div class="legend" data-paint="colour" role="group" aria-label="Colours"></div>
<div class="legend" data-paint="outline" role="group" aria-label="Outlines"></div>
"""
CSS = """
.tools, .film, .legend, .planes, p { font-family: var(--st-font); color: var(--st-text-color); font-size: .95rem; }
.tools, .film { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; margin-bottom: .5rem; }
button { border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); padding: .3rem .7rem;
  background: var(--st-secondary-background-color); color: var(--st-text-color); font: inherit; cursor: pointer; }
button:disabled { opacity: .45; cursor: default; }
button[aria-pressed="true"] { border-color: var(--st-primary-color); box-shadow: 0 0 0 1px var(--st-primary-color); }
button:focus-visible, select:focus-visible, canvas:focus-visible { outline: 3px solid var(--st-primary-color);
  outline-offset: 2px; }
select { max-width: 9.5rem; border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius);
  padding: .3rem .4rem; background: var(--st-secondary-background-color); color: var(--st-text-color);
  font: inherit; }
input { accent-color: var(--st-primary-color); vertical-align: middle; }
label input { width: 7rem; margin-left: .3rem; }
.film[hidden] { display: none; }
.film button { min-width: 6.2rem; }
.film input { flex: 1; max-width: 24rem; }
.planes { position: relative; display: grid; gap: .8rem; }
figure { margin: 0; min-width: 0; }
figcaption { margin-bottom: .3rem; opacity: .85; }
figure canvas { width: 100%; height: var(--plane-height, 600px); display: block; border-radius: var(--st-base-radius);
  border: 1px solid var(--st-border-color); background: var(--st-secondary-background-color); box-sizing: border-box; }
.planes.two { grid-template-columns: 1fr 1fr; }
.card { position: absolute; pointer-events: none; z-index: 2; padding: .4rem; border-radius: .5rem; width: 160px;
  background: var(--st-background-color); border: 1px solid var(--st-border-color);
  box-shadow: 0 4px 18px rgba(0,0,0,.35); }
.card[hidden] { display: none; }
.card canvas { width: 160px; height: 160px; display: block; border-radius: .3rem; }
.card canvas[hidden] { display: none; }
.card span { display: block; margin-top: .25rem; font-size: .85rem; overflow-wrap: anywhere; }
p { min-height: 1.5em; margin: .4rem 0; opacity: .9; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem; max-height: 7.5rem; overflow-y: auto; }
.legend button { padding: .1rem .5rem; font-size: .85rem; display: inline-flex; align-items: center; gap: .35rem; }
.legend:empty { display: none; }
.legend + .legend { margin-top: .35rem; }
.legend i { box-sizing: border-box; width: .8rem; height: .8rem; border-radius: 50%; display: inline-block; }
.legend i.square { border-radius: 0; }
.legend i.diamond { clip-path: polygon(50% 0, 100% 50%, 50% 100%, 0 50%); border-radius: 0; }
.legend i.triangle { clip-path: polygon(50% 0, 100% 100%, 0 100%); border-radius: 0; }
@media (max-width: 700px) {
  .planes.two { grid-template-columns: 1fr; }
  select { max-width: 6.5rem; }
  figure canvas { height: min(var(--plane-height, 600px), 62vh, 110vw); }
}
"""
_PARTS = ("image_plane.js", "image_plane_draw.js", "image_plane_dots.js", "image_plane_input.js")
_COMPONENT = st.components.v2.component(
    "vitrine_image_plane",
    html=HTML,
    css=CSS,
    js=script(*(Path(__file__).parent / part for part in _PARTS)),
)


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What can be seen, whatever the plane.

    Attributes:
        signature: tells this set of pictures from others; a selection belongs to one set.
        sheet: all thumbnails on one JPEG, row by row, `columns` of `tile` pixels each.
        ids, labels, classes: what the pictures are called.
    """

    signature: str
    sheet: bytes
    tile: int
    columns: int
    ids: Sequence[str]
    labels: np.ndarray
    classes: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Colours:
    """One thing that colours can say: `codes` (images,) into `legend` and `palette`."""

    title: str
    codes: np.ndarray
    legend: Sequence[str]
    palette: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Paint:
    """Titles of what the colours and the outlines say; the outlines say nothing where theirs is empty."""

    colour: str
    outline: str = ""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What was lassoed or clicked; `focus` is -1 where nothing was clicked."""

    items: tuple[int, ...] = ()
    focus: int = -1


def image_plane(
    pictures: Pictures,
    coordinates: np.ndarray,
    near: np.ndarray,
    colours: Sequence[Colours],
    *,
    titles: Sequence[str],
    frames: Sequence[str],
    chosen: Chosen,
    revision: int,
    key: str,
    alt: str,
    height: int = 600,
    on_choice: Callable[[Chosen], None],
    paint: Paint,
    on_paint: Callable[[Paint], None],
    pictured: bool = True,
) -> None:
    """Show one or two planes of the same pictures; `on_choice` and `on_paint` run before the next rerun.

    Args:
        coordinates: (planes, frames, images, 2 or 3), about 1 from the origin.
        near: (planes, frames, images, k) indices of the nearest others in the original space.
        colours: among which the browser switches, for the colours and for the outlines.
        paint: which of them to begin with.
        pictured: whether there is anything to see on the thumbnails; else all are dots.
        titles: of the planes.
        frames: of the film; one for a plane that does not move.
        chosen: replaces what the browser knows as selected when `revision` changes.
    """
    planes, count_frames, count, dimensions = coordinates.shape

    def report() -> None:
        told = _read((st.session_state.get(key) or {}).get("chosen"), pictures.signature, count)
        if told is not None:
            on_choice(told)

    def report_paint() -> None:
        told = (st.session_state.get(key) or {}).get("paint")
        if isinstance(told, dict) and {told.get("colour"), told.get("outline")} <= {"", *titles_of}:
            on_paint(Paint(colour=told["colour"], outline=told["outline"]))

    titles_of = [each.title for each in colours]
    names = {
        "ids": list(pictures.ids),
        "labels": np.asarray(pictures.labels).tolist(),
        "classes": list(pictures.classes),
    }
    codes = np.stack([np.asarray(each.codes, "<u2") for each in colours])
    packed = np.ascontiguousarray(coordinates, "<f4").tobytes() + np.ascontiguousarray(near, "<u2").tobytes()
    _COMPONENT(
        key=key,
        data={
            "signature": pictures.signature,
            "sheet": served(pictures.sheet, "image/jpeg", f"{key}.sheet"),
            "tile": pictures.tile,
            "columns": pictures.columns,
            "items": served(json.dumps(names).encode(), "application/json", f"{key}.items"),
            "planes": served(packed, "application/octet-stream", f"{key}.planes"),
            "codes": served(codes.tobytes(), "application/octet-stream", f"{key}.codes"),
            "colours": [
                {"title": each.title, "legend": list(each.legend), "palette": list(each.palette)} for each in colours
            ],
            "layout": {
                "planes": planes,
                "frames": count_frames,
                "count": count,
                "dimensions": dimensions,
                "near": near.shape[-1],
            },
            "titles": list(titles),
            "frames": list(frames),
            "start": count_frames - 1,
            "selected": list(chosen.items),
            "focus": chosen.focus,
            "revision": revision,
            "colour": paint.colour,
            "outline": paint.outline,
            "pictured": pictured,
            "height": height,
            "alt": alt,
        },
        on_chosen_change=report,
        on_paint_change=report_paint,
    )


def served(content: bytes, kind: str, place: str) -> str:
    """The address of `content` on this server; the same content has the same address."""
    if not runtime.exists():
        return f"/media/{hashlib.sha256(content).hexdigest()}"
    address: str = runtime.get_instance().media_file_mgr.add(content, kind, place)
    return address


def _read(told: object, signature: str, count: int) -> Chosen | None:
    """What the browser says, if it is about these pictures; it may be late, or anything."""
    if not isinstance(told, dict) or told.get("signature") != signature:
        return None
    items, focus = told.get("items"), told.get("focus")
    if not isinstance(items, list) or not isinstance(focus, int) or not -1 <= focus < count:
        return None
    if not all(isinstance(each, int) and 0 <= each < count for each in items):
        return None
    return Chosen(items=tuple(items), focus=focus)
