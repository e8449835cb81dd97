"""The latent space of a VAE: a map under the pointer, what its dimensions carry, and what collapse does to them."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.latent.given import current_pictures, missing_words, set_popover
from pages.latent.map_panel import map_panel
from pages.latent.pictures_panel import reconstructions_panel, samples_panel
from pages.latent.runs_panel import rates_panel, runs_panel
from pages.latent.units_panel import units_panel
from pages.latent.walks_panel import walks_panel
from pages.shared.errors import guard
from pages.shared.export import Export, export_popover
from pages.shared.layout import control_bar, heading, teaching_cards
from pages.shared.pickers import model_picker, own_model_form

# One model and its pictures, and several models.
PANELS = {
    "map": ("Map", map_panel),
    "reconstructions": ("Reconstructions", reconstructions_panel),
    "samples": ("Samples", samples_panel),
    "latents": ("Latents", units_panel),
    "walks": ("Walks", walks_panel),
}
SEVERAL = {"runs": ("Two runs", runs_panel), "rates": ("Rate and distortion", rates_panel)}
VIEWS = {key: title for key, (title, _) in (PANELS | SEVERAL).items()}


def show(view: str) -> Callable[[], Export] | None:
    """The panel; returns what makes the export, None where there is nothing to take along."""
    if view in SEVERAL:
        return SEVERAL[view][1]()
    bar = control_bar([5, 5, 2], whole=2)
    with bar[1]:
        name = model_picker("latent", name="vae", preferred=("vae_2d", "vae_bernoulli"))
    with bar[2]:
        own_model_form(name="vae")
    given = current_pictures(name)
    with bar[0]:
        set_popover(given, name)
    made = None
    with guard():
        made = PANELS[view][1](name, given)
    missing_words(given, name)
    return made


heading("Latent space", "What does a VAE make room for, and what does it forget?")
top = control_bar([9, 2], whole=1, name="top")
with top[0]:
    chosen = st.segmented_control(
        "Show", list(VIEWS), format_func=VIEWS.__getitem__, default="map", required=True, key="latent_view",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
with guard():
    if (make := show(str(chosen))) is not None:
        with top[1]:
            export_popover(make, key="export")
teaching_cards("latent")
