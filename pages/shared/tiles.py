"""What Home shows of the pages: live thumbnails, each with a link to its page. A page's `tiles.py` draws its own.

It may have `TILES`: for each thumbnail how many of Home's three columns it takes, and what draws it of the chosen
photo; and `TOUR`: what to do there on a first walk, a sentence or two each, in Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st
from PIL import Image

from core.figures.theme import Figure
from core.models.catalogue import MODELS
from core.models.weights import availability
from pages.shared.charts import show_chart
from pages.shared.layout import page_link
from pages.shared.pickers import PREFERRED, Picture

Tiles = Sequence[tuple[int, Callable[[Picture], None]]]
SMALL = "vit_p4"


def tile(pixels: np.ndarray, title: str, text: str, page: str) -> None:
    """One picture with a link to its page."""
    with st.container(border=True):
        st.image(pixels, width="stretch", alt=text)
        page_link(page, f"**{title}**")
        st.caption(text)


def chart_tile(figure: Figure, title: str, text: str, page: str, *, key: str, alt: str) -> None:
    """One figure with a link to its page; `text` may be empty."""
    with st.container(border=True, height="stretch"):
        show_chart(figure, key=key, alt=alt)
        page_link(page, f"**{title}**")
        if text:
            st.caption(text)


def square(pixels: np.ndarray, side: int = 320) -> np.ndarray:
    """A thumbnail of equal size, whatever it shows: cut to a square from the middle, then scaled."""
    image = Image.fromarray(pixels).convert("RGB")
    resample = Image.Resampling.LANCZOS if min(image.size) > side else Image.Resampling.NEAREST
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    return np.asarray(image.crop((left, top, left + short, top + short)).resize((side, side), resample))


def eye() -> str:
    """The preferred model that is on this machine."""
    return next((name for name in PREFERRED if availability(MODELS[name]).state == "ready"), SMALL)
