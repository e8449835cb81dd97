"""Images that a classifier named wrongly, all or of one kind, the surest first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from core.experiments.evaluation import Evaluation
from core.methods.accuracy.confusion import most_confused, surest_errors
from pages.shared.foreign import plain

ACROSS = 6
MOST = 12


def error_gallery(
    title: str, key: str, found: Evaluation, certainty: np.ndarray, note: Callable[[int], str] = lambda index: ""
) -> None:
    """Images that were named wrongly, all or of one kind.

    Args:
        certainty: (images,) the larger, the earlier an error is shown.
        note: what is said after true label and answer under an image.
    """
    first, second = st.columns([3, 6], vertical_alignment="bottom")
    first.markdown(f"**{title}**")
    kinds = most_confused(found.confusion, 20)
    kind = second.selectbox(
        "Kind",
        [-1, *range(len(kinds))],
        format_func=lambda each: (
            "all kinds"
            if each < 0
            else f"{found.classes[kinds[each][0]]} taken for {found.classes[kinds[each][1]]} ({kinds[each][2]})"
        ),
        key=key,
        label_visibility="collapsed",
    )
    true, said = kinds[kind][:2] if kind >= 0 else (None, None)
    indices = surest_errors(found.labels, found.predicted, certainty, MOST, true_class=true, said_class=said).tolist()
    if not indices:
        st.caption("It made no mistake.")
        return
    for start in range(0, len(indices), ACROSS):
        for column, index in zip(st.columns(ACROSS), indices[start : start + ACROSS], strict=False):
            names = [plain(found.classes[each[index]]) for each in (found.labels, found.predicted)]
            caption = f"{names[0]} → **{names[1]}**{plain(note(index))}"
            column.image(found.image(index), width="stretch", alt=caption)
            column.caption(caption)
