"""Classifiers on Home: what two networks and CLIP call the chosen photo."""

from __future__ import annotations

import streamlit as st

from core.figures.classify import answer_table
from core.models.catalogue import MODELS
from pages.classifiers.answers import compare, line_of, rows_of
from pages.shared.layout import page_link
from pages.shared.pickers import Picture
from pages.shared.tiles import Tiles

ASKED = ("vit_p4", "cnn_small", "clip_small")
TOUR = ("**Classifiers**: add photos of your own. Where do the models agree, and which cannot know the answer?",)


def table(picture: Picture) -> None:
    """A row of the page's table."""
    found = compare(ASKED, [picture], "")
    heads = [(MODELS[name].title, line_of(name, found)) for name in ASKED]
    with st.container(border=True):
        st.html(answer_table(heads, rows_of(found)))
        page_link("classifiers", "**Classifiers**")
        st.caption("What three models call this photo; where the true answer is known, it is ticked.")


TILES: Tiles = ((3, table),)
