"""Takes photos that are dropped anywhere on the page or pasted into it; shows nothing until something is dragged."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.data.images import MAX_BYTES
from pages.components.scripts import script

MOST_AT_ONCE = 16
HTML = """<div class="veil" hidden><span></span></div>"""
CSS = """
.veil { position: fixed; inset: 0; z-index: 1000000; display: flex; align-items: center; justify-content: center;
  pointer-events: none; border: 4px dashed var(--st-primary-color); background: rgba(128, 128, 128, .35); }
.veil[hidden] { display: none; }
span { font-family: var(--st-font); font-size: 1.5rem; padding: .6rem 1.4rem; border-radius: var(--st-base-radius);
  background: var(--st-background-color); color: var(--st-text-color); }
"""
_COMPONENT = st.components.v2.component(
    "vitrine_photo_drop", html=HTML, css=CSS, js=script(Path(__file__).with_suffix(".js"))
)


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A file as it came; `content` is None where it is too large to be sent."""

    name: str
    size: int
    content: bytes | None


def photo_drop(*, key: str, text: str) -> list[Dropped]:
    """What was dropped or pasted since the last run; mostly nothing.

    `text`: shown while something is dragged over the page.
    """
    inbox, taken = f"{key}_inbox", f"{key}_taken"

    def take() -> None:
        # Before the run, which another one may cut short: what is in the inbox waits for the next.
        told = (st.session_state.get(key) or {}).get("photos")
        if isinstance(told, dict) and isinstance(told.get("id"), str) and told["id"] != st.session_state.get(taken):
            st.session_state[inbox] = [*st.session_state.get(inbox, ()), *read_dropped(told.get("photos"))]
            st.session_state[taken] = told["id"]

    data = {"text": text, "most": MOST_AT_ONCE, "mostBytes": MAX_BYTES, "taken": st.session_state.get(taken, "")}
    _COMPONENT(key=key, data=data, on_photos_change=take)
    found: list[Dropped] = st.session_state.pop(inbox, [])
    return found


def read_dropped(told: object) -> list[Dropped]:
    """What the browser says was dropped; it may be anything."""
    found = []
    for each in told[:MOST_AT_ONCE] if isinstance(told, list) else ():
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            continue
        content, size = each.get("content"), each.get("bytes")
        try:
            data = base64.b64decode(content, validate=True) if isinstance(content, str) else None
        except (binascii.Error, ValueError):
            continue
        found.append(Dropped(name=each["name"], size=size if isinstance(size, int) else 0, content=data))
    return found
