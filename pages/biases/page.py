"""What a model goes by: shape, texture, colour, one place. Photos and data sets with one of them taken away."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.biases.accuracy_panel import accuracy_panel
from pages.biases.cues_panel import cues_panel
from pages.biases.domains_panel import domains_panel
from pages.biases.photo_panel import photo_panel
from pages.shared.errors import guard
from pages.shared.export import Export, export_popover
from pages.shared.layout import control_bar, heading, teaching_cards

# A view: its title, and what shows it and returns what makes its export; None where there is nothing to take along.
PANELS: dict[str, tuple[str, Callable[[], Callable[[], Export] | None]]] = {
    "photo": ("One photo", photo_panel),
    "accuracy": ("Accuracy", accuracy_panel),
    "cues": ("Cue conflict", cues_panel),
    "domains": ("Domains", domains_panel),
}
TITLES = {key: title for key, (title, _) in PANELS.items()}

heading("Biases", "What does a model go by?")
top = control_bar([9, 2], whole=1, name="top")
with top[0]:
    view = st.segmented_control(
        "Show", list(PANELS), format_func=TITLES.__getitem__, default="photo", required=True,
        key="biases_view", bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
with guard():
    if (make := PANELS[str(view)][1]()) is not None:
        with top[1]:
            export_popover(make, key="export")
teaching_cards("biases", "" if view == "photo" else str(view))
