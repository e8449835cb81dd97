"""Features of any layer of a network, from the pixels it is shown to what its head reads, computed once.

Blocks of a transformer are read as they leave the block: before the norm of the next one; the last block is read after
the network's last norm, so that it equals `extract_features`. Stages of a convolutional network are averaged over all
positions. The embedding is what the head reads, or for models of images and texts the projected vector.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.arrays import ArrayDataset
from core.data.transforms import Normalisation, standardise
from core.device import as_input_of, device_of
from core.errors import IncompatibleError
from core.finite import require_finite
from core.methods.embeddings.features import (
    FeaturePooling,
    Features,
    cached_vectors,
    feature_poolings,
    pool_last,
    resized,
)
from core.models.capture import captured
from core.models.layers import Layer, find_layers, first_tensor, layer_at
from core.precision_choice import PrecisionChoice
from core.reports import Progress

Depth = Literal["pixels", "early", "middle", "late"]

SHARES: dict[Depth, float] = {"pixels": 0, "early": 0.25, "middle": 0.5, "late": 1}
POOLING_TITLES: dict[FeaturePooling, str] = {
    "class_token": "class token",
    "mean": "mean of all positions",
    "embedding": "embedding",
}

# Raw pixels are a baseline, not a representation: as a thumbnail of this side they say what colours alone can tell.
_PIXELS_SIDE = 16


@dataclass(frozen=True, kw_only=True)
class Readout:
    """What is read off a network: the output of one layer, made one vector.

    Attributes:
        layer: counted from 1; 0 is the picture itself, as the network is shown it. An embedding is read at the end,
            whatever the layer.
        pooling: ignored for pixels.
    """

    layer: int
    pooling: FeaturePooling


@dataclass(frozen=True, kw_only=True)
class Readouts:
    """Where one network can be cut, and how its tokens or maps become one vector there.

    Attributes:
        prefix_tokens: tokens before the patches, which are left out of the mean.
    """

    layers: tuple[Layer, ...]
    poolings: tuple[FeaturePooling, ...]
    prefix_tokens: int = 0

    def at(self, depth: Depth) -> int:
        """The number of the layer that stands for a depth: a quarter, half, and all of the way."""
        if depth == "pixels" or not self.layers:
            return 0
        return layer_at(self.layers, SHARES[depth]).number

    def title(self, cut: Readout) -> str:
        """The cut in words: "block 3 of 6, class token"."""
        if cut.layer == 0 and cut.pooling != "embedding":
            return "pixels"
        if cut.pooling == "embedding":
            return "embedding"
        layer = self.layers[cut.layer - 1]
        return f"{layer.kind} {layer.number} of {len(self.layers)}, {POOLING_TITLES[cut.pooling]}"

    def shape(self, cut: Readout, images: int | None = None) -> str:
        """What the layer gives before it is pooled: images×channels×height×width, or images×tokens×dim.

        Empty for pixels and the embedding, which are no layers. Without a number of images the word stands there.
        """
        if cut.layer == 0 or cut.pooling == "embedding":
            return ""
        return "×".join(map(str, ("images" if images is None else images, *self.layers[cut.layer - 1].shape)))


@torch.inference_mode()
def find_readouts(module: nn.Module, size: int) -> Readouts:
    """Where `module`, in eval mode and in nobody else's use, can be cut; it is shown one black image for it."""
    layers = find_layers(module, size)
    if not hasattr(module, "last_tokens"):
        return Readouts(layers=layers, poolings=("mean", "embedding") if layers else ("embedding",))
    black = torch.zeros(1, getattr(module, "image_channels", 3), size, size)
    _, prefix_tokens = module.last_tokens(as_input_of(module, black))  # type: ignore[operator]
    return Readouts(
        layers=layers,
        poolings=(*feature_poolings(module), "embedding"),
        prefix_tokens=prefix_tokens,
    )


def extract_layers(
    module: nn.Module,
    data: ArrayDataset,
    *,
    cuts: tuple[Readout, ...],
    known: Readouts,
    model: str,
    size: int,
    normalisation: Normalisation,
    batch_size: int | None = None,
    precision: PrecisionChoice = "fp32",
    lock: threading.RLock | None = None,
) -> Generator[Progress, None, dict[Readout, Features]]:
    """Yield progress in images, and return the features of every cut; all are read in one pass, or from the cache.

    Args:
        known: what `find_readouts` found for this module.
        batch_size: as many as seems right for the size of the images.
        others: as for `core.methods.embeddings.features.extract_features`.

    Raises:
        IncompatibleError: the network has no such layer or pooling.
    """
    for cut in cuts:
        _check(cut, known, model)
    return (
        yield from cached_vectors(
            module,
            data,
            lambda pixels, missing: _read(module, pixels, missing, known, normalisation),
            {cut: _suffix(cut, known) for cut in dict.fromkeys(cuts)},
            model=model,
            size=size,
            normalisation=normalisation,
            batch_size=batch_size or (64 if size <= 96 else 16),
            precision=precision,
            lock=lock,
        )
    )


