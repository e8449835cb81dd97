"""Long work in the page itself: computed once for all sessions, under a bar that says what is going on.

`st.cache_resource` cannot hold these results: a cached function may not move a progress bar that lies outside of it.
Here the key of a result is made of *all* arguments of the function that computes it, so that none can be forgotten:

    @shared("Removing patches …")
    def curve_of(question: Question, seed: int, _image: Image.Image, *, on_progress: OnProgress = silent) -> Curve: ...

As in Streamlit, only an argument that begins with an underscore is left out: what another one stands for already.
"""

from __future__ import annotations

import hashlib
import inspect
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from enum import Enum
from functools import partial, update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, cast
from weakref import WeakValueDictionary

import numpy as np
import streamlit as st

from core.errors import CoreError
from core.paths import data_root
from core.reports import OnProgress, roughly
from pages.shared.foreign import plain

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Key = tuple[Hashable, ...]

_STOPPED = "stopped_work"


class Stopped(CoreError):
    """The user stopped the work; the page already says so and offers to go on."""


class SharedResults:
    """Results of all sessions by key, at `most` so many: the ones used longest ago go first."""

    def __init__(self, most: int = 24) -> None:
        self.most = most
        self.lock = threading.Lock()
        self.found: OrderedDict[Key, Any] = OrderedDict()
        self.busy: WeakValueDictionary[Key, threading.Lock] = WeakValueDictionary()

    def get(self, key: Key) -> list[Any]:
        """The result as a list of one, or an empty list."""
        with self.lock:
            if key not in self.found:
                return []
            self.found.move_to_end(key)
            return [self.found[key]]

    def put(self, key: Key, result: Any) -> None:
        with self.lock:
            self.found[key] = result
            self.found.move_to_end(key)
            while len(self.found) > self.most:
                self.found.popitem(last=False)

    def turn(self, key: Key) -> threading.Lock:
        """Whoever holds it works on `key`; it is gone when nobody holds or waits for it."""
        with self.lock:
            return self.busy.setdefault(key, threading.Lock())

    def once(self, key: Key, work: Callable[[], Result], wait: Callable[[], object] = lambda: None) -> Result:
        """The result for `key`: kept, or made by `work`, for which other sessions wait. An error is nobody's result.

        Args:
            wait: called twice a second while another session is at it; may raise.
        """
        turn = self.turn(key)
        while not turn.acquire(timeout=0.5):
            wait()
        try:
            for result in self.get(key):
                return result
            result = work()
            self.put(key, result)
            return result
        finally:
            turn.release()


