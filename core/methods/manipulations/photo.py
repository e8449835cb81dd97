"""One photo under manipulations: its versions, and what models say of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from PIL import Image

from core.data.transforms import HALF_NORMALISATION, Preprocessing, crop_to_square, to_batch
from core.errors import ConfigError
from core.methods.accuracy.predictions import predict_logits, softmax
from core.methods.clip.zero_shot import Scale, embed_images, text_classifier, zero_shot_scores
from core.methods.manipulations.catalogue import manipulation
from core.methods.manipulations.manipulated import manipulated
from core.methods.manipulations.steps import Step
from core.models.clip import ImageTextEncoder
from core.models.spec import LoadedModel
from core.reports import OnProgress, silent

BATCH_SIZE = 32
TEMPLATE = "a photo of a {}."


@dataclass(frozen=True, kw_only=True)
class PhotoAnswers:
    """What one model says of a photo and of its versions.

    Attributes:
        classes: what its answers mean.
        probabilities: (versions, classes) float64, each row of one version.
        clean: (classes,) of the unchanged photo.
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray
    clean: np.ndarray

    @property
    def clean_answer(self) -> int:
        """The class it names on the unchanged photo."""
        return int(self.clean.argmax())

    @property
    def answers(self) -> np.ndarray:
        """(versions,) the class it names."""
        return self.probabilities.argmax(axis=1)

    @property
    def kept(self) -> np.ndarray:
        """(versions,) the probability of what it names on the unchanged photo."""
        return self.probabilities[:, self.clean_answer]

    @property
    def same(self) -> np.ndarray:
        """(versions,) whether it names the same class as on the unchanged photo."""
        return self.answers == self.clean_answer


def photo_square(image: Image.Image, size: int) -> np.ndarray:
    """The middle of a photo as it is manipulated: (size, size, 3) uint8."""
    return np.array(crop_to_square(image, Preprocessing(size=size, normalisation=HALF_NORMALISATION)))


def photo_versions(photo: np.ndarray, variants: Sequence[Sequence[Step]], *, seed: int) -> np.ndarray:
    """The photo (height, width, 3) uint8 after each of `variants`: (variants, height, width, 3) uint8."""
    pixels = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() / 255
    found = [manipulated(pixels, steps, seed=seed, keys=[0])[0] for steps in variants]
    if not found:
        return np.empty((0, *photo.shape), np.uint8)
    return (torch.stack(found) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def ladder_steps(name: str, strength: float | None = None) -> list[Step]:
    """A manipulation at each strength of its ladder, and at `strength` where that is none of them."""
    ladder = set(manipulation(name).ladder) | ({strength} if strength is not None else set())
    return [Step(name, each) for each in sorted(ladder)]


def ask_about_photo(
    model: LoadedModel,
    photo: np.ndarray,
    versions: np.ndarray,
    *,
    labels: Sequence[str] = (),
    label_vectors: np.ndarray | None = None,
    on_progress: OnProgress = silent,
) -> PhotoAnswers:
    """What a model says of a photo and of its versions (versions, height, width, 3) uint8.

    Args:
        labels: what a model of images and texts chooses from; a classifier names its own classes.
        label_vectors: of `labels`, (labels, dim) where they are known already.

    Raises:
        IncompatibleError: it names nothing.
        ConfigError: a model of images and texts has not two labels to choose from.
    """
    zero_shot = bool(model.spec.lacks("classifier"))
    if zero_shot:
        model.spec.require("image_text", "Naming what is on a photo")
        if len(labels) < 2:
            raise ConfigError(f"{model.spec.title} chooses from {len(labels)} labels.", "Give it two or more.")
        module = cast(ImageTextEncoder, model.module)
        vectors = text_classifier(module, labels, [TEMPLATE]) if label_vectors is None else label_vectors
    pictures = [Image.fromarray(each) for each in (photo, *versions)]
    found = []
    for start in range(0, len(pictures), BATCH_SIZE):
        on_progress(start / len(pictures), f"{model.spec.title}: picture {start + 1} of {len(pictures)}")
        batch = to_batch(pictures[start : start + BATCH_SIZE], model.network.preprocessing)
        if zero_shot:
            scores = zero_shot_scores(embed_images(module, batch), vectors, labels, Scale.of(module))
            found.append(scores.probabilities.astype(np.float64))
        else:
            found.append(softmax(predict_logits(model.module, batch)))
    probabilities = np.concatenate(found)
    return PhotoAnswers(
        classes=tuple(labels) if zero_shot else model.classes, probabilities=probabilities[1:], clean=probabilities[0]
    )
