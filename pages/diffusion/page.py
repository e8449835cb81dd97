"""A model that draws, asked to classify: under which prompt does it denoise the picture best?"""

from __future__ import annotations

import streamlit as st

from pages.diffusion.diffusion_classifier_panel import diffusion_classifier_panel, diffusion_export
from pages.diffusion.evaluation import EVALUATION
from pages.shared.cache import loaded_model
from pages.shared.export import Export, export_popover
from pages.shared.framing import framing_popover
from pages.shared.layout import control_bar, heading, teaching_cards
from pages.shared.pickers import image_picker, model_picker, own_model_form

VIEWS = {"classification": "One image", "dataset": "Whole data set"}


def make_export() -> Export:
    """What the open view shows."""
    return EVALUATION.export() if picture is None else diffusion_export(name, picture)


heading("Diffusion", "Under which prompt is the noise in the picture predicted best?")
view = st.segmented_control(
    "View", list(VIEWS), format_func=VIEWS.__getitem__, default="classification", required=True, key="diffusion_view",
    bind="query-params", label_visibility="collapsed",
)  # fmt: skip
one = view == "classification"
bar = control_bar([3, 3, 2, 2, 2] if one else [7, 2, 2], whole=2 if one else 1)
picture = None
if one:
    with bar[0]:
        picture = image_picker(default="example:cat")
with bar[1 if one else 0]:
    name = model_picker("text_to_image", preferred=("diffusion_small",))
with bar[-2]:
    own_model_form()
if picture is None:
    EVALUATION.panel(name)
else:
    with bar[2]:
        framing_popover(picture, loaded_model(name).network.preprocessing)
    diffusion_classifier_panel(name, picture)
with bar[-1]:
    export_popover(make_export, key="export")
teaching_cards("diffusion")
