"""State that lives in the address, so that a view can be sent to somebody: `?image=example:cat&model=vit_p4`.

Plain widgets use Streamlit's own `bind="query-params"`. This is for choices made by something else than one widget
(an image from a gallery or an upload), and it carries them from page to page.

An address is written by whoever sends it: what is read from it is a line of text that can be shown and stored, of a
length that a choice of ours may have, or it is refused in a sentence. What it names is checked where it is looked up.
"""

from __future__ import annotations

from typing import Literal

import streamlit as st

from pages.shared.foreign import is_shown, plain

# Sixteen pictures with their data sets and splits; twelve runs of eighty letters each.
LONGEST = 2_000
_LARGEST = 2**53
# What the address once called what it calls otherwise now.
RENAMED = {
    "draws": "samples",
    "least_draws": "least_samples",
    "race_labels": "diffusion_labels",
    "race_seed": "sampling_seed",
    "race_template": "diffusion_template",
    "race_view": "denoising_view",
    "races": "diffusion_evaluation",
    "spread": "sampling",
    "stage_draws": "stage_samples",
}
_LEFT_OUT = "address-left-out"


def remembered(name: str, default: str, *, always: bool = True) -> str:
    """The current value of `name`: of this session, else of the address it was opened with, else `default`.

    It is written into the address even when it is the default, where (`always`) what that is depends on the machine.
    """
    if name not in st.session_state:
        st.session_state[name] = asked(name) or default
    value: str = st.session_state[name]
    # Written on every run: switching pages clears the address.
    if value == default and not always:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != value:
        st.query_params[name] = value
    return value


def asked(name: str) -> str:
    """What the address says of `name`; nothing, and a sentence on the page, where that cannot be meant."""
    return _checked(name, st.query_params.get(name, ""), LONGEST)


def all_asked(name: str, longest: int = LONGEST) -> list[str]:
    """The same where the address may say it several times, each of at most `longest` letters."""
    return [value for each in st.query_params.get_all(name) if (value := _checked(name, each, longest))]


def tidy_address() -> None:
    """Leave out, with a sentence, numbers of the address that no widget can hold.

    Called before any widget reads the address.
    """
    for name in list(st.query_params):
        if any(_is_monstrous(value) for value in st.query_params.get_all(name)):
            del st.query_params[name]
            st.session_state.setdefault(_LEFT_OUT, set()).add(name)
            st.warning(
                f"What the address says of {plain(name)} is no number that can be meant: it is left out.",
                icon=":material/link_off:",
            )


def renew_address() -> None:
    """Run the page anew under today's names where the address has names of earlier versions.

    Called before any widget reads the address: widgets hold to the one that a run began with.
    """
    if any(name in RENAMED for name in st.query_params):
        values = {RENAMED.get(name, name): st.query_params.get_all(name) for name in st.query_params}
        st.query_params.from_dict(values)
        st.rerun()


def bound(name: str) -> Literal["query-params"] | None:
    """How a number input keeps its value in the address as `name`; not at all where that held a monstrous number.

    Streamlit would read what the session was opened with, and end in an exception over it.
    """
    return None if name in st.session_state.get(_LEFT_OUT, ()) else "query-params"


def remember(name: str, value: str) -> None:
    """Choose `value` for `name`; the address follows in the next run."""
    st.session_state[name] = value


def whole_number(text: str, below: int) -> int | None:
    """The number from 0 to `below` − 1 that `text` writes in decimal digits; None if it is none."""
    # Length first: thousands of digits are an error of Python's own.
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(below))):
        return None
    number = int(text)
    return number if number < below else None


def _is_monstrous(value: str) -> bool:
    """Whether `value` is a number beyond what a browser can hold exactly, or none at all (nan, 1e999)."""
    try:
        return not abs(float(value)) <= _LARGEST
    except ValueError:
        return False


def _checked(name: str, value: str, longest: int) -> str:
    if len(value) <= longest and is_shown(value):
        return value
    if not value.strip():
        return ""
    why = f"is {len(value):,} letters long" if len(value) > longest else "holds letters that cannot be shown"
    st.warning(f"What the address says of {plain(name)} {why}: it is left out.", icon=":material/link_off:")
    return ""
