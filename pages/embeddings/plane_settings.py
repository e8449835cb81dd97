"""How the plane is drawn: method, axes and the settings of the method, all in the address."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from core.methods.embeddings.embedding import TITLES, Method, PlaneConfig
from pages.shared.address import bound


def plane_kind() -> tuple[Method, Literal[2, 3]]:
    """Method and number of axes, for a horizontal container."""
    method = st.segmented_control(
        "Plane by",
        list(TITLES),
        format_func=TITLES.__getitem__,
        default="tsne",
        required=True,
        key="plane_method",
        bind="query-params",
    )
    axes = st.segmented_control(
        "Axes", ["2-D", "3-D"], default="2-D", required=True, key="dimensions", bind="query-params"
    )
    return method, 3 if axes == "3-D" else 2


def fine_settings(method: Method, dimensions: Literal[2, 3]) -> PlaneConfig:
    """The popover with what belongs to the method, and the config that comes of it all."""
    with st.popover("Settings", icon=":material/tune:", width="stretch"):
        perplexity = st.slider(
            "t-SNE: perplexity",
            2,
            100,
            30,
            key="perplexity",
            bind="query-params",
            help="About how many neighbours each picture should keep.",
            disabled=method != "tsne",
        )
        neighbours = st.slider(
            "UMAP: neighbours",
            2,
            100,
            15,
            key="umap_neighbours",
            bind="query-params",
            help="How many each picture should keep.",
            disabled=method != "umap",
        )
        min_dist = st.slider(
            "UMAP: minimum distance",
            0.0,
            0.95,
            0.1,
            0.05,
            key="umap_min_dist",
            bind="query-params",
            help="How tightly pictures may be packed.",
            disabled=method != "umap",
        )
        seed = st.number_input(
            "Seed",
            0,
            9999,
            0,
            key="plane_seed",
            bind=bound("plane_seed"),
            help="Another one, another plane of the same features: what changes was never there.",
        )
    return PlaneConfig(
        method=method,
        dimensions=dimensions,
        perplexity=float(perplexity),
        neighbours=int(neighbours),
        min_dist=float(min_dist),
        seed=int(seed),
    )