class Shared(Generic[Arguments, Result]):
    """A function whose results are kept for all sessions; see `shared`."""

    def __init__(
        self, function: Callable[Arguments, Result], text: str | Callable[..., str], most: int, *, stoppable: bool
    ) -> None:
        update_wrapper(self, function)
        self.function, self.text, self.most, self.stoppable = function, text, most, stoppable
        self.name = f"{function.__module__}.{function.__qualname__}"
        self.signature = inspect.signature(function)

    def __call__(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """The result for these arguments.

        Raises:
            Stopped: the user stopped it, now or earlier.
        """
        key, results = self.key(*args, **kwargs), self.results
        for result in results.get(key):
            return result
        text = self.text if isinstance(self.text, str) else self.text(*args, **kwargs)

        def work(on_progress: OnProgress) -> Result:
            def wait() -> None:
                on_progress(0.0, "another session is at it")

            compute = partial(cast(Callable[..., Result], self.function), on_progress=on_progress)
            return results.once(key, lambda: compute(*args, **kwargs), wait)

        token = hashlib.sha256(repr((self.name, key)).encode()).hexdigest()[:16] if self.stoppable else ""
        return with_progress(text, work, token=token)

    def known(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result | None:
        """The result if it is kept; nothing is computed."""
        return next(iter(self.results.get(self.key(*args, **kwargs))), None)

    def key(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Key:
        """All arguments but those that begin with an underscore."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return tuple(
            _frozen(value)
            for name, value in bound.arguments.items()
            if not name.startswith("_") and name != "on_progress"
        )

    @property
    def results(self) -> SharedResults:
        """The results of this function."""
        return _stores().setdefault(self.name, SharedResults(self.most))


def shared(
    text: str | Callable[..., str], *, most: int = 64, stoppable: bool = False
) -> Callable[[Callable[Arguments, Result]], Shared[Arguments, Result]]:
    """Keep what the function returns for all sessions; two that ask the same at once wait for one computation.

    Args:
        text: what the bar says, or a function of the same arguments that returns it.
        most: results that are kept.
        stoppable: whether a button beside the bar stops the work; pages then have to expect `Stopped`.
    """
    return lambda function: Shared(function, text, most, stoppable=stoppable)


# In Streamlit's cache, so that it is emptied when the files of an own model or a data set change.
@st.cache_resource(show_spinner=False)
def _stores() -> dict[str, SharedResults]:
    return {}


def forget_if_changed(what: str, stamp: Hashable) -> None:
    """Drop every cached result where `what`, which keys name but do not hold, is another than last time."""
    changed = _stamps().get(what, stamp) != stamp
    if changed:
        st.cache_resource.clear()
        st.cache_data.clear()
    _stamps()[what] = stamp


def forget_changed_data() -> None:
    """Results are kept by the names of data sets: one that was imported anew has none."""
    for card in sorted(data_root().glob("*/dataset.json")):
        with suppress(OSError):  # deleted a moment ago
            forget_if_changed(f"data:{card.parent.name}", card.stat().st_mtime_ns)


@st.cache_resource(show_spinner=False)
def _stamps() -> dict[str, Hashable]:
    """What models and data sets of people's own looked like when they were last used."""
    return {}


def _frozen(value: Any) -> Hashable:
    """`value` as part of a key: arrays by what is in them, lists as tuples.

    Raises:
        TypeError: it has no value to be told by.
    """
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest())
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return tuple(map(_frozen, value))
    if value is None or isinstance(value, Enum) or type(value).__eq__ is not object.__eq__:  # type: ignore[comparison-overlap]
        hash(value)
        return value
    raise TypeError(f"{type(value).__name__} cannot be part of a key: name the argument _so, beside one that tells it.")


def with_progress(text: str, work: Callable[[OnProgress], Result], *, token: str = "") -> Result:
    """What `work(on_progress)` returns, under a bar that says what is happening; with a `token` it can be stopped.

    Pressing the button makes Streamlit abandon the run at the next progress report; what was written to the caches on
    disk until then is found there again by "Go on".

    Raises:
        Stopped: the user stopped it, now or earlier.
    """
    slot = st.empty()
    with slot.container():
        if not token:
            bar = st.progress(0.0, text=plain(text))
        else:
            left, right = st.columns([5, 1], vertical_alignment="center")
            if st.session_state.get(_STOPPED) == token:
                left.info(f"Stopped: {plain(text[0].lower() + text[1:])}.", icon=":material/pause:")
                right.button("Go on", key=f"go_on_{token}", on_click=_forget, type="primary", width="stretch")
                raise Stopped(f"{text} was stopped.")
            bar = left.progress(0.0, text=f"{plain(text)} …")
            right.button("Stop", key=f"stop_{token}", on_click=_stop, args=(token,), width="stretch")
    began = time.monotonic()

    def on_progress(share: float, message: str) -> None:
        share = min(1.0, max(0.0, share))
        seconds = time.monotonic() - began
        left_over = seconds * (1 - share) / share if share > 0.05 and seconds > 3 else 0
        left = f", about {roughly(left_over)} left" if left_over > 2 else ""
        bar.progress(share, text=plain(f"{text}: {message}{left}" if token else f"{message}{left}"))

    try:
        return work(on_progress)
    finally:
        slot.empty()


def _stop(token: str) -> None:
    st.session_state[_STOPPED] = token


def _forget() -> None:
    st.session_state.pop(_STOPPED, None)
