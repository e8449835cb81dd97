"""What a frozen network makes of every image of a split, computed once and kept on disk.

Test transform, eval mode, no gradients. Features of vision transformers are read before any projection and after the
last norm; the mean is over patches alone, without class token and registers.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Generator, Hashable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from core.data.arrays import ArrayDataset
from core.data.transforms import Normalisation, resize, standardise
from core.device import Streams, as_input_of, autocast, device_of
from core.errors import IncompatibleError
from core.files import replaced
from core.finite import require_finite
from core.paths import cache_root
from core.precision_choice import PrecisionChoice, choose_precision
from core.reports import Progress

FeaturePooling = Literal["class_token", "mean", "embedding"]
Name = TypeVar("Name", bound=Hashable)

# One file holds this many images, so that an interrupted extraction goes on where it was: of large ones, which take
# their time, fewer. The number is a part of the folder's name where it is not the usual one.
_CHUNK, _CHUNK_OF_LARGE, _LARGE = 512, 64, 96
_SAMPLE = 256
# Bytes of images that are read for their name: half a second.
_MOST_READ = 1 << 29
# Features of images that were resized in floating point are others.
_RESIZING = b"bytes"


@dataclass(frozen=True, kw_only=True)
class Features:
    """The vectors of one split.

    Attributes:
        vectors: (images, dim) float32.
        labels: (images,) int64.
    """

    vectors: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def feature_poolings(module: nn.Module) -> tuple[FeaturePooling, ...]:
    """How this network's output becomes one vector: for a ViT class token, if it has one, or mean; else its embedding.

    "embedding", what the network's own head reads, can be asked of all.
    """
    if not hasattr(module, "last_tokens"):
        return ("embedding",)
    # SigLIP and I-JEPA have none; and what comes before the patches may be registers alone.
    return ("class_token", "mean") if getattr(module, "has_class_token", True) else ("mean",)


def extract_features(
    module: nn.Module,
    data: ArrayDataset,
    *,
    model: str,
    size: int,
    normalisation: Normalisation,
    poolings: tuple[FeaturePooling, ...] | None = None,
    batch_size: int = 64,
    precision: PrecisionChoice = "fp32",
    lock: threading.RLock | None = None,
    side_by_side: bool = False,
) -> Generator[Progress, None, dict[FeaturePooling, Features]]:
    """Yield progress in images, and return the features by pooling; what was computed before is read from the cache.

    Args:
        module: offers `embed`, or `last_tokens`; put into eval mode, and asked where it lives.
        model: its name, a part of the cache's key beside a hash of its weights.
        size: images are resized to it on the module's device.
        poolings: all that the module offers by default.
        lock: held during every batch, where the module is shared.
        side_by_side: several batches at once on the cores of a CPU, for modules that embed without hooks.

    Raises:
        IncompatibleError: the module has no such pooling, or there is no class token.
    """
    offered = feature_poolings(module)
    poolings = poolings or offered
    for pooling in poolings:
        if pooling not in (*offered, "embedding"):
            raise IncompatibleError(f"{model} cannot be pooled by {pooling}.", f"Choose one of: {', '.join(offered)}.")
    return (
        yield from cached_vectors(
            module,
            data,
            lambda pixels, missing: pool_last(module, as_input_of(module, standardise(pixels, normalisation)), missing),
            {pooling: pooling for pooling in poolings},
            model=model,
            size=size,
            normalisation=normalisation,
            batch_size=batch_size,
            precision=precision,
            lock=lock,
            side_by_side=side_by_side,
        )
    )


def cached_vectors(
    module: nn.Module,
    data: ArrayDataset,
    read: Callable[[Tensor, list[Name]], Mapping[Name, Tensor]],
    names: Mapping[Name, str],
    *,
    model: str,
    size: int,
    normalisation: Normalisation,
    batch_size: int = 64,
    precision: PrecisionChoice = "fp32",
    lock: threading.RLock | None = None,
    side_by_side: bool = False,
) -> Generator[Progress, None, dict[Name, Features]]:
    """Whatever `read` makes of every image, computed once: what `extract_features` does for any kind of vector.

    Args:
        read: pixels (batch, 3, size, size) in [0, 1] and the keys of `names` that are missing → (batch, dim) for each.
        names: what is wanted, and how the folder of each in the cache ends.

    Raises:
        NotFiniteError: the network gives values that are not numbers; none is kept.
    """
    target = device_of(module)
    module = module.eval()
    chosen = choose_precision(precision, target, "inference").precision
    key = _key(module, data, model, size=size, normalisation=asdict(normalisation), precision=chosen)
    chunk = _CHUNK if size <= _LARGE or side_by_side else max(_CHUNK_OF_LARGE, batch_size)
    folder_of = "" if chunk == _CHUNK else f"-by-{chunk}"
    folders = {name: cache_root() / "features" / f"{key}{folder_of}-{suffix}" for name, suffix in names.items()}

    def vectors_of(rows: range, missing: list[Name]) -> dict[Name, np.ndarray]:
        images = torch.from_numpy(np.array(data.images[rows.start : rows.stop])).to(target)
        with torch.inference_mode(), autocast(target, chosen):
            vectors = read(resized(images, size), missing)
        found = {name: each.float().cpu().numpy() for name, each in vectors.items()}
        for name, each in found.items():  # before they are kept on disk
            require_finite(f"The features of {model} ({name})", each)
        return found

    with Streams(target if side_by_side else None) as streams:
        for start in range(0, len(data), chunk):
            stop = min(start + chunk, len(data))
            missing = [name for name in names if not _file(folders[name], start).is_file()]
            if not missing:
                yield Progress(step=stop, steps=len(data), text=f"{data.split}: features from the cache")
                continue
            found: list[dict[Name, np.ndarray]] = []
            batches = [range(first, min(first + batch_size, stop)) for first in range(start, stop, batch_size)]
            for place in range(0, len(batches), streams.count):
                together = batches[place : place + streams.count]
                with lock or threading.RLock():
                    found += streams.map(partial(vectors_of, missing=missing), together)
                last = together[-1].stop
                text = f"{data.split}: features of {last:,} of {len(data):,} images"
                yield Progress(step=last, steps=len(data), text=text)
            for name in missing:
                _save(_file(folders[name], start), np.concatenate([vectors[name] for vectors in found]))
    labels = np.array(data.labels)
    return {
        name: Features(
            vectors=np.concatenate([np.load(_file(folder, start)) for start in range(0, len(data), chunk)]),
            labels=labels,
        )
        for name, folder in folders.items()
    }


def resized(images: Tensor, size: int) -> Tensor:
    """(batch, height, width, 3) uint8 → (batch, 3, size, size) in [0, 1], whole bytes as Pillow would make them.

    On a CPU bytes are resized as bytes: as Pillow does it but for a level here and there, and five times as fast as
    floating point, whose bicubic filter overshoots black and white by up to 19 levels.
    """
    planes = images.permute(0, 3, 1, 2)
    if planes.device.type == "cpu":
        return resize(planes, size).float() / 255
    return resize(planes.float(), size).round().clamp(0, 255) / 255


def pool_last(module: Any, images: Tensor, poolings: list[FeaturePooling]) -> dict[FeaturePooling, Tensor]:
    """Normalised images → (batch, dim) for each of `poolings`, read where the network ends."""
    if poolings == ["embedding"]:
        return {"embedding": module.embed(images)}
    tokens, prefix_tokens = module.last_tokens(images)
    if "class_token" in poolings and not (prefix_tokens and getattr(module, "has_class_token", True)):
        raise IncompatibleError("This model has no class token.", "Choose mean pooling.")
    pooled: dict[FeaturePooling, Tensor] = {
        "class_token": tokens[:, 0],
        "mean": tokens[:, prefix_tokens:].float().mean(dim=1),
    }
    if "embedding" in poolings:
        pooled["embedding"] = module.embed(images)
    return {pooling: pooled[pooling] for pooling in poolings}


def _key(module: nn.Module, data: ArrayDataset, model: str, **transform: Any) -> str:
    """Everything that the features depend on, as a name for a folder."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(repr((model, sorted(transform.items()), data.name, data.split, data.images.shape)).encode())
    digest.update(_RESIZING)
    digest_weights(digest, module)
    digest.update(np.asarray(data.labels).tobytes())
    if isinstance(data.images, np.ndarray) and data.images.nbytes <= _MOST_READ:
        digest.update(np.ascontiguousarray(data.images).data)
    else:  # drawn one by one, or too many to be read for a name: a sample tells one selection from another
        rows = np.linspace(0, len(data) - 1, min(_SAMPLE, len(data))).astype(np.int64)
        digest.update(data.images[rows].tobytes())
    return digest.hexdigest()


def digest_weights(digest: hashlib.blake2b, module: nn.Module) -> None:
    """Take in the names and values of all parameters and buffers."""
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().cpu().flatten().view(torch.uint8).numpy())


def _file(folder: Path, start: int) -> Path:
    return folder / f"{start:08d}.npy"


def _save(path: Path, vectors: np.ndarray) -> None:
    """Complete or not at all: another process may write the same."""
    with replaced(path) as file:
        np.save(file, vectors)
