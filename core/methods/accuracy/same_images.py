"""Models of other kinds asked about the very images that one classifier was asked about."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from core.data.transforms import to_batch
from core.methods.accuracy.class_matching import class_scorer
from core.models.spec import LoadedModel
from core.reports import Progress

BATCH_SIZE = 64


class Pictures(Protocol):
    """Images by number, (height, width, 3) uint8 each; they need not be in memory together."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


def answers(
    model: LoadedModel,
    pictures: Pictures,
    classes: Sequence[str],
    labels: Sequence[str],
    template: str,
) -> Generator[Progress, None, np.ndarray]:
    """The (images,) class indices that a model says; yields after every batch.

    Args:
        classes: of the data set; what a classifier's outputs are matched with.
        labels: one for each class, which a model of images and texts reads in `template`.

    Raises:
        IncompatibleError: see `core.methods.accuracy.class_matching`.
    """
    score = class_scorer(model, classes, labels, template)
    found = []
    for start in range(0, len(pictures), BATCH_SIZE):
        images = [Image.fromarray(pictures[index]) for index in range(start, min(start + BATCH_SIZE, len(pictures)))]
        found.append(score(to_batch(images, model.network.preprocessing)).argmax(axis=1))
        done = start + len(images)
        yield Progress(step=done, steps=len(pictures), text=f"{model.spec.title}: {done:,} of {len(pictures):,} images")
    return np.concatenate(found)
