"""A bar per label, best on top; as the labels change the bars glide to their new places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st

from pages.components.scripts import script

HTML = """<div class="bars" role="group"></div><p></p>"""
CSS = """
:host, .bars { font-family: var(--st-font); color: var(--st-text-color); }
.bars { position: relative; transition: height .35s ease; }
button { position: absolute; left: 0; right: 0; top: 0; height: 34px; padding: 0; border: 0; background: none;
  color: inherit; font: inherit; text-align: left; cursor: pointer; display: grid;
  grid-template-columns: minmax(5.5rem, 30%) 1fr; gap: .7rem; align-items: center; border-radius: 6px;
  transition: transform .35s ease, opacity .3s ease; }
button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: -1px; }
button:hover { background: var(--st-secondary-background-color); }
.name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; text-align: right; font-size: 1rem; }
.track { display: flex; align-items: center; gap: .5rem; min-width: 0; }
.fill { height: 22px; min-width: 3px; border-radius: 4px; background: #56B4E9; opacity: .75;
  transition: width .35s ease, background .35s ease; flex: none; }
.fill.unseen { background-image: repeating-linear-gradient(135deg, rgba(255,255,255,.42) 0 4px, transparent 4px 9px); }
button.best .fill { background-color: #0072B2; opacity: 1; }
button.best .name { font-weight: 700; }
button.chosen .name { text-decoration: underline; text-underline-offset: .25em; text-decoration-thickness: 2px; }
.value { font-variant-numeric: tabular-nums; font-size: .95rem; white-space: nowrap; }
.mark { font-size: .78rem; opacity: .7; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
p { margin: .35rem 0 0; font-size: .9rem; opacity: .8; color: var(--st-text-color); font-family: var(--st-font); }
@media (prefers-reduced-motion: reduce) { .bars, button, .fill { transition: none; } }
"""
_COMPONENT = st.components.v2.component(
    "vitrine_label_bars", html=HTML, css=CSS, js=script(Path(__file__).with_suffix(".js"))
)


@dataclass(frozen=True, kw_only=True)
class LabelBar:
    """One bar: `share` in [0, 1] is its length; `detail` is shown on hovering; `mark` says that it is unlike others."""

    label: str
    share: float
    detail: str
    mark: str = ""


def label_bars(
    bars: Sequence[LabelBar], *, key: str, chosen: str, rest: str, alt: str, on_choice: Callable[[str], None]
) -> None:
    """Show `bars` from the best to the worst; `on_choice(label)` runs before the next rerun.

    Args:
        chosen: the label that is underlined.
        rest: a sentence about the labels that are not shown.
    """
    labels = {bar.label for bar in bars}

    def report() -> None:
        label = (st.session_state.get(key) or {}).get("chosen")
        if label in labels:
            on_choice(label)

    _COMPONENT(
        key=key,
        data={"bars": [asdict(bar) for bar in bars], "chosen": chosen, "rest": rest, "alt": alt},
        on_chosen_change=report,
    )
