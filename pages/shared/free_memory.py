"""Memory that was used and is free again, given back to the machine: Linux's C library keeps it otherwise.

A page that computes leaves tens of MiB behind, in an arena of each thread that worked on it. With two arenas in all
threads use each other's, and what is free in them goes back after every run of a page, in 2 ms.

And memory that Streamlit never gives free: it keeps what it knows of every widget that a session has ever seen, with
its callback. One that is written in a page's script holds all that a run of that page has made: where a widget is
another one for every photo, that was 11 MiB a photo.
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache

from streamlit.runtime.scriptrunner import get_script_run_ctx

ARENAS = 2
_M_ARENA_MAX = -8  # of malloc.h


@cache
def _libc() -> ctypes.CDLL | None:
    """The C library where it is glibc, which alone has these functions."""
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def few_arenas() -> None:
    """Before threads begin: memory is taken from few arenas."""
    if (libc := _libc()) is not None:
        libc.mallopt(_M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Give back what is free."""
    if (libc := _libc()) is not None:
        libc.malloc_trim(0)


def forget_gone_widgets() -> None:
    """Let go, at the end of a run, of what Streamlit knows of widgets that neither this run nor the one before drew.

    Those of the run before may still be on the screen, and clicked.
    """
    if (context := get_script_run_ctx()) is None:
        return
    # The next run may have begun, and be at the same.
    with context.session_state._lock:
        state, drawn = context.session_state._state, context.shared.widget_ids_this_run.snapshot()
        known = state._new_widget_state.widget_metadata
        for widget in known.keys() - state._new_widget_state.states.keys() - state._old_state.keys() - drawn:
            del known[widget]
