"""State that lives in the address, so that a view can be sent to somebody: `?image=example:cat&model=vit_p4`.

Plain widgets use Streamlit's own `bind="query-params"`. This is for choices made by something else than one widget
(an image from a gallery or an upload), and it carries them from page to page.
"""

from __future__ import annotations

import streamlit as st


def remembered(name: str, default: str) -> str:
    """The current value of `name`: of this session, else of the address it was opened with, else `default`.

    It is written into the address even when it is the default, because what the default is depends on the machine.
    """
    if name not in st.session_state:
        st.session_state[name] = st.query_params.get(name, default)
    value: str = st.session_state[name]
    # Written on every run: switching pages clears the address.
    if st.query_params.get(name) != value:
        st.query_params[name] = value
    return value


def remember(name: str, value: str) -> None:
    """Choose `value` for `name`; the address follows in the next run."""
    st.session_state[name] = value
