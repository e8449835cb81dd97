"""Computations of the view of one photo: its versions, and what each model says of them."""

from __future__ import annotations

import base64

import numpy as np
import streamlit as st
from PIL import Image

from core.figures.overlay import to_data_uri, to_png
from core.methods.manipulations.photo import TEMPLATE, PhotoAnswers, ask_about_photo, photo_square, photo_versions
from core.reports import OnProgress, silent
from pages.biases.photo_view import Variant
from pages.shared.cache import in_use, loaded_model
from pages.shared.results import shared
from pages.shared.zero_shot import weights_of

# Up to here a picture is sent pixel by pixel: browsers enlarge it, and what compression does would be seen.
SMALL_SIDE = 96


@shared("Manipulating the photo …", most=6)
def versions_of(
    digest: str,
    side: int,
    seed: int,
    variants: tuple[Variant, ...],
    _image: Image.Image,
    *,
    on_progress: OnProgress = silent,
) -> np.ndarray:
    """(variants, side, side, 3) uint8."""
    on_progress(0.0, f"{len(variants)} pictures")
    return photo_versions(photo_square(_image, side), variants, seed=seed)


@shared(lambda name, *_: f"Asking {loaded_model(name).spec.title} …", most=96)
def answers_of(
    name: str,
    digest: str,
    side: int,
    seed: int,
    variants: tuple[Variant, ...],
    labels: tuple[str, ...],
    _image: Image.Image,
    *,
    on_progress: OnProgress = silent,
) -> PhotoAnswers:
    """What a model says of each variant of the photo; `labels` are empty for a classifier."""
    versions = versions_of(digest, side, seed, variants, _image)
    vectors = weights_of(name, labels, (TEMPLATE,)) if labels else None
    with in_use(name) as model:
        return ask_about_photo(
            model,
            photo_square(_image, side),
            versions,
            labels=labels,
            label_vectors=vectors,
            on_progress=on_progress,
        )


@st.cache_data(max_entries=256, show_spinner=False)
def sheet_uri(digest: str, side: int, seed: int, variants: tuple[Variant, ...], _versions: np.ndarray) -> str:
    """Versions side by side as one picture for the browser."""
    sheet = np.concatenate(list(_versions), axis=1)
    if side > SMALL_SIDE:
        return to_data_uri(sheet, quality=92)
    return "data:image/png;base64," + base64.b64encode(to_png(sheet)).decode()
