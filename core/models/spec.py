"""What the rest of the house knows about a model before and after its weights are in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.data.transforms import Normalisation, Preprocessing
from core.errors import IncompatibleError

if TYPE_CHECKING:  # a catalogue of specifications must not cost the import of torch
    from torch import nn

Capability = Literal[
    "classifier", "attention", "signed_attention", "convolution", "positions", "image_text", "text_to_image", "latent"
]
SourceKind = Literal["bundled", "run", "folder", "hub", "torchvision", "wheel"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """One place that weights can come from.

    Attributes:
        kind: where to look; `core.models.weights` knows how.
        location: a folder of `checkpoints/`, a run or local folder, a Hub repository, a torchvision model and weights
            name (`resnet50.IMAGENET1K_V1`), or a key of `checkpoints/weights.toml`.
        size_mib: what has to be downloaded; None when nothing has.
    """

    kind: SourceKind
    location: str
    size_mib: float | None = None


@dataclass(frozen=True, kw_only=True)
class Network:
    """What a family's `load` gives back: a module in eval mode and what its inputs and outputs mean.

    The module offers, as its capabilities say:
        `module(images) -> logits (batch, classes)` for a "classifier";
        `module.embed(images) -> (batch, dim)` but for "text_to_image";
        `module.trace(images) -> Trace`, `module.last_tokens(images) -> (tokens after the last norm, prefix tokens)`
            and `module.depth` for "attention";
        `module.trace_maps(images) -> (maps (batch, channels, height, width), logits)` for "convolution";
        `module.positions() -> (table (tokens, dim), grid, prefix_tokens)` for "positions";
        all of `core.models.clip.ImageTextEncoder` for "image_text";
        the parts of `core.models.diffusion.LatentDiffusion` for "text_to_image", which embeds nothing;
        `module.encode(images)`, `module.decode(latents)` and `module.config` as in `core.models.vae` for "latent".
    """

    module: nn.Module
    preprocessing: Preprocessing
    classes: tuple[str, ...] = ()


def for_channels(preprocessing: Preprocessing, channels: int, origin: str) -> Preprocessing:
    """`preprocessing` for a network that takes pictures of so many channels: grey ones are normalised by the means.

    Raises:
        IncompatibleError: neither 1 nor 3 channels; `origin` is named in the message.
    """
    if channels not in (1, 3):
        raise IncompatibleError(
            f"{origin} takes pictures of {channels} channels, which no photo has.", "Choose a model of colour or grey."
        )
    mean, std = preprocessing.normalisation.mean, preprocessing.normalisation.std
    if len(mean) == channels == len(std):
        return preprocessing
    normalisation = Normalisation(mean=(sum(mean) / len(mean),) * channels, std=(sum(std) / len(std),) * channels)
    return replace(preprocessing, normalisation=normalisation)


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One row of the catalogue.

    Attributes:
        name: key in the catalogue and in page addresses.
        title: what people read.
        family: which adapter loads it.
        capabilities: what it can be asked; methods state what they need.
        licence: of the weights.
        paper: authors, year, arXiv id.
        note: what a viewer must know before drawing conclusions.
        sources: places for the weights, in the order tried.
        load: from a resolved source to a `Network`; imports its library inside.
        reasons: why it cannot be asked for some of the rest, where a trial told more than that, as ends of sentences.
    """

    name: str
    title: str
    family: str
    capabilities: frozenset[Capability]
    licence: str
    paper: str
    sources: tuple[Source, ...]
    load: Callable[[Path | str], Network]
    note: str = ""
    reasons: tuple[tuple[Capability, str], ...] = ()

    def require(self, capability: Capability, method: str) -> None:
        """Raise `IncompatibleError` unless the model has `capability`."""
        reason = self.lacks(capability)
        if reason:
            raise IncompatibleError(f"{method} does not work with {self.title}: {reason}.", "Choose another model.")

    def lacks(self, capability: Capability) -> str:
        """Why the model cannot do this, as the end of a sentence; empty if it can."""
        if capability in self.capabilities:
            return ""
        return (
            dict(self.reasons).get(capability)
            or {
                "classifier": "it has no classification head",
                "attention": "it has no attention layers",
                "signed_attention": "its attention is an ordinary softmax",
                "convolution": "it has no convolutional feature maps",
                "positions": "it has no table of positional embeddings",
                "image_text": "it knows no texts",
                "text_to_image": "it does not generate images",
                "latent": "it has no latent space to draw from",
            }[capability]
        )


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model in memory. Sessions share it, so every use holds `lock`."""

    spec: ModelSpec
    network: Network
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def module(self) -> nn.Module:
        return self.network.module

    @property
    def preprocessing(self) -> Preprocessing:
        return self.network.preprocessing

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in logit order; empty for a backbone without a head."""
        return self.network.classes
