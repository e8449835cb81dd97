"""The one place where a `CoreError` becomes something to read; any other exception stays loud."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from streamlit.runtime.scriptrunner import StopException

from core.errors import CoreError
from pages.shared.foreign import plain

# An address or a reason may be a page long.
MOST_LETTERS = 2000


class PageEnd(Exception):
    """Raised by a page that has shown all that it can, such as how to get its model.

    Not `st.stop`, which ends the whole script: what stands at the end of every page would be missing.
    """


class Stopped(CoreError, StopException):
    """The user stopped the work; the page already says so and offers to go on.

    Where nobody expects it, it ends the page, or the fragment that was drawn alone, in silence.
    """


def show_error(error: CoreError) -> None:
    """Cause and remedy, in a box that leaves the rest of the page usable."""
    if isinstance(error, Stopped):
        return  # it says so itself
    cause, remedy = (plain(each, MOST_LETTERS) for each in (error.cause, error.remedy))
    st.error(f"{cause}\n\n{remedy}" if remedy else cause, icon=":material/error:")


@contextmanager
def guard() -> Iterator[None]:
    """Show a `CoreError` raised inside and go on after the block."""
    try:
        yield
    except CoreError as error:
        show_error(error)
