"""Computations that several pages need. Results are shared between sessions and never changed.

Keys are names and digests, never objects: arguments with a leading underscore are not part of the key. Models are used
under their lock, so that a hook or a switched attention path of one session is never seen by another.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from PIL import Image

from core.data.transforms import (
    Preprocessing,
    crop_to_square,
    display_preprocessing,
    to_batch,
)
from core.device import pick_device
from core.errors import CoreError
from core.figures.overlay import to_data_uri
from core.methods.accuracy.predictions import predict_logits
from core.methods.accuracy.targets import pick_target
from core.methods.anatomy.positional import Measure, PositionalSimilarity, positional_similarity
from core.methods.attention.attention import AttentionMaps, Fusion, attention_maps
from core.methods.attention.explanations import find_explanation
from core.methods.attention.rollout import rollout_maps
from core.models.catalogue import MODELS, find_model
from core.models.input_size import largest_size, patch_of, resized, split_size
from core.models.spec import LoadedModel, ModelSpec
from core.models.trace import reader_name as name_of_reader
from core.models.weights import load
from pages.shared.results import shared
from pages.shared.work import LOOK_S, current_job

if TYPE_CHECKING:  # they need PyTorch, which is not waited for where nothing is computed
    from torch import nn

    from core.methods.anatomy.parts import Anatomy

# How long somebody waits for a model that another session uses.
PATIENCE_S = 120
# Photos of screen size are megabytes each, quickly made again: as many are kept as one page shows at most.
PHOTOS = 16


@shared(lambda name, _: f"Loading {find_model(name).title} …", most=6)
def _loaded(name: str, device: str) -> LoadedModel:
    own, size = split_size(name)
    if size is not None:
        # The same weights, and the same lock.
        model = _loaded(own, device)
        network = resized(model.network, size, model.spec.title)
        return LoadedModel(spec=find_model(name), network=network, lock=model.lock)
    model = load(name, device)
    for each in _looking(model.module):
        each.register_forward_pre_hook(_look_up)
    return model


def _looking(module: nn.Module) -> list[nn.Module]:
    """Where work that nobody waits for any more ends, also where it reports nothing: at a pass, or within one.

    The blocks look, too: `embed` and `trace` are no passes of the whole, and one of many images takes seconds.
    """
    held = (each for each in module.modules() if type(each).__name__ in ("ModuleList", "Sequential"))
    blocks = (each for holder in held for each in holder.children() if any(each.children()))
    return list(dict.fromkeys([module, *blocks]))


def _look_up(*_: object) -> None:
    if (job := current_job()) is not None:
        job.look()


def loaded_model(name: str) -> LoadedModel:
    """The model called `name`, ready to use under its lock, on the device that was chosen for this machine."""
    return _loaded(name, str(pick_device()))


@dataclass(frozen=True, kw_only=True)
class DescribedModel:
    """What is said of a model, and shown of a photo for it, without computing.

    Attributes:
        step: its input sizes, in pixels, are multiples of it; 0 for a network that takes its own size alone.
        largest: input size.
    """

    name: str
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    step: int
    largest: int

    @property
    def spec(self) -> ModelSpec:
        return find_model(self.name) if split_size(self.name)[0] in MODELS else loaded_model(self.name).spec


@shared(lambda name: f"Loading {find_model(name).title} …", most=64, comes_with=True)
def described_model(name: str) -> DescribedModel:
    """The model called `name` in words: it is loaded unless that is known already.

    Raises:
        CoreError: it cannot be loaded.
    """
    network = loaded_model(name).network
    step = patch_of(network)
    return DescribedModel(
        name=name,
        preprocessing=network.preprocessing,
        classes=network.classes,
        step=step,
        largest=largest_size(network) if step else network.preprocessing.size,
    )


# How many wait for a model, by its name, to show somebody the first of what they asked.
_waiting: Counter[str] = Counter()
_counting = threading.Lock()


@contextmanager
def in_use(name: str, *, background: bool = False) -> Iterator[LoadedModel]:
    """The model, while nobody else uses it; `background` work lets all others go first.

    Raises:
        CoreError: another session has been computing with it for two minutes.
    """
    model = loaded_model(name)
    job, began = current_job(), time.monotonic()
    _wait(name, not background)
    try:
        while not _taken(model, name, background):
            if job is not None:
                job.report(job.share, "another session uses the model")
            if not background and time.monotonic() - began > PATIENCE_S:
                raise CoreError(f"{model.spec.title} is busy with another session.", "Try again in a minute.")
    finally:
        _wait(name, -(not background))
    try:
        yield model
    finally:
        model.lock.release()


def _taken(model: LoadedModel, name: str, background: bool) -> bool:
    """Whether the model's lock is ours now; tried for a moment."""
    if background and _waiting[name]:
        time.sleep(0.02)
        return False
    return model.lock.acquire(timeout=LOOK_S)


