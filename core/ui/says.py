"""Findings in one sentence, computed from the numbers on the page."""

from __future__ import annotations

import numpy as np

from core.figures.attention import short_label
from core.methods.attention import attention_mass, readout_maps
from core.methods.predictions import top_predictions
from core.models.catalogue import MODELS
from core.models.weights import availability
from core.ui.cache import loaded_model, logits_of, maps_of
from core.ui.pickers import Picture


def attention_sentence(name: str, picture: Picture) -> str:
    """What the model says and how concentrated its last layer is."""
    model = loaded_model(name)
    if model.spec.lacks("attention") and model.spec.lacks("classifier"):
        return f"{model.spec.title} has neither attention nor a classifier: there is nothing to explain."
    if model.spec.lacks("attention"):
        return f"{_prediction(name, picture)}: a CNN has no attention, so Grad-CAM shows what spoke for it."
    last = np.abs(readout_maps(maps_of(name, picture.digest, picture.image))[-1]).mean(axis=0)
    held = f"holds 60 % of its patch attention in {int(attention_mass(last, 0.6).sum())} of {last.size} patches"
    if model.spec.lacks("classifier"):
        return f"The last layer of {model.spec.title} {held}. {second_opinion(picture)}"
    return f"{_prediction(name, picture)} – the last layer {held}."


def second_opinion(picture: Picture, opinion: str = "efficientnet_lite0") -> str:
    """What a small ImageNet classifier calls the photo, if one is on this machine."""
    spec = MODELS[opinion]
    if availability(spec).state != "ready":
        return ""
    return f"It names no classes; {spec.title} says {_prediction(opinion, picture)}."


def _prediction(name: str, picture: Picture) -> str:
    best = top_predictions(logits_of(name, picture.digest, picture.image), loaded_model(name).classes, count=1)[0]
    return f"{short_label(best.label)} {best.probability:.0%}"
