"""Models of other kinds asked about the very images that one classifier was asked about."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol, cast

import numpy as np
from PIL import Image

from core.data.transforms import to_batch
from core.errors import IncompatibleError
from core.methods.accuracy.predictions import predict_logits
from core.methods.clip.zero_shot import embed_images, text_classifier
from core.models.clip import ImageTextEncoder
from core.models.spec import LoadedModel
from core.reports import Progress

BATCH_SIZE = 64


class Pictures(Protocol):
    """Images by number, (height, width, 3) uint8 each; they need not be in memory together."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


def class_order(model: LoadedModel, classes: Sequence[str]) -> np.ndarray | None:
    """For each of a classifier's outputs the index in `classes`; None for a model of images and texts, which is asked.

    Raises:
        IncompatibleError: it classifies nothing, or knows other classes.
    """
    if not model.spec.lacks("image_text"):
        return None
    model.spec.require("classifier", "Comparing answers")
    wanted = {_plain(name): index for index, name in enumerate(classes)}
    known = [_plain(name) for name in model.classes]
    if sorted(known) != sorted(wanted):
        raise IncompatibleError(
            f"{model.spec.title} cannot be compared here: it knows {len(known):,} classes "
            f"({', '.join(model.classes[:3])}, …), and these images have {len(wanted):,} others.",
            "Compare with a model of images and texts, or with a classifier of the same classes.",
        )
    return np.array([wanted[name] for name in known])


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
        IncompatibleError: see `class_order`.
    """
    order = class_order(model, classes)
    module = model.module
    weights = None
    if order is None:
        weights = text_classifier(cast(ImageTextEncoder, module), labels, (template,))
    found = []
    for start in range(0, len(pictures), BATCH_SIZE):
        images = [Image.fromarray(pictures[index]) for index in range(start, min(start + BATCH_SIZE, len(pictures)))]
        batch = to_batch(images, model.network.preprocessing)
        if weights is not None:
            # Neither the scale nor the length of the image's vector moves the largest.
            found.append((embed_images(cast(ImageTextEncoder, module), batch) @ weights.T).argmax(axis=1))
        else:
            assert order is not None
            found.append(order[predict_logits(module, batch).argmax(axis=1)])
        done = start + len(images)
        yield Progress(step=done, steps=len(pictures), text=f"{model.spec.title}: {done:,} of {len(pictures):,} images")
    return np.concatenate(found)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
