"""Patches taken away by a slider in the browser: the picture, what the model says of it, its place on the curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from pages.components.scripts import LINE_CHART, LINE_CHART_CSS, script

HTML = """
<div class="both">
  <div class="left"><canvas role="img"></canvas><output></output>
    <input type="range" min="0" max="1" step="1" aria-label="Patches removed"></div>
  <div class="right"><h4 aria-live="polite"></h4><span class="measure"></span>
    <svg role="img" aria-label="The answer against the share of patches removed; the slider says each step."></svg>
    <ul></ul><progress max="1" hidden></progress><p></p></div>
</div>
"""
# The masked picture is as high as the chart beside it; on a phone they stand on top of each other.
CSS = """
:host { display: block; container-type: inline-size; }
.both { display: grid; grid-template-columns: minmax(0, 2fr) minmax(0, 3fr); gap: 1.2rem; font-family: var(--st-font);
  color: var(--st-text-color); }
.left, .right { display: flex; flex-direction: column; min-width: 0; gap: .45rem; }
canvas { width: 100%; max-width: var(--picture-most, none); aspect-ratio: 1; border-radius: var(--st-base-radius); }
canvas.small { image-rendering: pixelated; }
input { width: 100%; height: 26px; margin: 0; accent-color: var(--st-primary-color); cursor: pointer; }
input:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; border-radius: 3px; }
output, p { font-size: .9rem; min-height: 1.4em; margin: 0; opacity: .9; font-variant-numeric: tabular-nums; }
h4 { font-size: 1.5rem; line-height: 1.25; margin: 0; min-height: 1.25em; font-weight: 600; }
svg { width: 100%; height: clamp(240px, 27cqi, 480px); }
.measure { font-size: .85rem; min-height: 1.3em; opacity: .85; }
progress { width: 100%; height: 6px; accent-color: var(--st-primary-color); }
progress[hidden] { display: none; }
@container (max-width: 620px) {
  .both { grid-template-columns: minmax(0, 1fr); }
  svg { height: 240px; }
  h4 { font-size: 1.25rem; }
}
"""
_HERE = Path(__file__)
_COMPONENT = st.components.v2.component(
    "vitrine_masking_steps",
    html=HTML,
    css=CSS + LINE_CHART_CSS,
    js=script(LINE_CHART, _HERE.with_name("masked_photo.js"), _HERE.with_suffix(".js")),
)


def masking_steps(data: Mapping[str, Any], *, key: str, on_choice: Callable[[int], None]) -> None:
    """Show a photo whose patches a slider removes; `on_choice(step)` runs before the next rerun, when the hand rested.

    `data`: `photo` and `filling` (addresses of the photo as the model sees it and of what lies under its patches, both
    lossless and as large as the model's input), `rows` and `cols` of patches; of every step of the slider the `counts`
    of patches that are gone and `captions`; `step` where it stands; `alt`; and the `channel` of the `Feed` on which the
    rest is told: `order` of the patches; `measure`, the axis in words; `headlines` of every step, None where the model
    was not asked yet; `lines` (title, colour, values, of which the first are the slider's), `band` (title, colour, low,
    mean, high); `sentence`; `progress` (share, text) until all is known.
    """
    steps = len(data["captions"])

    def report() -> None:
        told = (st.session_state.get(key) or {}).get("step")
        if isinstance(told, int) and not isinstance(told, bool) and 0 <= told < steps:
            on_choice(told)

    _COMPONENT(key=key, data=dict(data), on_step_change=report)
