"""Two clouds on their way onto each other, moved by a slider in the browser, with all numbers of each stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from pages.components.scripts import LINE_CHART, LINE_CHART_CSS, script

HTML = """
<div class="way">
  <div class="steer"><label>On the way: <output></output>
    <input type="range" min="0" max="1" step="1" aria-label="On the way"></label></div>
  <div class="tiles"></div>
  <div class="both">
    <div class="left"><span class="up"></span><canvas role="img"></canvas><span class="across"></span>
      <ul><li><i class="dot"></i>images</li><li><i class="diamond"></i>captions</li>
        <li><i class="bar"></i>from mean to mean</li></ul><p aria-live="polite"></p></div>
    <div class="right">
      <svg role="img" aria-label="Gap and cosine along the way; the slider says each stop."></svg><ul></ul>
      <svg role="img" aria-label="Accuracies along the way; the slider says each stop."></svg><ul></ul></div>
  </div>
</div>
"""
CSS = """
:host { display: block; container-type: inline-size; }
.way { font-family: var(--st-font); color: var(--st-text-color); display: flex; flex-direction: column; gap: .8rem; }
.steer label { display: block; font-size: .95rem; }
.steer output { font-weight: 600; }
input { display: block; width: 100%; height: 28px; margin: 0; accent-color: var(--st-primary-color); cursor: pointer; }
input:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; border-radius: 3px; }
.tiles { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: .6rem 1.2rem; }
.tiles div { display: flex; flex-direction: column; font-variant-numeric: tabular-nums; }
.tiles small { font-size: .88rem; opacity: .9; }
.tiles b { font-size: 1.7rem; font-weight: 500; line-height: 1.25; }
.tiles span { font-size: .88rem; min-height: 1.3em; opacity: .9; }
.both { display: grid; grid-template-columns: minmax(0, 6fr) minmax(0, 5fr); gap: 1.4rem; }
.left, .right { display: flex; flex-direction: column; gap: .35rem; min-width: 0; }
canvas { width: 100%; height: clamp(300px, 42cqi, 640px); border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius); color: var(--st-text-color); box-sizing: border-box; }
.across, .up { font-size: .85rem; opacity: .9; }
.across { text-align: right; }
.right svg { width: 100%; height: clamp(180px, 19cqi, 300px); }
p { font-size: .9rem; min-height: 1.4em; margin: 0; }
@container (max-width: 620px) {
  .both { grid-template-columns: minmax(0, 1fr); }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); order: 1; } /* the clouds first */
}
.left i { width: .8rem; height: .8rem; }
.left i.dot { background: #0072B2; border-radius: 50%; }
.left i.diamond { background: #D55E00; transform: rotate(45deg) scale(.8); }
.left i.bar { background: #ffc400; width: 1.4rem; height: 4px; }
"""
_HERE = Path(__file__)
_COMPONENT = st.components.v2.component(
    "vitrine_alignment_way", html=HTML, css=LINE_CHART_CSS + CSS, js=script(LINE_CHART, _HERE.with_suffix(".js"))
)


def alignment_way(data: Mapping[str, Any], *, key: str, on_choice: Callable[[str], None]) -> None:
    """Show the way; `on_choice(title)` of a stop runs before the next rerun, when the hand has rested.

    `data`: `titles` of the stops, and at which `stop` the slider stands; `planes` by name (`address` of the places:
    uint16 of [stop][images, captions][pair][x, y], shares of the plane's range in 65535ths; `span` of the range in x
    and y, `equal` where both are of one scale; `means` of images and captions by stop, in shares; `axes`), of which
    `plane` is drawn; `labels` of the pairs, `names` of the classes, `by_class`, `palette`, `colours` of both sides;
    `threads`, how many pairs have one; `tiles` (title, values, notes by stop); two `charts` as `drawLines` of
    `line_chart.js` wants them; `alt`.
    """
    titles = list(data["titles"])

    def report() -> None:
        told = (st.session_state.get(key) or {}).get("stop")
        if isinstance(told, str) and told in titles:
            on_choice(told)

    _COMPONENT(key=key, data=dict(data), on_stop_change=report)
