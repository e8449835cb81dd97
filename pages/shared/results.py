"""Everything that pages compute: once for all sessions, under a bar that says what is going on and can be stopped.

`st.cache_resource` cannot hold these results: a cached function has no bar, and holds the page until it is through.
Here the key of a result is made of *all* arguments of the function that computes it, so that none can be forgotten:

    @shared("Removing patches …")
    def curve_of(question: Question, seed: int, _image: Image.Image, *, on_progress: OnProgress = silent) -> Curve: ...

As in Streamlit, only an argument that begins with an underscore is left out: what another one stands for already. A
function that has no steps of its own has no `on_progress`: its bar shows the seconds. None may draw.
"""

from __future__ import annotations

import hashlib
import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from enum import Enum
from functools import partial, update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, cast
from weakref import WeakValueDictionary

import numpy as np
import streamlit as st

from core.paths import data_root
from core.reports import OnProgress
from pages.shared.errors import Stopped
from pages.shared.first_results import first_result, is_ignored
from pages.shared.kept_results import keep_result, kept_result
from pages.shared.work import Job, current_job, is_stopped, refuse_if_stopped, watched, with_progress

__all__ = ["Shared", "SharedResults", "Stopped", "shared", "with_progress"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Key = tuple[Hashable, ...]


class SharedResults:
    """Results of all sessions by key, at `most` so many: the ones used longest ago go first."""

    def __init__(self, most: int = 24) -> None:
        self.most = most
        self.lock = threading.Lock()
        self.found: OrderedDict[Key, Any] = OrderedDict()
        self.busy: WeakValueDictionary[Key, threading.Lock] = WeakValueDictionary()
        self.jobs: WeakValueDictionary[Key, Job[Any]] = WeakValueDictionary()

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

    def job(self, key: Key, work: Callable[[OnProgress], Any]) -> Job[Any]:
        """The job that makes the result for `key`, watched: one that another session began, or a new one."""
        with self.lock:
            job = self.jobs.get(key)
            if job is None or not job.watch():
                job = self.jobs[key] = Job(work)
            return job

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
        self,
        function: Callable[Arguments, Result],
        text: str | Callable[..., str],
        most: int,
        *,
        stays_stopped: bool,
        comes_with: bool,
    ) -> None:
        update_wrapper(self, function)
        self.function, self.text, self.most = function, text, most
        self.stays_stopped, self.comes_with = stays_stopped, comes_with
        self.name = f"{function.__module__}.{function.__qualname__}"
        self.signature = inspect.signature(function)
        self.reports = "on_progress" in self.signature.parameters

    def __call__(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """The result for these arguments.

        Raises:
            Stopped: the user stopped it, now or earlier.
        """
        key, results = self.key(*args, **kwargs), self.results
        token = self.token(key) if self.stays_stopped and current_job() is None else ""
        # What ended all the same before it heard of the stop is not followed by the next long computation of the page.
        for result in () if is_stopped(token) else self.kept(key):
            return result
        text = self.text if isinstance(self.text, str) else self.text(*args, **kwargs)

        def work(on_progress: OnProgress) -> Result:
            def wait() -> None:
                on_progress(0.0, "another session is at it")

            function = cast(Callable[..., Result], self.function)
            compute = partial(function, on_progress=on_progress) if self.reports else function

            def make() -> Result:
                result = compute(*args, **kwargs)
                if self.comes_with and not is_ignored():
                    keep_result(self.name, key, result)
                return result

            return results.once(key, make, wait)

        if (job := current_job()) is not None:
            return work(job.part(text))
        refuse_if_stopped(text, token)
        return watched(text, results.job(key, work), token)

    def known(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result | None:
        """The result if it is kept; nothing is computed."""
        return next(iter(self.kept(self.key(*args, **kwargs))), None)

    def kept(self, key: Key) -> list[Result]:
        """The result in a list, or an empty one: what was computed, also earlier on this machine, or came along."""
        found = self.results.get(key)
        if not found and self.comes_with and not is_ignored():
            found = first_result(self.name, key) or kept_result(self.name, key)
            for result in found:
                self.results.put(key, result)
        return found

    def token(self, key: Key) -> str:
        """What is told by it stays stopped."""
        return hashlib.sha256(repr((self.name, key)).encode()).hexdigest()[:16]

    def clear(self) -> None:
        """Forget all results."""
        _stores().pop(self.name, None)

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
        return store(self.name, self.most)


def shared(
    text: str | Callable[..., str], *, most: int = 64, stays_stopped: bool = True, comes_with: bool = False
) -> Callable[[Callable[Arguments, Result]], Shared[Arguments, Result]]:
    """Keep what the function returns for all sessions; two that ask the same at once wait for one computation.

    Args:
        text: what the bar says, or a function of the same arguments that returns it.
        most: results that are kept.
        stays_stopped: until somebody goes on with it; otherwise a click begins it, and begins it anew.
        comes_with: some of the results are part of Vitrine, or kept for the next server: see
            `pages.shared.first_results` and `pages.shared.kept_results`.
    """

    def keep(function: Callable[Arguments, Result]) -> Shared[Arguments, Result]:
        made = Shared(function, text, most, stays_stopped=stays_stopped, comes_with=comes_with)
        if comes_with:
            _COME_WITH.append(made)
        return made

    return keep


def kept_first() -> dict[tuple[str, Key], Any]:
    """What is kept now of the functions some of whose results are part of Vitrine, by function and key."""
    return {(each.name, key): found for each in _COME_WITH for key, found in each.results.found.items()}


_COME_WITH: list[Shared[Any, Any]] = []
_STORES: dict[str, SharedResults] = {}
# What models and data sets of people's own looked like when they were last used.
_STAMPS: dict[str, Hashable] = {}


def store(name: str, most: int) -> SharedResults:
    """Results by that name, for all sessions, until what they are of changes."""
    return _stores().setdefault(name, SharedResults(most))


def _stores() -> dict[str, SharedResults]:
    return _STORES


def forget_everything() -> None:
    """Drop every cached result, as when the files of an own model or a data set changed."""
    st.cache_resource.clear()
    st.cache_data.clear()
    _stores().clear()


def forget_if_changed(what: str, stamp: Hashable) -> None:
    """Drop every cached result where `what`, which keys name but do not hold, is another than last time."""
    stamps = _stamps()
    if stamps.get(what, stamp) != stamp:
        forget_everything()
    stamps[what] = stamp


def forget_changed_data() -> None:
    """Results are kept by the names of data sets: one that was imported anew has none."""
    for card in sorted(data_root().glob("*/dataset.json")):
        with suppress(OSError):  # deleted a moment ago
            forget_if_changed(f"data:{card.parent.name}", card.stat().st_mtime_ns)


def _stamps() -> dict[str, Hashable]:
    return _STAMPS


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
