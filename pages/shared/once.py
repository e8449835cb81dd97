"""Clicks that do something which cannot be done again: launch, begin, resume, import."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

import streamlit as st

Result = TypeVar("Result")
# A second click within this time is a double click, not a wish for two runs.
DOUBLE_CLICK_S = 3.0


@dataclass
class Deed:
    """What one button of one session did last, and when (by the monotonic clock)."""

    lock: Lock = field(default_factory=Lock)
    done: float = float("-inf")
    result: Any = None

    def once(self, act: Callable[[], Result]) -> Result:
        """What `act` gives, or gave to the click before; a second one waits for it. It may be called in any thread."""
        with self.lock:
            if time.monotonic() - self.done > DOUBLE_CLICK_S:
                self.result = act()
                self.done = time.monotonic()
            result: Result = self.result
            return result


def deed(key: str) -> Deed:
    """The one of this session by that name."""
    found: Deed = st.session_state.setdefault(f"once-{key}", Deed())
    return found


def once(key: str, act: Callable[[], Result]) -> Result:
    """What `act` gives; where somebody clicked twice, the second click does nothing and gets what the first one got.

    The second click starts a run of the script of its own, while the first is still in `act`: Streamlit ends that one
    at the next thing that it draws or remembers. So the first may never come to say what it has done, and the second
    has to wait for it and say it instead. Therefore `act` may not touch Streamlit, and whatever follows has to be right
    after either click.

    Args:
        key: of the button, and of what it acts on.
        act: it may fail; then the next click tries again.
    """
    return deed(key).once(act)
