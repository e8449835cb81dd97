"""What the views of Biases share that show a result: the picture beside the form, and which result it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from core.runs.store import RunFolder
from pages.shared.errors import guard
from pages.shared.evaluation.runs import EvaluationRuns
from pages.shared.export import Export

SOURCES = {"own": "Of this machine", "bundled": "Comes with Vitrine"}


def result_and_form(
    runs: EvaluationRuns, form: Callable[[], None], result: Callable[[], Callable[[], Export] | None]
) -> Callable[[], Export] | None:
    """The result at the left, under what runs now, and the form at the right; returns what makes the export."""
    left, right = st.columns([9, 4], gap="large")
    with right, guard():
        form()
    make = None
    with left:
        runs.progress()
        with guard():
            make = result()
    return make


def chosen_result(
    runs: EvaluationRuns, finished: Sequence[RunFolder], bundled: dict[str, Any] | None
) -> RunFolder | dict[str, Any] | None:
    """A run of this machine, or what was measured elsewhere: a choice where there are both; None: there is neither."""
    source = "own" if finished else "bundled"
    if finished and bundled is not None:
        source = str(
            st.segmented_control(
                "Result", list(SOURCES), default="own", required=True, key=f"{runs.key}_source", bind="query-params",
                format_func=SOURCES.__getitem__, label_visibility="collapsed",
            )
        )  # fmt: skip
    if source == "own" and finished:
        return runs.choose(finished)
    if bundled is None:
        st.info("Nothing has been measured on this machine yet.", icon=":material/query_stats:")
        return None
    st.markdown("**Comes with Vitrine**, measured once on another machine")
    return bundled
