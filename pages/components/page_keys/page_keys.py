"""The keys of every page: what they are, and presenting, which leaves the picture and large type."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from pages.components.scripts import script

_HERE = Path(__file__).parent
# What the keys do, in the order in which a newcomer needs them. Components listen to theirs while they have the focus.
KEYS = {
    "?": "this list",
    "P": "present: large type, no menu, the picture fills the screen; again or Esc ends it",
    "Tab, Shift Tab": "to the next or the last control or picture",
    "← → ↑ ↓": "on a picture: move over patches, positions, heads or values; on a slider: turn it",
    "Shift with an arrow": "on a picture: larger steps",
    "Enter": "on a picture: choose what is under the cursor",
    "Esc": "closes what lies over the page",
}
_PRESENTING = """
html.presenting { font-size: 22px !important; --picture-most: calc(100vh - 14rem); }
html.presenting [data-testid="stHeader"], html.presenting .st-key-teaching_cards,
html.presenting [data-testid="stPopover"],
html.presenting [data-testid="stHorizontalBlock"]:has(> * > * > * > [data-testid="stPopover"]):not(:has(img,
  .js-plotly-plot, [data-testid^="stBidi"], [data-testid="stButtonGroup"])) { display: none !important; }
html.presenting [data-testid="stMainBlockContainer"] { padding: .6rem 1.2rem !important; max-width: none !important; }
"""
_ROWS = "".join(f"<dt><kbd>{html.escape(key)}</kbd></dt><dd>{html.escape(what)}</dd>" for key, what in KEYS.items())
HTML = f"""
<button type="button" class="keys" aria-label="Keys and presenting" title="Keys and presenting: ?">?</button>
<dialog aria-labelledby="vitrine-keys-title">
  <h2 id="vitrine-keys-title">Keys</h2>
  <dl>{_ROWS}</dl>
  <button type="button" class="present">Present</button> <button type="button" class="close">Close</button>
</dialog>
"""
CSS = """
.keys, dialog { font-family: var(--st-font); color: var(--st-text-color); }
.keys { position: fixed; right: 1rem; bottom: 1rem; width: 2.2rem; height: 2.2rem; border-radius: 50%; z-index: 99;
  border: 1px solid var(--st-border-color); background: var(--st-secondary-background-color); font-size: 1.05rem;
  cursor: pointer; }
dialog { border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius); padding: 1.2rem 1.6rem;
  background: var(--st-background-color); max-width: min(38rem, 90vw); }
dialog::backdrop { background: rgba(0, 0, 0, .45); }
h2 { margin: 0 0 .6rem; font-size: 1.3rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .45rem 1rem; margin: 0 0 1rem; }
dd { margin: 0; }
kbd { font-family: inherit; border: 1px solid var(--st-border-color); border-radius: .3rem; padding: .05rem .4rem;
  background: var(--st-secondary-background-color); white-space: nowrap; }
.present, .close { border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); font: inherit;
  padding: .3rem .9rem; background: var(--st-secondary-background-color); color: inherit; cursor: pointer; }
button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
"""
_COMPONENT = st.components.v2.component(
    "vitrine_page_keys", html=HTML, css=CSS, js=script(_HERE / "page_keys.js", _HERE / "made_ready.js")
)


def page_keys(made_ready: Sequence[Sequence[str]] = ()) -> None:
    """Listen on the page that is shown, and offer the list at its lower right.

    `made_ready`: scripts of Streamlit's frontend that the browser fetches and compiles once the page is there, one
    group after the other.
    """
    _COMPONENT(
        key="page_keys", data={"style": _PRESENTING, "made_ready": [list(group) for group in made_ready]}, height=1
    )
