"""The one place where a `CoreError` becomes something to read; any other exception stays loud."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core.errors import CoreError


def show_error(error: CoreError) -> None:
    """Cause and remedy, in a box that leaves the rest of the page usable."""
    st.error(f"{error.cause}\n\n{error.remedy}" if error.remedy else error.cause, icon=":material/error:")


@contextmanager
def guard() -> Iterator[None]:
    """Show a `CoreError` raised inside and go on after the block."""
    try:
        yield
    except CoreError as error:
        show_error(error)
