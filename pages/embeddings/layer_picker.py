"""Which layer of a model, and how it becomes one vector; both choices live in the address."""

from __future__ import annotations

import streamlit as st

from core.methods.embeddings.features import FeaturePooling
from core.methods.embeddings.layer_features import Depth, Readout, Readouts
from pages.embeddings.spaces import Asked, cuts_of
from pages.shared.address import remember, remembered

_DEPTHS: tuple[Depth, ...] = ("pixels", "early", "middle", "late")
_POOLINGS: dict[FeaturePooling, str] = {
    "class_token": "Class token",
    "mean": "Mean of positions",
    "embedding": "Embedding",
}
_WIDTH = 160  # the layer, which comes with the shape of what it gives, takes what is left of the row


def layer_picker(model: str, *, images: int | None, suffix: str = "", fixed: str = "") -> Asked:
    """Two boxes, for a horizontal container: the layer and the pooling.

    Args:
        images: how many pictures there will be, for the shapes; None where that is not known yet.
        suffix: tells several pickers of a page apart.
        fixed: shown instead of a choice of layers, where the page takes several.
    """
    known = cuts_of(model)
    place = st.container(width="stretch")  # the layer is drawn first, but what can be chosen depends on the pooling
    with st.container(width=_WIDTH):
        pooling = _pooling(known, f"pooled{suffix}")
    with place:
        if fixed or pooling == "embedding":
            text = fixed or "The end"
            st.selectbox("Layer", [text], disabled=True, key=f"layer_fixed{suffix}_{text}")
            return Asked(model=model, cut=Readout(layer=known.at("late"), pooling=pooling))
        return Asked(model=model, cut=Readout(layer=_layer(known, f"depth{suffix}", pooling, images), pooling=pooling))


def _pooling(known: Readouts, name: str) -> FeaturePooling:
    wanted = remembered(name, known.poolings[0])
    chosen = next((pooling for pooling in known.poolings if pooling == wanted), known.poolings[0])
    widget = f"{name}_choice"
    st.session_state[widget] = chosen
    return st.selectbox(
        "Pooled by",
        known.poolings,
        format_func=_POOLINGS.__getitem__,
        key=widget,
        on_change=lambda: remember(name, st.session_state[widget]),
        help="How the tokens or maps of a layer become one vector. The embedding is what the head reads, at the end.",
    )


def _layer(known: Readouts, name: str, pooling: FeaturePooling, images: int | None) -> int:
    """The number of the layer; the address keeps words where they say the same, so that they fit other models too."""
    numbers = list(range(len(known.layers) + 1))
    words: dict[int, Depth] = {}
    for depth in reversed(_DEPTHS):
        words.setdefault(known.at(depth), depth)
    wanted = remembered(name, "late")
    by_word = {word: number for number, word in words.items()} | {str(number): number for number in numbers}
    chosen = known.at(wanted) if wanted in _DEPTHS else by_word.get(wanted, known.at("late"))

    def title(number: int) -> str:
        if number == 0:
            return "Pixels"
        layer = known.layers[number - 1]
        text = f"{layer.kind.capitalize()} {number}/{len(known.layers)}"
        text = f"{text} · {words[number]}" if number in words else text
        return f"{text} · {known.shape(Readout(layer=number, pooling=pooling), images)}"

    widget = f"{name}_choice"
    st.session_state[widget] = chosen
    return st.selectbox(
        "Layer",
        numbers,
        format_func=title,
        key=widget,
        on_change=lambda: remember(name, words.get(st.session_state[widget], str(st.session_state[widget]))),
    )
