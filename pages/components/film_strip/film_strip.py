"""A film of the layers: what the class token attends to in each, and rollout growing beneath it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from core.figures.overlay import to_data_uri
from pages.components.scripts import script

HTML = """
<div class="bar"><button type="button">▶ Play</button><input type="range" min="0" value="0" aria-label="Layer">
<output></output></div>
<div class="rows"></div>
"""
CSS = """
:host, .rows { font-family: var(--st-font); color: var(--st-text-color); }
.bar { display: flex; gap: .8rem; align-items: center; margin-bottom: .5rem; }
button { border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); padding: .3rem .8rem;
  background: var(--st-secondary-background-color); color: var(--st-text-color); font: inherit; cursor: pointer;
  min-width: 6.2rem; }
input { flex: 1; max-width: 26rem; accent-color: var(--st-primary-color); }
output { font-size: .95rem; color: var(--st-text-color); font-family: var(--st-font); min-width: 5rem; }
.title { font-size: .9rem; opacity: .85; margin: .2rem 0; }
.frames { display: flex; gap: 4px; margin-bottom: .5rem; overflow-x: auto; padding: 3px; }
img { flex: 1 1 0; min-width: 60px; max-width: 150px; border-radius: 4px; cursor: pointer; opacity: .68;
  transition: opacity .25s; }
img.current { opacity: 1; outline: 3px solid #ffc400; }
"""
_COMPONENT = st.components.v2.component(
    "vitrine_film_strip", html=HTML, css=CSS, js=script(Path(__file__).with_suffix(".js"))
)


def film_strip(
    rows: Mapping[str, Sequence[np.ndarray]], labels: Sequence[str], *, key: str, start: int = 0, noun: str = "Layer"
) -> None:
    """Show rows of pictures of equal size that advance together; `labels` names the steps, `noun` what they are."""
    encoded = [{"title": title, "frames": [to_data_uri(frame) for frame in frames]} for title, frames in rows.items()]
    # Frames are rebuilt only when they change, so that a rerun elsewhere does not stop the film.
    signature = hashlib.sha256(repr(encoded).encode()).hexdigest()
    _COMPONENT(
        key=key,
        data={"rows": encoded, "labels": list(labels), "start": start, "signature": signature, "noun": noun},
    )
