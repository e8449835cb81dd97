"""Six operators on one screen: sliders, maps, equations and one operator step by step, computed in the browser."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from core.figures.theme import DIVERGING, SEQUENTIAL, colour_table
from pages.components.scripts import script

HTML = """
<div class="controls" role="group" aria-label="What moves all six">
  <label data-term="w"><span>Kernel</span><input type="range" min="0" step="1" data-control="kernel">
    <input type="number" step="1" data-control="kernelNumber" aria-label="Kernel size, an odd number"></label>
  <label data-term="T"><span>Temperature <i class="usual"></i></span>
    <input type="range" step="any" data-control="temperature">
    <input type="number" step="any" data-control="temperatureNumber" aria-label="Temperature"></label>
  <label data-term="w"><span>Weight of the kernel</span>
    <input type="range" min="0" max="10" step="0.1" data-control="weight">
    <input type="number" step="any" data-control="weightNumber" aria-label="Weight of the kernel"></label>
</div>
<p class="warning" role="alert"></p>
<p class="said" aria-live="polite"></p>
<div class="scroll"><div class="columns"></div></div>
<div class="mechanism"></div>
"""
CSS = """
.controls, .columns, .mechanism, p { font-family: var(--st-font); color: var(--st-text-color); font-size: .875rem; }
.controls { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; }
label { box-sizing: border-box; max-width: 100%; display: flex; align-items: center; gap: .5rem; flex: 1 1 15rem;
  padding: .15rem .4rem; border-radius: .4rem; }
label span { white-space: nowrap; }
label i { opacity: .75; font-size: .8rem; }
input { accent-color: var(--st-primary-color); color: var(--st-text-color); font: inherit; }
input[type="range"] { flex: 1; min-width: 4rem; }
input[type="number"] { width: 4.2rem; box-sizing: border-box; padding: .1rem .3rem; border-radius: .3rem;
  border: 1px solid var(--st-border-color); background: var(--st-secondary-background-color); }
p { margin: .2rem 0; min-height: 1.35em; }
.warning { color: var(--st-red-text-color, #b3261e); font-weight: 600; }
.warning:empty { display: none; }
.said { opacity: .9; }
.scroll { overflow-x: auto; }
.columns { --tile: 118px; display: grid; gap: .35rem .7rem; min-width: 1040px;
  grid-template-columns: minmax(118px, .9fr) repeat(var(--six, 6), minmax(136px, 1fr)); }
.cell { min-width: 0; display: flex; flex-direction: column; gap: .15rem; }
.first, .corner { position: sticky; left: 0; z-index: 2; background: var(--st-background-color); padding-right: .3rem; }
.note, .caption, .where { font-size: .8rem; line-height: 1.25; opacity: .85; }
.caption { min-height: 1.25em; }
.head button { border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); padding: .2rem .4rem;
  background: var(--st-secondary-background-color); color: var(--st-text-color); font: inherit; font-weight: 600;
  line-height: 1.2; min-height: 2.9em; cursor: pointer; }
.head button[aria-pressed="true"] { border-color: var(--st-primary-color);
  box-shadow: 0 0 0 1px var(--st-primary-color); }
button:focus-visible, .frame:focus-visible, [data-term]:focus-visible { outline: 3px solid var(--st-primary-color);
  outline-offset: 2px; }
.equation, .formula { font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", Georgia, serif; }
.equation { font-size: .85rem; line-height: 1.5; min-height: 3em; }
.formula { font-size: 1.35rem; line-height: 1.7; }
sub { font-size: .72em; }
[data-term] { border-radius: .25rem; }
.equation [data-term], .formula [data-term] { padding: 0 .1em; cursor: help; }
.lit { background: color-mix(in srgb, #ffc400 38%, transparent); }
.cell.lit, label.lit, figure.lit { background: color-mix(in srgb, #ffc400 22%, var(--st-background-color)); }
.frame { position: relative; width: min(100%, calc(var(--tile) * var(--wide))); cursor: crosshair; }
canvas { width: 100%; height: 100%; display: block; image-rendering: pixelated; border-radius: 2px; }
.mark { position: absolute; box-sizing: content-box; pointer-events: none; border: 2px solid #ffc400; margin: -2px;
  box-shadow: 0 0 0 1px rgba(0,0,0,.75); }
.mark.channel { box-sizing: border-box; margin: 0; }
.both { display: grid; grid-template-columns: 1fr 1fr; gap: .3rem; }
.mechanism { margin-top: .8rem; padding: .7rem .9rem; border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius); }
.about { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem 1.2rem; }
.story { flex-basis: 100%; }
.strip { display: flex; align-items: center; gap: .5rem; margin: .5rem 0 .2rem; }
.strip figure { flex: 0 1 190px; min-width: 0; }
.strip .frame { --tile: 150px; }
.strip .sign { font-size: 1.1rem; }
figure { margin: 0; padding: .2rem; border-radius: .4rem; }
figcaption { margin-bottom: .15rem; }
@media (min-width: 1700px) { .columns { --tile: 168px; } .equation { font-size: .95rem; } }
@media (max-width: 700px) {
  .columns { min-width: 960px; grid-template-columns: 104px repeat(var(--six, 6), minmax(130px, 1fr)); --tile: 104px; }
  label { flex-basis: 100%; }
  label i { display: none; }
  .strip { flex-wrap: wrap; }
  .strip figure { flex: 0 1 40%; }
}
"""
FILES = ("operators.js", "operators_draw.js", "operators_mechanism.js", "operators_field.js", "operators_math.js")
_FOLDER = Path(__file__).parent
_COMPONENT = st.components.v2.component(
    "vitrine_operators",
    html=HTML,
    css=CSS,
    js=script(*(_FOLDER / name for name in FILES)),
)


def operators_grid(data: Mapping[str, Any], *, key: str, on_choice: Callable[[Mapping[str, Any]], None]) -> None:
    """Show `data`; `on_choice(state)` runs before the next rerun, when the hand has rested.

    `data`: `pack`ed layers with, for each column, its title, equation, formula, story and readout (the name of an
    array), or `missing`, why there is none; `picture` (the name of an array), its `contrast`, `terms`, `rows`, `sizes`
    of kernels, those `refused` and why, `temperatures` from and to, `usual`, `note`, `alt`, and the `state`. A state
    is kernel, temperature, weight, at (a position in raster order), operator and channel; what comes back is from a
    browser and has to be checked.
    """
    colours = {
        name: base64.b64encode(colour_table(scale).tobytes()).decode()
        for name, scale in (("heat", SEQUENTIAL), ("signed", DIVERGING))
    }
    signature = hashlib.sha256(
        json.dumps({name: value for name, value in data.items() if name != "state"}, sort_keys=True).encode()
    ).hexdigest()

    def report() -> None:
        chosen = (st.session_state.get(key) or {}).get("state")
        if isinstance(chosen, Mapping):
            on_choice(chosen)

    _COMPONENT(key=key, data={**data, "colours": colours, "signature": signature}, on_state_change=report)
