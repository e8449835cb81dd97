"""One photo under every manipulation: a card each, with a slider, its picture and every model's answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from pages.components.scripts import script

HTML = """<ul class="key"></ul><div class="kept" hidden></div><div class="grid"></div>
<p><span class="sign">=</span> as on the unchanged photo <span class="sign">≠</span> another answer.
A tile's bar is the probability of its answer; the curves above a slider, that of the first answer.
<span class="keep">+</span> does a manipulation to every picture, under all others.</p>
"""
CSS = """
:host { display: block; container-type: inline-size; font-family: var(--st-font); color: var(--st-text-color); }
.grid, .kept, .key, p { font-family: var(--st-font); color: var(--st-text-color);
  --same: #0072B2; --changed: #D55E00; }
.grid { display: grid; grid-template-columns: repeat(8, minmax(0, 1fr)); gap: .55rem .5rem; }
.card { min-width: 0; padding: .25rem .3rem .35rem; border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius); display: flex; flex-direction: column; }
.card.photo { background: var(--st-secondary-background-color); }
.card.chosen { outline: 3px solid #ffc400; outline-offset: -2px; }
.head { display: flex; align-items: center; justify-content: space-between; min-height: 1.6rem; gap: .2rem; }
button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
button:focus-visible, input:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 1px;
  border-radius: 3px; }
.title { font-size: .84rem; font-weight: 600; text-align: left; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
button.title:hover { text-decoration: underline; }
.keep { flex: none; width: 1.35rem; height: 1.35rem; line-height: 1.2rem; text-align: center; border-radius: 50%;
  border: 1px solid var(--st-border-color); display: inline-block; }
button.keep:hover:not(:disabled) { background: var(--st-secondary-background-color); }
.keep:disabled { opacity: .3; cursor: default; }
.picture { width: 100%; aspect-ratio: 1; background-size: 100% 100%; background-repeat: no-repeat;
  border-radius: 3px; cursor: pointer; }
.photo .picture { cursor: default; }
.small .picture { image-rendering: pixelated; }
svg { display: block; width: calc(100% - 16px); height: 34px; margin: .25rem 8px 0; overflow: visible; }
polyline { fill: none; stroke-width: 2px; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.cursor { stroke: currentColor; stroke-width: 1px; opacity: .55; vector-effect: non-scaling-stroke; }
input { width: 100%; margin: 0; accent-color: var(--st-primary-color); height: 18px; }
output { font-size: .8rem; text-align: center; margin-bottom: .2rem; white-space: nowrap;
  font-family: var(--st-font); color: var(--st-text-color); }
ul { list-style: none; margin: 0; padding: 0; display: grid; gap: 3px; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin-bottom: .45rem; }
.key li { display: flex; gap: .35rem; align-items: center; font-size: .95rem; }
.spacer { visibility: hidden; }
.letter { flex: none; padding: 0 .3rem; border-bottom: 4px solid var(--model); line-height: 1.25; }
.tile { --tint: var(--same); display: flex; align-items: center; gap: .2rem; height: 1.55rem; padding: 0 .25rem;
  border-radius: 4px; font-size: .84rem; min-width: 0;
  background: linear-gradient(to right, color-mix(in srgb, var(--tint) 40%, transparent) var(--share),
    color-mix(in srgb, var(--tint) 10%, transparent) var(--share)); }
.tile.changed { --tint: var(--changed); }
.who { flex: none; font-size: .74rem; width: .6rem; }
.sign { flex: none; font-weight: 700; width: .6rem; text-align: center; }
.label { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.share { flex: none; font-variant-numeric: tabular-nums; font-size: .78rem; }
.kept { display: flex; flex-wrap: wrap; gap: .3rem .5rem; align-items: center; margin-bottom: .5rem; }
.kept[hidden] { display: none; }
.chip { display: inline-flex; gap: .4rem; align-items: center; padding: .1rem .3rem .1rem .6rem; border-radius: 1rem;
  border: 1px solid var(--st-border-color); background: var(--st-secondary-background-color); }
.drop { width: 1.4rem; height: 1.4rem; border-radius: 50%; }
.drop:hover { background: var(--st-border-color); }
p { margin: .5rem 0 0; font-size: .86rem; }
p .keep { width: 1rem; height: 1rem; line-height: .9rem; }
@container (max-width: 1000px) { .grid { grid-template-columns: repeat(4, minmax(0, 1fr)); } }
@container (max-width: 560px) { .grid { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
@container (min-width: 1500px) {
  .title, .tile { font-size: .98rem; }
  .tile { height: 1.8rem; }
  .share, output { font-size: .88rem; }
  svg { height: 44px; }
}
"""
_COMPONENT = st.components.v2.component(
    "vitrine_manipulation_grid", html=HTML, css=CSS, js=script(Path(__file__).with_suffix(".js"))
)


def manipulation_grid(data: Mapping[str, Any], *, key: str, on_choice: Callable[[Mapping[str, Any]], None]) -> None:
    """Show `data`; `on_choice(state)` runs before the next rerun, when the hand has rested.

    `data`: `side` of the pictures in pixels; `models` (letter, title, colour); `photo` (title, words, alt, sheet,
    answers, one a model); `rows` (name, title, summary, neutral, strengths, words, sheet: the picture at each strength
    side by side, answers: of each model one a strength); `kept`, in words, what is done first; `most` of them; and the
    `state`. An answer is label, share, same and kept (the share of the answer on the unchanged photo). A state is
    strengths by name, `shown` (a name) and `kept` (name and strength each); what comes back is from a browser and has
    to be checked.
    """
    signature = hashlib.sha256(
        json.dumps({name: value for name, value in data.items() if name != "state"}, sort_keys=True).encode()
    ).hexdigest()

    def report() -> None:
        chosen = (st.session_state.get(key) or {}).get("state")
        if isinstance(chosen, Mapping):
            on_choice(chosen)

    _COMPONENT(key=key, data={**data, "signature": signature}, on_state_change=report)
