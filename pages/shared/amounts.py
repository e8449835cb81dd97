"""A number whose nought stands for something else, such as all images: an empty field says so, and 0 is never shown."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.shared.address import remember, remembered, whole_number
from pages.shared.foreign import plain


def amount_input(
    label: str,
    start: int,
    zero: str,
    *,
    key: str,
    most: int | None,
    step: int = 1,
    help: str = "",
    in_address: bool = False,
    **options: Any,
) -> int:
    """A number from 1 to `most`, or 0 where the field is empty.

    Args:
        most: None for any.
        start: what stands in the field at first; 0 is an empty one.
        zero: what an empty field stands for, which it says in these words.
        in_address: whether the amount is kept in the address, as `key`; there 0 is the empty field.
    """
    field = f"{key}_typed" if in_address else key
    if in_address:
        asked = whole_number(remembered(key, str(start), always=False), (most or 999_999_999) + 1)
        st.session_state[field] = (start if asked is None else asked) or None
        options["on_change"] = lambda: remember(key, str(st.session_state[field] or 0))
    elif field not in st.session_state:
        # Not as the widget's own value: a field that has one takes it again when it is emptied.
        st.session_state[field] = start or None
    typed = st.number_input(
        label,
        min_value=1,
        max_value=most,
        value=None,
        step=step,
        key=field,
        placeholder=zero,
        help="\n\n".join(part for part in (help, f"Empty: {plain(zero)}.") if part),
        **options,
    )
    return 0 if typed is None else int(typed)
