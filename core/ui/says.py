"""Findings in one sentence, computed from the numbers on the page."""

from __future__ import annotations

import numpy as np

from core.figures.attention import short_label
from core.methods.attention import attention_mass, class_token_maps
from core.methods.predictions import top_predictions
from core.models.catalogue import MODELS
from core.models.weights import availability
from core.ui.cache import loaded_model, logits_of, maps_of
from core.ui.pickers import Picture


def attention_sentence(name: str, picture: Picture) -> str:
    """What the model says and how concentrated its last layer is."""
    model = loaded_model(name)
    if model.spec.lacks("classifier"):
        said = f"{model.spec.title} has no classifier. {second_opinion(picture)}"
    else:
        best = top_predictions(logits_of(name, picture.digest, picture.image), model.classes, count=1)[0]
        said = f"{short_label(best.label)} {best.probability:.0%}"
    if model.spec.lacks("attention"):
        return f"{said}: a CNN has no attention, so Grad-CAM shows what spoke for it."
    last = np.abs(class_token_maps(maps_of(name, picture.digest, picture.image))[-1]).mean(axis=0)
    held = int(attention_mass(last, 0.6).sum())
    return f"{said} – the last layer holds 60 % of its attention in {held} of {last.size} patches."


def second_opinion(picture: Picture, opinion: str = "efficientnet_lite0") -> str:
    """What a small ImageNet classifier calls the photo, if one is on this machine."""
    spec = MODELS[opinion]
    if availability(spec).state != "ready":
        return ""
    best = top_predictions(logits_of(opinion, picture.digest, picture.image), loaded_model(opinion).classes, count=1)[0]
    return f"{spec.title} calls this {short_label(best.label)} ({best.probability:.0%})."