@torch.inference_mode()
def layer_vectors(
    module: nn.Module,
    images: np.ndarray,
    cuts: tuple[Readout, ...],
    known: Readouts,
    *,
    size: int,
    normalisation: Normalisation,
) -> dict[Readout, np.ndarray]:
    """What `extract_layers` gives for a few pictures (images, height, width, 3) uint8, without the cache.

    The module is in eval mode and in nobody else's use.

    Raises:
        IncompatibleError: the network has no such layer or pooling.
        NotFiniteError: the network gives values that are not numbers.
    """
    for cut in cuts:
        _check(cut, known, "The model")
    pixels = resized(torch.from_numpy(np.array(images)).to(device_of(module)), size)
    found = {
        cut: each.float().cpu().numpy() for cut, each in _read(module, pixels, list(cuts), known, normalisation).items()
    }
    for cut, each in found.items():
        require_finite(f"The features ({known.title(cut)})", each)
    return found


def _check(cut: Readout, known: Readouts, model: str) -> None:
    if cut.layer == 0 and cut.pooling != "embedding":
        return
    if cut.pooling not in known.poolings:
        raise IncompatibleError(
            f"{model} cannot be pooled by {cut.pooling}.", f"Choose one of: {', '.join(known.poolings)}."
        )
    if cut.pooling != "embedding" and not 0 <= cut.layer <= len(known.layers):
        raise IncompatibleError(
            f"{model} has {len(known.layers)} layers, not {cut.layer}.", f"Choose 0 to {len(known.layers)}."
        )


def _suffix(cut: Readout, known: Readouts) -> str:
    """How the cache calls a cut; the end of a transformer has the name that `extract_features` gives it."""
    if cut.pooling == "embedding":
        return "embedding"
    if cut.layer == 0:
        return "pixels"
    layer = known.layers[cut.layer - 1]
    return cut.pooling if _is_end(layer, known) else f"{layer.path}-{cut.pooling}"


def _is_end(layer: Layer, known: Readouts) -> bool:
    """Whether this is the last block of a transformer, which is read after the last norm."""
    return layer.kind == "block" and layer.number == len(known.layers)


def _read(
    module: Any, pixels: Tensor, cuts: list[Readout], known: Readouts, normalisation: Normalisation
) -> dict[Readout, Tensor]:
    """Pixels (batch, 3, size, size) in [0, 1] → (batch, dim) for every cut."""
    found: dict[Readout, Tensor] = {}
    inner: list[Readout] = []
    ends: dict[FeaturePooling, Readout] = {}
    for cut in cuts:
        if cut.pooling == "embedding":
            ends["embedding"] = cut
        elif cut.layer == 0:
            found[cut] = _as_thumbnail(pixels)
        elif _is_end(known.layers[cut.layer - 1], known):
            ends[cut.pooling] = cut
        else:
            inner.append(cut)
    if not inner and not ends:
        return found
    images = as_input_of(module, standardise(pixels, normalisation))
    numbers = sorted({cut.layer for cut in inner})
    with captured([module.get_submodule(known.layers[number - 1].path) for number in numbers]) as outputs:
        if ends:
            pooled = pool_last(module, images, list(ends))
            found |= {cut: pooled[pooling] for pooling, cut in ends.items()}
        else:
            module.embed(images)
    # Tokens and embedding of the end may have taken two passes; the layers come in order in each.
    by_number = dict(zip(numbers, map(first_tensor, outputs[len(outputs) - len(numbers) :]), strict=True))
    return found | {cut: _pool(by_number[cut.layer], cut.pooling, known.prefix_tokens) for cut in inner}


def _pool(output: Tensor, pooling: FeaturePooling, prefix_tokens: int) -> Tensor:
    """Tokens (batch, tokens, dim) or maps (batch, channels, height, width) → (batch, dim)."""
    if output.ndim == 4:
        return output.float().mean(dim=(2, 3))
    return output[:, 0] if pooling == "class_token" else output[:, prefix_tokens:].float().mean(dim=1)


def _as_thumbnail(pixels: Tensor) -> Tensor:
    """The colours of the picture, place by place: (batch, 3 · side²)."""
    side = min(_PIXELS_SIDE, pixels.shape[-1])
    return F.adaptive_avg_pool2d(pixels, side).flatten(1)
