"""Work of the pages, in threads of its own: under a bar with seconds and a Stop, both of which never wait for it.

A script that computes can neither say how long it has been at it nor notice a click. So it only watches: a tenth of a
second after a click the bar is gone, whatever the work is in the middle of. Work that nobody watches ends at its next
report of progress, or at its model's next forward pass; what has neither goes on unheard, and its result is kept.
"""

from __future__ import annotations

import gc
import itertools
import math
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, copy_context
from typing import Any, Generic, TypeVar

import streamlit as st
from streamlit.errors import StreamlitDuplicateElementKey

from core.reports import OnProgress, roughly
from pages.shared.errors import Stopped
from pages.shared.foreign import plain

Result = TypeVar("Result")

# A bar for less would only flicker.
HIDDEN_S = 0.15
LOOK_S = 0.1
GLANCE_S = 0.02
# So many new modules are a package: open_clip brings 2,000, diffusers and umap as many.
PACKAGE = 100
# A page that is drawn anew takes so long to come back to its work.
GRACE_S = 2.0
_STOPPED = "stopped_work"
_numbers = itertools.count()


class Abandoned(BaseException):
    """Nobody waits for this work any more. No `Exception`, as nobody may take it for a failure to recover from."""


class Job(Generic[Result]):
    """One computation in its thread, which any number of sessions watch.

    Attributes:
        share: how much of it is done, as far as it says.
        message: what it is at.
        began: by the monotonic clock.
    """

    def __init__(self, work: Callable[[OnProgress], Result]) -> None:
        """It begins at once; who makes it watches it."""
        self.share, self.message, self.began = 0.0, "", time.monotonic()
        self._watchers, self._left, self._lock = 1, self.began, threading.Lock()
        self._work, self._found, self._problem = work, list[Result](), list[BaseException]()
        # A daemon: the server must not wait for it.
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), daemon=True, name="work")
        self._thread.start()

    def report(self, share: float, message: str, /) -> None:
        """What the work says of itself.

        Raises:
            Abandoned: nobody has watched for a while.
        """
        self.share, self.message = min(1.0, max(0.0, share)), message
        self.look()

    def part(self, title: str) -> OnProgress:
        """What a part of the work, which does not know how much of the whole it is, says of itself."""

        def report(share: float, message: str, /) -> None:
            self.report(self.share, message)

        report(0.0, title.rstrip(" .…"))
        return report

    def look(self) -> None:
        """
        Raises:
            Abandoned: nobody has watched for a while.
        """
        with self._lock:
            if self._is_left():
                raise Abandoned

    def watch(self) -> bool:
        """Watch it, too; False, and nothing is done, if it ended or is about to, as nobody has for a while."""
        with self._lock:
            if self._is_left() or not self._thread.is_alive():
                return False
            self._watchers += 1
            return True

    def leave(self) -> None:
        """Watch no more; the work goes on for a while."""
        with self._lock:
            self._watchers -= 1
            self._left = time.monotonic()

    def drop(self) -> None:
        """Who watched it will not come back: it ends, unless somebody else watches."""
        with self._lock:
            self._left = -math.inf

    def _is_left(self) -> bool:
        return not self._watchers and time.monotonic() - self._left > GRACE_S

    def wait(self, seconds: float) -> bool:
        """Whether it ended within that time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self) -> Result:
        """What the work returned, or what it raised."""
        if self._problem:
            raise self._problem[0]
        return self._found[0]

    def _run(self) -> None:
        _current.set(self)
        known = len(sys.modules)
        try:
            self._found.append(self._work(self.report))
        except BaseException as error:
            self._problem.append(error)
        if len(sys.modules) - known >= PACKAGE:
            # Streamlit looks for garbage after every run of a page, and the next one, be it of a Stop, waits for that.
            # What was imported is none; looking through it took 0.15 s of a processor each time.
            gc.collect()
            gc.freeze()


_current: ContextVar[Job[Any] | None] = ContextVar("current job", default=None)


def current_job() -> Job[Any] | None:
    """The work that this thread does, if any."""
    return _current.get()


def with_progress(text: str, work: Callable[[OnProgress], Result], *, token: str = "") -> Result:
    """What `work(on_progress)` returns, under a bar that says what is happening, for how long, and can be stopped.

    Within other work it is a part of that, which has a bar already. It may not draw.

    Args:
        token: tells it from other work, so that it stays stopped when the page is drawn anew, until "Go on" is pressed.
            Without one it is something that a click began, and begins again.

    Raises:
        Stopped: the user stopped it, now or earlier.
    """
    job = current_job()
    if job is not None:
        return work(job.part(text))
    refuse_if_stopped(text, token)
    return watched(text, Job(work), token)


def is_stopped(token: str) -> bool:
    """Whether this session has stopped what is told by `token`, and has not gone on with it."""
    return token != "" and token in st.session_state.get(_STOPPED, ())


def give_way() -> None:
    """Where Streamlit ends a script whose page is asked for anew: it does so when the session's state is looked at."""
    st.session_state.get(_STOPPED)


