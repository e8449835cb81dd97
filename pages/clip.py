"""Photos against words: any labels, no training; and how well that does on a whole data set."""

from __future__ import annotations

import streamlit as st

from core.ui.evaluation_panel import evaluation_export, evaluation_panel
from core.ui.export import Export, export_popover
from core.ui.layout import heading, teaching_cards
from core.ui.pickers import image_picker, model_picker, own_model_form
from core.ui.similarity_panel import similarity_export, similarity_panel
from core.ui.zero_shot_panel import zero_shot_export, zero_shot_panel

VIEWS = {"labels": "One image", "matrix": "Images × texts", "dataset": "Whole data set"}


def make_export() -> Export:
    """What the open view shows."""
    if view == "dataset":
        return evaluation_export()
    return similarity_export(name) if view == "matrix" else zero_shot_export(name, picture)


heading("CLIP", "Which of these words fits the picture?")
bar = st.columns([3, 4, 2, 2], vertical_alignment="bottom")
with bar[0]:
    picture = image_picker(default="example:cat")
with bar[1]:
    name = model_picker("image_text", preferred=("clip_small",))
with bar[2]:
    own_model_form()
view = st.segmented_control(
    "View", list(VIEWS), format_func=VIEWS.__getitem__, default="labels", required=True, key="view",
    bind="query-params", label_visibility="collapsed",
)  # fmt: skip
if view == "dataset":
    evaluation_panel(name)
elif view == "matrix":
    similarity_panel(name)
else:
    zero_shot_panel(name, picture)
with bar[3]:
    export_popover(make_export, key="export")
teaching_cards("clip")
