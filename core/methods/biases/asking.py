"""Many models asked about the same images under one manipulation after another.

Every model sees the same manipulated image, as bytes that could be saved: it is made once at the size at which the
images come, and each model resizes it to its own. What a model said of a batch is kept under the names of its weights
and of those very bytes, so that nothing is asked twice, whatever the run.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from core.data.transforms import Preprocessing, standardise
from core.device import Precision, Streams, as_input_of, autocast, device_of
from core.files import replaced
from core.finite import require_finite
from core.methods.embeddings.features import digest_weights, resized
from core.methods.manipulations.manipulated import manipulated
from core.methods.manipulations.steps import Step
from core.reports import Progress

# Images that are manipulated together, and whose answers are one file: as many as make 12 million numbers.
_MOST_IMAGES, _MOST_NUMBERS = 256, 12_000_000

# Normalised images (batch, 3, size, size) and the number of each → (batch, classes), the larger the likelier.
Score = Callable[[Tensor, Sequence[int]], np.ndarray]


class Rows(Protocol):
    """Images (height, width, 3) uint8 that are read in batches; they need not be in memory together."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A model that is ready to be asked.

    Attributes:
        score: tells how likely each class is.
        question: all that the score depends on beside the weights: classes, words, outputs.
        most: only so many of the first images, for models that take seconds an image; None is all.
        together: images whose answers are kept together: 1 for such models, so that a stop loses one; None is many.
    """

    title: str
    module: nn.Module
    preprocessing: Preprocessing
    score: Score
    question: str
    most: int | None = None
    together: int | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)


def ask_models(
    models: Sequence[Asked],
    images: Rows,
    keys: Sequence[int],
    steps: Sequence[Step],
    *,
    seed: int,
    batch_size: int = 64,
    precision: Precision = "fp32",
    kept: Path | None = None,
) -> Generator[Progress, None, tuple[np.ndarray, np.ndarray]]:
    """What every model says of every image under `steps`; yields after each model's part, counted in images asked.

    Args:
        keys: each image's own number, for what is drawn at random.
        kept: the folder of what was answered before; None keeps nothing.

    Returns:
        Answers (images, models) int32, below 0 where a model was not asked, and the share of the answer among all
        scores of the image, (images, models) float32.

    Raises:
        NotFiniteError: a model's answers are not numbers; none of that batch is kept.
    """
    answers = np.full((len(images), len(models)), -1, dtype=np.int32)
    shares = np.zeros((len(images), len(models)), dtype=np.float32)
    names = [_name(model, precision) for model in models]
    total, done, part = sum(_count(model, len(images)) for model in models), 0, _part(images)
    for start in range(0, len(images), part):
        stop = min(start + part, len(images))
        shown = _manipulated_bytes(np.asarray(images[start:stop]), steps, seed, keys[start:stop])
        for place, model in enumerate(models):
            last = min(stop, _count(model, len(images)))
            for first in range(start, last, model.together or part):
                rows = slice(first, min(first + (model.together or part), last))
                seen = shown[rows.start - start : rows.stop - start]
                file = None if kept is None else kept / names[place] / f"{_content(seen, keys[rows])}.npy"
                found = _read(file, len(seen))
                if found is None:
                    asking = _ask(model, seen, keys[rows], batch_size, precision)
                    found = yield from _said(asking, model.title, done, total)
                    _write(file, found)
                answers[rows, place], shares[rows, place] = found
                done += len(seen)
                yield Progress(step=done, steps=total, text=f"{model.title}: {rows.stop:,} of {len(images):,} images")
    return answers, shares


def _said(
    asking: Generator[int, None, tuple[np.ndarray, np.ndarray]], title: str, done: int, total: int
) -> Generator[Progress, None, tuple[np.ndarray, np.ndarray]]:
    """The same, its images counted after those that are `done`."""
    while True:
        try:
            asked = next(asking)
        except StopIteration as end:
            found: tuple[np.ndarray, np.ndarray] = end.value
            return found
        yield Progress(step=done + asked, steps=total, text=f"{title}: {asked:,} images of this part")


def _content(images: np.ndarray, keys: Sequence[int]) -> str:
    """The very bytes, and what may be drawn by an image's number, as a name."""
    digest = hashlib.blake2b(np.ascontiguousarray(images).data, digest_size=12)
    digest.update(repr((images.shape, [int(key) for key in keys])).encode())
    return digest.hexdigest()


def _count(model: Asked, images: int) -> int:
    return images if model.most is None else min(model.most, images)


def _part(images: Rows) -> int:
    """Images of one part."""
    numbers = int(np.prod(np.asarray(images[0:1]).shape))
    return max(8, min(_MOST_IMAGES, _MOST_NUMBERS // max(1, numbers)))


def _manipulated_bytes(images: np.ndarray, steps: Sequence[Step], seed: int, keys: Sequence[int]) -> np.ndarray:
    """(images, height, width, 3) uint8 before and after."""
    if all(step.neutral for step in steps):
        return images
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255
    changed = manipulated(pixels.contiguous(), steps, seed=seed, keys=keys)
    return (changed * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def _ask(
    model: Asked, images: np.ndarray, keys: Sequence[int], batch_size: int, precision: Precision
) -> Generator[int, None, tuple[np.ndarray, np.ndarray]]:
    """(images,) answers and their shares, several batches side by side on a CPU; yields how many were asked about."""
    device = device_of(model.module)

    def ask(first: int) -> np.ndarray:
        chosen = slice(first, first + batch_size)
        with torch.inference_mode(), autocast(device, precision):
            pixels = resized(torch.from_numpy(np.array(images[chosen])).to(device), model.preprocessing.size)
            normalised = as_input_of(model.module, standardise(pixels, model.preprocessing.normalisation))
            return model.score(normalised, keys[chosen])

    found: list[np.ndarray] = []
    with Streams(device) as streams:
        for start in range(0, len(images), batch_size * streams.count):
            stop = min(start + batch_size * streams.count, len(images))
            with model.lock:
                found += streams.map(ask, range(start, stop, batch_size))
            if stop < len(images):
                yield stop
    scores = np.concatenate(found)
    require_finite(f"The answers of {model.title}", scores)
    best = scores.argmax(axis=1)
    sums = np.maximum(scores.sum(axis=1), 1e-12)
    return best.astype(np.int32), (scores[np.arange(len(best)), best] / sums).astype(np.float32)


def _name(model: Asked, precision: Precision) -> str:
    """A model and what it is asked, as a name for a folder."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(repr((model.preprocessing, model.question, precision)).encode())
    digest_weights(digest, model.module)
    return digest.hexdigest()


def _read(file: Path | None, count: int) -> tuple[np.ndarray, np.ndarray] | None:
    """What was kept; None where nothing was, or it is damaged."""
    if file is None or not file.is_file():
        return None
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return (found["answer"], found["share"]) if found.dtype.names and found.shape == (count,) else None


def _write(file: Path | None, found: tuple[np.ndarray, np.ndarray]) -> None:
    if file is None:
        return
    rows = np.empty(len(found[0]), dtype=[("answer", np.int32), ("share", np.float32)])
    rows["answer"], rows["share"] = found
    with replaced(file) as opened:
        np.save(opened, rows)
