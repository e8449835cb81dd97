"""The plane of two latents as a tiled manifold under the pointer."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import streamlit as st

from core.figures.embedding import label_palette
from core.figures.latent import manifold_sheet, plot_latent_plane
from core.figures.overlay import to_data_uri
from core.figures.patches import image_sheet, sharp
from core.methods.latent.drawing import Layout
from core.methods.latent.pictures import as_bytes, picture_of
from pages.components.keys import component_key
from pages.components.latent_map.latent_map import latent_map
from pages.latent.given import ChosenInputs
from pages.latent.latent import card_of, config_of, exact_of, plane_of, statistics_of
from pages.latent.words import map_words, measured_words
from pages.shared.address import remember, remembered
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.recipes import filled_recipe

LAYOUTS: dict[Layout, str] = {"even": "Equal distances", "quantiles": "Equal shares of the prior"}
_DRAWN_POINTS = 3000
_MAP_SIDE = 700  # pixels
_NEAREST = 6


def map_panel(name: str, given: ChosenInputs) -> Callable[[], Export]:
    """The map, and what was clicked on it; returns what makes the export.

    Raises:
        IncompatibleError: the model has a single latent.
    """
    dimensions, layout = _controls(name, given)
    plane = plane_of(name, layout, dimensions)  # before anything else: a single latent has none
    statistics = statistics_of(name, given.address)
    st.markdown(f"#### {plain(map_words(given, statistics, dimensions))}")
    _explore(name, given, dimensions, layout)
    with guard():
        st.caption(plain(measured_words(card_of(name))))

    def export() -> Export:
        at = _pinned()
        latent = _latent(name, dimensions, at)
        return Export(
            stem="latent_map",
            recipe=filled_recipe(
                "latent", model=name, pictures=given.address, layout=layout, dimensions=list(dimensions), at=list(at)
            ),
            pictures={"manifold": manifold_sheet(plane), "decoded": sharp(as_bytes(exact_of(name, latent)))[..., :3]},
            figures={
                "points": plot_latent_plane(
                    statistics.means, given.images.labels, given.images.classes, dimensions=dimensions,
                    pinned=np.array(latent),
                )
            },
            facts={
                "model": name,
                "pictures": given.address,
                "layout": layout,
                "dimensions": dimensions,
                "at": at,
                "finding": map_words(given, statistics, dimensions),
            },
            arrays={
                "axis": plane.axis,
                "decodings": plane.pictures,
                "means": statistics.means,
                "labels": given.images.labels,
            },
        )  # fmt: skip

    return export


def _controls(name: str, given: ChosenInputs) -> tuple[tuple[int, int], Layout]:
    """Which latents, and how they are laid out."""
    latents = config_of(name).latent_dim
    with st.container(horizontal=True, vertical_alignment="bottom"):
        dimensions = (0, 1)
        if latents > 2:
            order = statistics_of(name, given.address).order().tolist()
            first = st.selectbox("Across", range(latents), index=order[0], key=f"across_{latents}", width=120)
            others = [each for each in range(latents) if each != first]
            default = order[1] if order[1] != first else order[0]
            second = st.selectbox("Up", others, index=others.index(default), key=f"up_{latents}", width=120)
            dimensions = (int(first), int(second))
        layout = st.segmented_control(
            "Laid out by", list(LAYOUTS), format_func=LAYOUTS.__getitem__, default="even", required=True,
            key="latent_layout", bind="query-params",
            help="Equal distances show where pictures lie; equal shares give every part of the prior as much room.",
        )  # fmt: skip
        if latents > 2:
            st.caption(f"All other {latents - 2:d} latents stay at 0.")
    return dimensions, layout


@st.fragment
def _explore(name: str, given: ChosenInputs, dimensions: tuple[int, int], layout: Layout) -> None:
    """The map and the chosen place; a click runs this alone."""
    statistics, plane = statistics_of(name, given.address), plane_of(name, layout, dimensions)
    at = _pinned()
    latent = _latent(name, dimensions, at)
    classes = given.images.classes
    beside = st.container(horizontal=True, gap="large")  # not columns, which leave a hole on a wide screen
    left, right = beside.container(width=_MAP_SIDE), beside.container(width="stretch")
    with left:
        latent_map(
            plane,
            dimensions=dimensions,
            points=statistics.means[:_DRAWN_POINTS, list(dimensions)] if classes else np.empty((0, 2)),
            codes=given.images.labels[:_DRAWN_POINTS] if classes else np.empty(0),
            legend=classes,
            palette=label_palette(len(classes)),
            pinned=at,
            side=_MAP_SIDE,
            key=component_key("latent_map", f"{name} {dimensions}"),
            alt="The plane of two latents. Move the pointer or use the arrow keys to decode a place; click or press "
            "Enter to choose it.",
            on_choice=lambda across, up: remember("at", f"{across:.3f},{up:.3f}"),
        )
    with right:
        picture = as_bytes(exact_of(name, latent))
        (first, second), (across, up) = dimensions, at
        words = f"z{first:d} = {across:.2f}, z{second:d} = {up:.2f}"
        st.markdown(f"**Decoded exactly** at {words}")
        st.image(sharp(picture_of(picture), 280), width=280, alt=f"The decoding at {words}")
        if given.address.startswith("data:"):
            _neighbours(given, statistics.means[:, list(dimensions)], at)


def _neighbours(given: ChosenInputs, places: np.ndarray, at: tuple[float, float]) -> None:
    """The pictures whose means are nearest to the chosen place."""
    distances = np.linalg.norm(places - np.array(at), axis=1)
    rows = np.argsort(distances)[:_NEAREST]
    names = ", ".join(given.images.classes[given.images.labels[row]] for row in rows) if given.images.classes else ""
    st.markdown("**Pictures that lie nearest**" + (f": {plain(names, 200)}" if names else ""))
    st.image(
        to_data_uri(image_sheet([given.images.images[rows]], cell=84), quality=100), width="content",
        alt="The pictures of the set whose means lie nearest to the chosen place.",
    )  # fmt: skip
    st.caption(f"The nearest is {distances[rows[0]]:.2f} away.")


def _pinned() -> tuple[float, float]:
    """The chosen place, from the address; the centre where that says nothing sensible."""
    parts = remembered("at", "0.000,0.000", always=False).split(",")
    try:
        found = tuple(float(part) for part in parts)
    except ValueError:
        found = ()
    if len(found) != 2 or not all(math.isfinite(value) and abs(value) < 100 for value in found):
        return 0.0, 0.0
    return found


def _latent(name: str, dimensions: tuple[int, int], at: tuple[float, float]) -> tuple[float, ...]:
    """The whole latent of a place on the map."""
    latent = [0.0] * config_of(name).latent_dim
    for dimension, value in zip(dimensions, at, strict=True):
        latent[dimension] = value
    return tuple(latent)
