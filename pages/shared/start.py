"""What is on the page before it is there: grey bars, and the slow imports, which the first visitor waits for in sight.

They begin when the server starts. Importing torch, transformers and scikit-learn takes most of the time between the
first request to a fresh server and its first picture; without this the browser shows an empty page meanwhile.
"""

from __future__ import annotations

import gc
import importlib
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import streamlit as st

HEAVY = ("torch", "pages.shared.cache", "pages.shared.pickers")


@cache
def heavy_imports() -> Future[None]:
    """The imports, running in a thread of their own since the first call."""
    return ThreadPoolExecutor(1, thread_name_prefix="imports").submit(_import)


def page_style() -> None:
    """Grey bars under what is there so far, until the last element of the page is there.

    A style and nothing else: it takes no room of its own, and goes by itself, whatever a page does in between. The last
    element of every page is `page_keys`; a page that ends in an exception has none. The same style gives the letters of
    primary buttons and of chosen options the contrast that white has not on the dark theme's colour, gives segments the
    height of other controls, so that the labels of a row stand on one line, and on a phone sets a page's pickers two by
    two, keeps a `control_strip` in one row, and makes headings small enough for a picture below them.
    """
    st.html(
        """<style>
        [data-testid="stMainBlockContainer"]:not(:has(.st-key-page_keys, [data-testid="stException"]))::after {
          content: ""; display: block; flex: none; width: 100%; height: 55vh; margin-top: 1rem; border-radius: .6rem;
          background: linear-gradient(#8884, #8884) left / 54% 100% no-repeat,
            repeating-linear-gradient(#8884 0 1.6rem, transparent 1.6rem 2.8rem) right / 43% 100% no-repeat;
          animation: vitrine-wait 1.4s ease-in-out infinite alternate; }
        @keyframes vitrine-wait { from { opacity: .25 } to { opacity: .6 } }
        button[kind^="primary"]:not(:disabled) *, [data-testid="stMultiSelect"] [data-tag],
        [data-testid="stMultiSelect"] [data-tag] * { color: light-dark(#FFFFFF, #0B1118) !important }
        [data-testid="stButtonGroup"] [data-variant="segmented_control"] { min-height: 2.5rem }
        [data-testid="stButtonGroup"] [role]:has(> [data-variant="pills"]) {
          min-height: calc(2.5rem + 6px); align-items: center }
        @media (max-width: 640px) {
          [data-testid="stMainBlockContainer"] { padding-top: 4.2rem }
          [data-testid="stMarkdownContainer"] h3 { font-size: 1.3rem; padding: .2rem 0 }
          [data-testid="stMarkdownContainer"] h3 small { font-size: .95rem }
          [data-testid="stMarkdownContainer"] h4 { font-size: 1.05rem; padding-top: 0 }
          [class*="st-key-strip_"] [data-testid="stHorizontalBlock"] { flex-wrap: nowrap !important; overflow-x: auto;
            padding: 3px; margin: -3px; scrollbar-width: thin }
          [class*="st-key-strip_"] [data-testid="stHorizontalBlock"] > * { flex: 0 0 auto !important;
            width: max-content !important; min-width: 9.5rem !important }
          [class*="st-key-strip_"] [role="radiogroup"] { flex-wrap: nowrap !important; overflow-x: auto }
          [class*="st-key-strip_"] [role="radiogroup"] > * { flex-shrink: 0 }
          [data-testid="stHorizontalBlock"]:has(> * > * > * > [data-testid="stPopover"]):not(:has(img, .js-plotly-plot,
            [data-testid="stElementContainer"]:not([class*="_drop"]) [data-testid^="stBidi"]))
            > [data-testid="stColumn"] { min-width: calc(50% - .5rem) !important } }
        @media (prefers-reduced-motion: reduce) { * { animation: none !important } }
        </style>"""
    )


def wait_for_imports() -> None:
    """Return when the pages can be run; until then, say what is going on."""
    imports = heavy_imports()
    if not imports.done():
        with st.spinner("Starting: loading PyTorch, once after the server starts …", show_time=True):
            imports.result()
    imports.result()  # an import that failed is loud on every page


def _import() -> None:
    for name in HEAVY:
        importlib.import_module(name)
    # Streamlit looks for garbage after every run of a page. Modules are none, and looking through these took 0.12 s
    # of a processor each time, in which no other session went on.
    gc.freeze()
