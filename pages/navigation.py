"""The script that Streamlit runs for every page: navigation, then the page. `app.py` launches it."""

from __future__ import annotations

import streamlit as st

from core.launch.queue import advance
from core.paths import CHECKOUT
from pages.shared.address import tidy_address
from pages.shared.errors import guard
from pages.shared.layout import page_path
from pages.shared.start import wait_for_imports


def page(stem: str, title: str, icon: str, *, default: bool = False) -> st.Page:
    """One entry of the navigation; its address is its folder's name."""
    return st.Page(
        page_path(stem),
        title=title,
        icon=f":material/{icon}:",
        url_path=None if default else stem,
        default=default,
    )


SECTIONS = {
    "": [page("home", "Home", "home", default=True)],
    "Look inside": [
        page("attention", "Attention", "visibility"),
        page("masking", "Masking", "grid_off"),
        page("anatomy", "Anatomy", "account_tree"),
    ],
    "Zero-shot": [
        page("clip", "CLIP", "translate"),
        page("diffusion", "Diffusion", "grain"),
    ],
    "Representations": [
        page("embeddings", "Embeddings", "scatter_plot"),
        page("modality_gap", "Modality gap", "join"),
        page("latent", "Latent space", "blur_on"),
    ],
    "Stress tests": [
        page("precision", "Precision", "memory_alt"),
    ],
    "Train": [
        page("train", "Train", "model_training"),
        page("runs", "Runs", "monitoring"),
    ],
}


@st.cache_resource(show_spinner=False)
def take_up_runs() -> None:
    """Once after the server starts: write down which runs died meanwhile, and start what waits in the queue."""
    advance()


st.set_page_config(page_title="Vitrine", page_icon=str(CHECKOUT / "assets" / "icon.svg"), layout="wide")
st.logo(str(CHECKOUT / "assets" / "logo.svg"), size="large")
# On top, so that the pictures get the width of the screen.
chosen = st.navigation(SECTIONS, position="top")
wait_for_imports()
tidy_address()
with guard():
    take_up_runs()
chosen.run()
