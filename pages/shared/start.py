"""What is on the page before it is there: grey bars, and the slow imports, which the first visitor waits for in sight.

Importing PyTorch takes most of the time between the first request to a fresh server and its first picture. A page that
opens with results that are part of Vitrine (`first_results`) does without, and the imports wait until it is on the
screen, or until it calls `wait_for_imports` below its first pictures: Python does one thing at a time. For any other
page they begin when it is asked for, and for nobody soon after the start.
"""

from __future__ import annotations

import gc
import importlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import streamlit as st

from pages.shared.free_memory import few_arenas
from pages.shared.frontend import CHARTS, scripts_of
from pages.shared.no_compiler import leave_out_compiler
from pages.shared.requests import asks_for_page

# Pages that open without what is heavy, by their folders.
WITHOUT_TORCH = ("home", "attention", "masking", "anatomy")
_AT_THE_BARE_ADDRESS = "home"
LIGHT = ("pages.navigation", "pages.shared.pickers", "pages.shared.export", "pages.attention.parts")
HEAVY = ("torch", "core.methods.anatomy.anatomy")
# So long after the start, or after a page was drawn, nobody seems to be waiting for anything.
QUIET_S = 2.0
_LONGEST_RUN_S = 20.0


class _Start:
    """When the heavy imports begin: as soon as somebody waits for them, else when nobody waits for anything."""

    def __init__(self) -> None:
        self.wanted = threading.Event()
        self.quiet_at = time.monotonic() + QUIET_S

    def wait(self) -> None:
        while (left := self.quiet_at - time.monotonic()) > 0:
            if self.wanted.wait(left):
                return


_start = _Start()


@cache
def heavy_imports() -> Future[None]:
    """The imports, in a thread of their own: the light ones since the first call, the heavy ones when it is time."""
    few_arenas()
    _start.quiet_at = time.monotonic() + QUIET_S
    return ThreadPoolExecutor(1, thread_name_prefix="imports").submit(_import)


class Visits:
    """ASGI middleware for what is best begun as soon as a page is asked for, not when its script runs.

    The heavy imports begin, or wait; and the browser is told to fetch what charts are drawn with. It is the largest
    part of the frontend by far (4.7 MB), and would be asked for only when the first chart has arrived.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        opens = asks_for_page(scope)
        if opens:
            if (scope.get("path", "").strip("/") or _AT_THE_BARE_ADDRESS) in WITHOUT_TORCH:
                _start.quiet_at = time.monotonic() + _LONGEST_RUN_S
            else:
                _start.wanted.set()

        async def send_with_hint(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_hints()]}
            await send(message)

        await self.app(scope, receive, send_with_hint if opens else send)


@cache
def _hints() -> tuple[tuple[bytes, bytes], ...]:
    """Headers that say which parts of the frontend will be needed: from where Streamlit's own page has its parts."""
    return tuple(
        (b"link", f"<./static/js/{name}>; rel=modulepreload; fetchpriority=low".encode()) for name in scripts_of(CHARTS)
    )


@contextmanager
def imports_later() -> Iterator[None]:
    """A page that does without the heavy imports is drawn meanwhile, and for a moment the browser is left to it."""
    _start.quiet_at = time.monotonic() + _LONGEST_RUN_S
    try:
        yield
    finally:
        _start.quiet_at = time.monotonic() + QUIET_S


def page_style() -> None:
    """Grey bars under what is there so far, until the last element of the page is there.

    A style and nothing else: it takes no room of its own, and goes by itself, whatever a page does in between. The last
    element of every page is `page_keys`; a page that ends in an exception has none. The same style gives the letters of
    primary buttons and of chosen options the contrast that white has not on the dark theme's colour, gives segments the
    height of other controls, so that the labels of a row stand on one line, and on a phone sets a page's pickers two by
    two, keeps a `control_strip` in one row, puts the picture of a `form_and_stage` before its form, and makes headings
    small enough for a picture below them.
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
          [data-testid="stMarkdownContainer"] h4 { font-size: .97rem; line-height: 1.35; padding-top: 0 }
          [class*="st-key-formed_"] > * > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:last-child,
          [class*="st-key-formed_"] > * > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:last-child
            > [data-testid="stVerticalBlock"] { display: contents }
          :has(> [class*="st-key-staged_"]) { order: -1; flex-basis: 100% }
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
    _start.wanted.set()
    if not imports.done():
        with st.spinner("Starting: loading PyTorch, once after the server starts …", show_time=True):
            imports.result()
    imports.result()  # an import that failed is loud on every page


def _import() -> None:
    for name in LIGHT:
        importlib.import_module(name)
    _start.wait()
    leave_out_compiler()
    for name in HEAVY:
        importlib.import_module(name)
    # Streamlit looks for garbage after every run of a page. Modules are none, and looking through these took 0.12 s
    # of a processor each time, in which no other session went on.
    gc.freeze()
