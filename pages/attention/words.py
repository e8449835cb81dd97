"""Findings in one sentence, computed from the numbers on the page."""

from __future__ import annotations

from typing import get_args

import numpy as np

from core.figures.attention import short_label
from core.methods.accuracy.predictions import top_predictions
from core.methods.attention.attention import AttentionMaps, Fusion, attention_mass, shown_map
from core.methods.attention.rollout import rollout_to
from core.models.catalogue import MODELS
from core.models.weights import availability
from pages.shared.cache import described_model, logits_of, maps_of, reader_name
from pages.shared.pickers import Picture
from pages.shared.views import AttentionView

_HEADLINE_MASS = 0.6


def attention_sentence(view: AttentionView, picture: Picture) -> str:
    """What the model says, and how concentrated the map on the screen is."""
    model = described_model(view.model)
    if model.spec.lacks("attention") and model.spec.lacks("classifier"):
        return f"{model.spec.title} has neither attention nor a classifier: there is nothing to explain."
    if model.spec.lacks("attention"):
        return f"{_prediction(view.model, picture)}: a CNN has no attention, so Grad-CAM shows what spoke for a class."
    held = _held(view, maps_of(view.model, picture.digest, picture.image))
    if model.spec.lacks("classifier"):
        return f"{model.spec.title}: {held}. {second_opinion(picture)}"
    return f"{_prediction(view.model, picture)} – {held}."


def _held(view: AttentionView, maps: AttentionMaps) -> str:
    """The map on the screen in words: whose attention, in which layer and head, and in how few patches."""
    if view.kind == "rollout":
        values = rollout_to(maps, view.layer, view.head, view.patch)
    else:
        values = shown_map(maps, view.layer, view.head, view.patch, view.direction)
    # Signed maps are weighed by their magnitude.
    few = f"{int(attention_mass(np.abs(values), _HEADLINE_MASS).sum())} of {values.size} patches"
    layer = "the last layer" if view.layer == maps.layers - 1 else f"layer {view.layer + 1}"
    heads = f"{view.head} of its heads" if view.head in get_args(Fusion) else f"head {view.head}"
    where = f"in {layer} ({heads}),"
    share = f"{_HEADLINE_MASS:.0%}".replace("%", " %")
    if view.kind == "rollout":
        row, column = divmod(view.patch, maps.grid[1])
        whose = reader_name(maps) if view.patch < 0 else f"the patch at row {row + 1}, column {column + 1}"
        return f"rolled out up to {layer} ({heads}), {share} of what has reached {whose} comes from {few}"
    if view.patch < 0:
        return f"{where} {reader_name(maps)} holds {share} of its patch attention in {few}"
    row, column = divmod(view.patch, maps.grid[1])
    patch = f"the patch at row {row + 1}, column {column + 1}"
    if view.direction == "from":
        return f"{where} {share} of the attention paid to {patch} comes from {few}"
    return f"{where} {patch} holds {share} of its patch attention in {few}"


def second_opinion(picture: Picture, opinion: str = "efficientnet_lite0") -> str:
    """What a small ImageNet classifier calls the photo, if one is on this machine."""
    spec = MODELS[opinion]
    if availability(spec).state != "ready":
        return ""
    return f"It names no classes; {spec.title} says {_prediction(opinion, picture)}."


def _prediction(name: str, picture: Picture) -> str:
    best = top_predictions(logits_of(name, picture.digest, picture.image), described_model(name).classes, count=1)[0]
    return f"{short_label(best.label)} {best.probability:.0%}"
