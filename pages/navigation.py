"""The script that Streamlit runs for every page: navigation, then the page. `app.py` launches it.

A page is a folder here with a `page.py`; what else it has is found there by name: `card.md` (its teaching cards),
`recipe.py` (what it exports), `tiles.py` (what Home shows of it). Only its section and its place are said here.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import streamlit as st

from core.launch.queue import advance
from core.paths import ASSETS
from pages.components.page_keys.page_keys import page_keys
from pages.shared.address import renew_address, tidy_address
from pages.shared.errors import PageEnd, Stopped, guard
from pages.shared.free_memory import forget_gone_widgets, give_back
from pages.shared.frontend import USED, scripts_of
from pages.shared.layout import page_path
from pages.shared.pictures import let_go_of_pictures
from pages.shared.results import forget_changed_data
from pages.shared.start import WITHOUT_TORCH, imports_later, page_style, wait_for_imports


class Entry(NamedTuple):
    """One page: its folder, which is its address, too, its title, and its symbol."""

    stem: str
    title: str
    icon: str


def page(stem: str, title: str, icon: str) -> Entry:
    """One line of the navigation."""
    return Entry(stem, title, icon)


# The first page is the one at the bare address.
SECTIONS = {
    "": [
        page("home", "Home", "home"),
    ],
    "Look inside": [
        page("classifiers", "Classifiers", "table_chart"),
        page("attention", "Attention", "visibility"),
        page("patch_features", "Patch features", "palette"),
        page("masking", "Masking", "grid_off"),
        page("anatomy", "Anatomy", "account_tree"),
        page("operators", "Operators", "function"),
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
        page("biases", "Biases", "balance"),
        page("style", "Style transfer", "brush"),
        page("precision", "Precision", "memory_alt"),
    ],
    "Train": [
        page("train", "Train", "model_training"),
        page("runs", "Runs", "monitoring"),
    ],
}
ENTRIES = {entry.stem: entry for entries in SECTIONS.values() for entry in entries}
HOME = next(iter(ENTRIES))


def streamlit_page(entry: Entry) -> st.Page:
    """An entry as Streamlit wants it."""
    home = entry.stem == HOME
    return st.Page(
        page_path(entry.stem),
        title=entry.title,
        icon=f":material/{entry.icon}:",
        url_path=None if home else entry.stem,
        default=home,
    )


@st.cache_resource(show_spinner=False)
def take_up_runs() -> None:
    """Once after the server starts: write down which runs died meanwhile, and start what waits in the queue."""
    advance()


def main() -> None:
    """One run of the app."""
    st.set_page_config(page_title="Vitrine", page_icon=str(ASSETS / "icon.svg"), layout="wide")
    st.logo(str(ASSETS / "logo.svg"), size="large")
    # On top, so that the pictures get the width of the screen.
    sections = {title: [streamlit_page(entry) for entry in entries] for title, entries in SECTIONS.items()}
    chosen = st.navigation(sections, position="top")
    page_style()
    if (chosen.url_path or HOME) in WITHOUT_TORCH:
        with imports_later():
            draw(chosen)
    else:
        wait_for_imports()
        draw(chosen)


def draw(chosen: st.Page) -> None:
    """The page that was asked for."""
    renew_address()
    tidy_address()
    with guard():
        forget_changed_data()
        take_up_runs()
    # A page may stop early, for a model that has to be fetched first; it has an end all the same.
    with suppress(PageEnd, Stopped):
        chosen.run()
    page_keys([scripts_of(*kinds) for kinds in USED])
    let_go_of_pictures()
    forget_gone_widgets()
    give_back()


if __name__ == "__main__":  # a page that asks for the order imports this file
    main()