def _wait(name: str, change: int) -> None:
    with _counting:
        _waiting[name] += change


def reader_name(maps: AttentionMaps) -> str:
    """Whose attention is shown while no patch is chosen."""
    return name_of_reader(maps.pooling)


@shared("Cutting the photo …", most=PHOTOS)
def square_photo(digest: str, preprocessing: Preprocessing, _image: Image.Image) -> np.ndarray:
    """What a model with this preprocessing sees of the photo, (size, size, 3) uint8."""
    return np.asarray(crop_to_square(_image, preprocessing))


@shared("Cutting the photo …", most=PHOTOS, comes_with=True)
def seen_photo(name: str, digest: str, preprocessing: Preprocessing, _image: Image.Image) -> np.ndarray:
    """The same, told by the model: some resize photos with PyTorch, for which a fresh server's page would wait."""
    return square_photo(digest, preprocessing, _image)


def display_photo(
    model: LoadedModel | DescribedModel, digest: str, image: Image.Image, *, as_seen: bool = False
) -> np.ndarray:
    """What to draw maps on: the model's view at screen resolution, or at its own resolution (`as_seen`)."""
    if as_seen:
        return seen_photo(model.spec.name, digest, model.preprocessing, image)
    return square_photo(digest, display_preprocessing(model.preprocessing, image), image)


def maps_of(name: str, digest: str, image: Image.Image) -> AttentionMaps:
    """Attention of every layer and head for one photo."""
    kept = _maps if split_size(name)[1] is None else _large_maps
    return kept(name, digest, image)


# A ViT-L/16 leaves 60 MB of maps behind.
@shared("Following the attention …", most=12, comes_with=True)
def _maps(name: str, digest: str, _image: Image.Image) -> AttentionMaps:
    return _fresh_maps(name, _image)


# At another input size they may be ten times as large.
@shared("Following the attention …", most=2)
def _large_maps(name: str, digest: str, _image: Image.Image) -> AttentionMaps:
    return _fresh_maps(name, _image)


def _fresh_maps(name: str, image: Image.Image) -> AttentionMaps:
    with in_use(name) as model:
        model.spec.require("attention", "Attention maps")
        return attention_maps(model.module, to_batch([image], model.network.preprocessing))


@shared("Asking the model …", most=256, comes_with=True)
def logits_of(name: str, digest: str, _image: Image.Image) -> np.ndarray:
    """(classes,) logits of one photo."""
    with in_use(name) as model:
        model.spec.require("classifier", "Classification")
        return predict_logits(model.module, to_batch([_image], model.network.preprocessing))[0]


@shared("Rolling the attention out …", most=64)
def rollout_of(
    name: str, digest: str, fusion: Fusion, discard_ratio: float, residual: bool, _image: Image.Image
) -> np.ndarray:
    """Rollout of what the head reads, after every layer: (layers, rows, columns)."""
    return rollout_maps(maps_of(name, digest, _image), fusion=fusion, discard_ratio=discard_ratio, residual=residual)


@shared(lambda _, __, method, *___: f"{find_explanation(method).title} …", most=128, comes_with=True)
def explanation_of(name: str, digest: str, method: str, class_index: int | None, _image: Image.Image) -> np.ndarray:
    """One explanation method's (rows, columns) map; `class_index` None explains the predicted class."""
    explanation = find_explanation(method)
    with in_use(name) as model:
        if explanation.needs is not None:
            model.spec.require(explanation.needs, explanation.title)
        batch = to_batch([_image], model.network.preprocessing)
        classifier = not model.spec.lacks("classifier")
        target = pick_target(model.module, batch, class_index if classifier else None, classifier=classifier)
        return explanation.explain(model.module, batch, target)


@shared("Counting parameters …", most=16, comes_with=True)
def anatomy_of(name: str) -> Anatomy:
    """The parameters of a model by place and role."""
    from core.methods.anatomy.anatomy import anatomy

    return anatomy(loaded_model(name).module)


@shared("Comparing positions …", most=32, comes_with=True)
def positional_of(name: str, measure: Measure) -> PositionalSimilarity:
    """How alike the positions of a model's patches are."""
    model = loaded_model(name)
    model.spec.require("positions", "Positional similarity")
    table, grid, prefix_tokens = model.module.positions()  # type: ignore[operator]
    values = None if table is None else table.detach().float().cpu().numpy()
    return positional_similarity(values, grid, prefix_tokens, measure)


@st.cache_data(max_entries=PHOTOS, show_spinner=False)
def _encoded(key: str, _pixels: np.ndarray) -> str:
    return to_data_uri(_pixels)


def data_uri(pixels: np.ndarray, key: str) -> str:
    """`pixels` for the browser, encoded once per `key`."""
    return _encoded(key, pixels)
