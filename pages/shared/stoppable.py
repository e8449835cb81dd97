"""Long work in the page itself: once for all sessions, under a bar that says what is going on, with a stop button.

Pressing it makes Streamlit abandon the run at the next progress report; what was written to the caches on disk until
then is found there again by "Go on".
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import streamlit as st

from core.errors import CoreError
from core.reports import OnProgress, roughly
from pages.shared.foreign import plain

Result = TypeVar("Result")

# Ten thousand feature vectors can be some tens of megabytes.
_KEPT = 24
_STOPPED = "stopped_work"


class Stopped(CoreError):
    """The user stopped the work; the page already says so and offers to go on."""


class SharedResults:
    """Results of all sessions by key, the oldest go first; one lock for each that is being worked on."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.found: OrderedDict[tuple[Hashable, ...], Any] = OrderedDict()
        self.busy: dict[tuple[Hashable, ...], threading.Lock] = {}

    def get(self, key: tuple[Hashable, ...]) -> Any:
        """The result as a list of one, or an empty list."""
        with self.lock:
            if key not in self.found:
                return []
            self.found.move_to_end(key)
            return [self.found[key]]

    def put(self, key: tuple[Hashable, ...], result: Any) -> None:
        with self.lock:
            self.found[key] = result
            while len(self.found) > _KEPT:
                self.found.popitem(last=False)

    def turn(self, key: tuple[Hashable, ...]) -> threading.Lock:
        """Whoever holds it works on `key`."""
        with self.lock:
            return self.busy.setdefault(key, threading.Lock())


# In Streamlit's cache, so that it is emptied when the files of an own model change.
@st.cache_resource(show_spinner=False)
def _results() -> SharedResults:
    return SharedResults()


def computed(key: tuple[Hashable, ...], text: str, work: Callable[[OnProgress], Result]) -> Result:
    """The result for `key`: kept from before, or made by `work(on_progress)` while the bar and its button are shown.

    Raises:
        Stopped: the user stopped it, now or earlier.
    """
    results = _results()
    for result in results.get(key):
        return result
    token = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
    slot = st.empty()
    with slot.container():
        if st.session_state.get(_STOPPED) == token:
            left, right = st.columns([5, 1], vertical_alignment="center")
            left.info(f"Stopped: {plain(text[0].lower() + text[1:])}.", icon=":material/pause:")
            right.button("Go on", key=f"go_on_{token}", on_click=_forget, type="primary", width="stretch")
            raise Stopped(f"{text} was stopped.")
        left, right = st.columns([5, 1], vertical_alignment="center")
        bar = left.progress(0.0, text=f"{plain(text)} …")
        right.button("Stop", key=f"stop_{token}", on_click=_stop, args=(token,), width="stretch")
        began = time.monotonic()

        def on_progress(share: float, message: str) -> None:
            share = min(1.0, max(0.0, share))
            seconds = time.monotonic() - began
            left_over = seconds * (1 - share) / share if share > 0.05 and seconds > 3 else 0
            left = f", about {roughly(left_over)} left" if left_over > 2 else ""
            bar.progress(share, text=f"{plain(text)}: {plain(message)}{left}")

        turn = results.turn(key)
        while not turn.acquire(timeout=0.5):
            on_progress(0.0, "another session is at it")
        try:
            for result in results.get(key):
                return result
            result = work(on_progress)
            results.put(key, result)
        finally:
            turn.release()
            slot.empty()
    return result


def _stop(token: str) -> None:
    st.session_state[_STOPPED] = token


def _forget() -> None:
    st.session_state.pop(_STOPPED, None)