def rest(seconds: float) -> None:
    """Let go first what a hand does meanwhile: its next letter or click ends the script in here."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(GLANCE_S, left))
        give_way()


def refuse_if_stopped(text: str, token: str) -> None:
    """
    Raises:
        Stopped: the user stopped this; the page says so, and offers to go on.
    """
    if not is_stopped(token):
        return
    left, right = st.columns([5, 1], vertical_alignment="center")
    title = text.rstrip(" .…")
    left.info(f"Stopped: {plain(title[0].lower() + title[1:])}.", icon=":material/pause:")
    with suppress(StreamlitDuplicateElementKey):  # another part of the page needs it, too
        right.button("Go on", key=f"go_on_{token}", on_click=_go_on, args=(token,), type="primary", width="stretch")
    raise Stopped(f"{title} was stopped.")


def watched(text: str, job: Job[Result], token: str = "") -> Result:
    """The result of a job that this session watches, until it ends; see `with_progress`."""
    try:
        until = time.monotonic() + HIDDEN_S
        while not job.wait(GLANCE_S) and time.monotonic() < until:
            give_way()
        if not job.wait(0):
            _show(text.rstrip(" .…"), job, token)
        return job.result()
    finally:
        job.leave()


def _show(title: str, job: Job[Any], token: str) -> None:
    """Draw the bar until the job ends, or the script does: at a click Streamlit abandons it at the next element."""
    slot = st.empty()
    with slot.container():
        left, right = st.columns([5, 1], vertical_alignment="center")
        bar = left.progress(0.0, text=plain(title))
        # A number each time: after a failure the same page may try again further down.
        right.button("Stop", key=f"stop_{token}_{next(_numbers)}", on_click=_stop, args=(token, job), width="stretch")
    try:
        while not job.wait(LOOK_S):
            bar.progress(job.share, text=plain(progress_text(title, job)))
    finally:
        slot.empty()


def progress_text(title: str, job: Job[Any]) -> str:
    """What the bar of a job says: what it is at, for how long, and how long it still takes if that can be known."""
    seconds, share = time.monotonic() - job.began, job.share
    # Some say all of it themselves.
    said = job.message if job.message[:4] == title[:4] else f"{title}: {job.message}" if job.message else title
    left_over = seconds * (1 - share) / share if share > 0.05 and seconds > 3 else 0
    left = f", about {roughly(left_over)} left" if left_over > 2 else ""
    return f"{said.rstrip(' .…')} … {seconds:.0f} s{left}" if seconds >= 1 else f"{said.rstrip(' .…')} …"


def _stop(token: str, job: Job[Any]) -> None:
    job.drop()  # the script that watched it has left by now
    if token:
        st.session_state[_STOPPED] = {*st.session_state.get(_STOPPED, ()), token}


def _go_on(token: str) -> None:
    st.session_state[_STOPPED] = {*st.session_state.get(_STOPPED, ())} - {token}
