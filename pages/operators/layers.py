"""The layers of the Operators page, random or trained, for the browser and for the export; shared by all sessions."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import streamlit as st
import torch
from PIL import Image

from core.configs import from_dict
from core.data.transforms import to_batch
from core.errors import CoreError
from core.methods.operators.layer import OperatorLayer
from core.methods.operators.learned_layer import learned_layer
from core.methods.operators.picture import colour_readout, patch_picture, picture_contrast, small_picture
from core.methods.operators.single_layer import OPERATORS, OperatorSettings, random_layers
from core.models.catalogue import MODELS, find_model
from core.models.checkpoint import read_card
from core.models.mixer import MixerConfig, MixerNetwork, OperatorName
from core.models.weights import availability, resolve
from core.runs.store import list_runs
from pages.components.operators.packing import Arrays, pack
from pages.operators.view import OperatorsView, fitting_sizes
from pages.shared.cache import in_use
from pages.shared.pickers import Picture
from pages.shared.results import shared


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Layers at one picture.

    Attributes:
        picture: (height, width, 3) in [0, 1], a colour a position.
        photo: the same as the network or the eye sees it, at least as fine.
        layers: by operator; in the order of the columns.
        readouts: (3, channels), by operator.
        sizes: of the kernels that may be chosen.
        packed: the same for the browser.
    """

    picture: np.ndarray
    photo: np.ndarray
    layers: dict[OperatorName, OperatorLayer]
    readouts: dict[OperatorName, np.ndarray]
    sizes: tuple[int, ...]
    packed: dict[str, Any]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of positions."""
        return self.picture.shape[0], self.picture.shape[1]


def columns_of(view: OperatorsView, picture: Picture) -> Columns:
    """Of the view's picture; temperature, weight and size of kernels are as they were drawn or learned."""
    if view.trained:
        return _trained(view.mixers, view.block, view.head, picture.digest, picture.image)
    plain = replace(view.settings, kernel_size=1, temperature=1.0, weight=1.0)
    return _random(plain, view.side, picture.digest, picture.image)


def layers_now(view: OperatorsView, picture: Picture) -> dict[OperatorName, OperatorLayer]:
    """The layers with everything that the sliders say."""
    settings = view.settings
    if view.trained:
        layers = columns_of(view, picture).layers
        return {
            name: replace(layer, temperature=settings.temperature, weight=settings.weight)
            for name, layer in layers.items()
        }
    return random_layers(small_picture(picture.image, view.side), settings)


def trained_mixers() -> dict[OperatorName, list[str]]:
    """Names of trained mixers, by operator: the bundled one if it is on this machine, then finished runs.

    All are of the shape of the first, without which their columns could not be compared.
    """
    bundled = [spec for spec in MODELS.values() if spec.family == "mixer"]
    found: dict[OperatorName, list[str]] = {operator: [] for operator in OPERATORS}
    first = None
    for name in [spec.name for spec in bundled if availability(spec).state == "ready"] + _finished_runs():
        try:
            config = mixer_config(name)
        except CoreError:
            continue  # a damaged run is no reason to show no mixer
        first = first or config
        if _frame(config) == _frame(first):
            found[config.operator].append(name)
    return {operator: names for operator, names in found.items() if names}


def _finished_runs() -> list[str]:
    """Runs that left a mixer."""
    found = []
    for run in list_runs():
        with contextlib.suppress(OSError):  # none is finished
            stamp = (run.model / "card.json").stat().st_mtime_ns
            if _family_of(str(run.model), stamp) == "mixer":
                found.append(f"run:{run.name}")
    return found


@st.cache_data(max_entries=4096, show_spinner=False)
def _family_of(folder: str, stamp: int) -> str:
    """What kind of model a card describes, read once; nothing where it is damaged."""
    try:
        return read_card(Path(folder)).family
    except CoreError:
        return ""


def mixer_config(name: str) -> MixerConfig:
    """The shape of a trained mixer, from its card: six networks in memory would drive out all others."""
    return from_dict(MixerConfig, read_card(Path(resolve(find_model(name)))).config)


def _frame(config: MixerConfig) -> tuple[int, ...]:
    return config.image_size, config.patch_size, config.embed_dim, config.num_heads, config.depth


@shared("Computing the layers …", most=24)
def _random(settings: OperatorSettings, side: int, digest: str, _image: Image.Image) -> Columns:
    picture = small_picture(_image, side)
    grid = (picture.shape[0], picture.shape[1])
    layers = random_layers(picture, settings)
    sizes = fitting_sizes(grid, settings)
    kernels = {
        size: {name: each.kernel for name, each in random_layers(picture, replace(settings, kernel_size=size)).items()}
        for size in sizes
    }
    return _columns(picture, picture, layers, kernels)


@shared("Computing the layers …", most=24)
def _trained(
    names: tuple[tuple[OperatorName, str], ...], block: int, head: int, digest: str, _image: Image.Image
) -> Columns:
    layers = {}
    for operator, name in names:
        with in_use(name) as model:
            preprocessing = model.network.preprocessing
            layers[operator] = learned_layer(
                cast(MixerNetwork, model.module), to_batch([_image], preprocessing), block=block, head=head
            )
    picture, photo = patch_picture(_image, preprocessing, layers[names[0][0]].grid)
    return _columns(picture, photo, layers, {})


def _columns(
    picture: np.ndarray,
    photo: np.ndarray,
    layers: dict[OperatorName, OperatorLayer],
    kernels: dict[int, dict[OperatorName, torch.Tensor | None]],
) -> Columns:
    arrays, readouts = Arrays(), {}
    packed = pack(layers, kernels, arrays)
    for column, (name, layer) in zip(packed, layers.items(), strict=True):
        start = layer.inputs[None]
        values = start if layer.value is None else layer.value(start)
        readouts[name] = colour_readout(values[0].numpy(), picture)
        column["readout"] = arrays.add(torch.from_numpy(readouts[name]))
    mean, spread = picture_contrast(picture)
    own = {layer.kernel.shape[-1] for layer in layers.values() if layer.kernel is not None}
    return Columns(
        picture=picture,
        photo=photo,
        layers=layers,
        readouts=readouts,
        sizes=tuple(kernels) or tuple(own) or (1,),
        packed={
            "columns": packed,
            "arrays": arrays.bytes,
            "grid": list(picture.shape[:2]),
            "picture": arrays.add(torch.from_numpy(np.ascontiguousarray(photo))),
            "photo": list(photo.shape[:2]),
            "contrast": {"mean": mean.tolist(), "spread": spread},
        },
    )
