"""The slow imports: begun when the server starts, and waited for in sight by whoever comes first.

Importing torch, transformers and scikit-learn takes most of the time between the first request to a fresh server and
its first picture; without this the browser shows an empty page meanwhile.
"""

from __future__ import annotations

import importlib
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import streamlit as st

HEAVY = ("torch", "pages.shared.cache", "pages.shared.pickers")


@cache
def heavy_imports() -> Future[None]:
    """The imports, running in a thread of their own since the first call."""
    return ThreadPoolExecutor(1, thread_name_prefix="imports").submit(_import)


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
