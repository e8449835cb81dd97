"""State that lives in the address, so that a view can be sent to somebody: `?image=example:cat&model=vit_p4`.

Plain widgets use Streamlit's own `bind="query-params"`. This is for choices made by something else than one widget
(an image from a gallery or an upload), and it carries them from page to page.
"""

from __future__ import annotations

import streamlit as st


def remembered(name: str, default: str) -> str:
    """The current value of `name`: of this session, else of the address it was opened with, else `default`."""
    if name not in st.session_state:
        st.session_state[name] = st.query_params.get(name, default)
    value: str = st.session_state[name]
    # Written on every run: switching pages clears the address.
    if value != default:
        if st.query_params.get(name) != value:
            st.query_params[name] = value
    elif name in st.query_params:
        del st.query_params[name]
    return value


def remember(name: str, value: str) -> None:
    """Choose `value` for `name`; the address follows in the same run."""
    st.session_state[name] = value
