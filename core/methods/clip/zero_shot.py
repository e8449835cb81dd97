"""Classification by sentences: an image belongs to the label whose prompts lie nearest to it.

Source: Radford et al. 2021, arXiv:2103.00020, section 3.1; reference code open_clip.zero_shot_classifier.
For models trained with the sigmoid loss (Zhai et al. 2023, arXiv:2303.15343) every label is a yes or no of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from core.data.prompts import prompts_for
from core.device import Streams, as_input_of, device_of
from core.errors import ConfigError
from core.finite import require_finite
from core.methods.accuracy.predictions import softmax
from core.models.clip import ImageTextEncoder
from core.notebook import Drawn
from core.reports import OnProgress, silent

Kind = Literal["softmax", "sigmoid"]

# Sentences in one pass of the text encoder.
BATCH_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How a model turns a cosine into a logit: scale · cosine + bias; 0 is the bias of softmax models."""

    scale: float
    bias: float
    kind: Kind

    @classmethod
    def of(cls, module: ImageTextEncoder) -> Scale:
        """The learned numbers of `module`."""
        return cls(scale=float(module.logit_scale), bias=float(module.logit_bias), kind=module.kind)


@dataclass(frozen=True, kw_only=True)
class ZeroShotScores(Drawn):
    """What a model says about images and labels; all arrays are (images, labels) float32.

    Attributes:
        cosines: of the image and the label's weight vector.
        logits: scale · cosine + bias.
        probabilities: softmax over the labels, so that rows sum to 1; of sigmoid models one yes or no a label.
        kind: which of the two.
    """

    labels: tuple[str, ...]
    cosines: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray
    kind: Kind

    def order(self, image: int = 0) -> np.ndarray:
        """Label indices, best first; equal ones stay in the order they were given."""
        return np.argsort(-self.logits[image], kind="stable")


def unit(vectors: np.ndarray) -> np.ndarray:
    """`vectors` (..., dim) divided by their lengths; a zero vector stays zero.

    Raises:
        NotFiniteError: one has a value that is not a number.
    """
    require_finite("The vectors", vectors)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


@torch.inference_mode()
def embed_texts(
    module: ImageTextEncoder, texts: Sequence[str], *, batch_size: int = BATCH_SIZE, on_progress: OnProgress = silent
) -> np.ndarray:
    """(texts, dim) float32, projected and not normalised; a sentence that occurs again is computed once."""
    distinct = list(dict.fromkeys(texts))
    found: list[np.ndarray] = []
    device = device_of(module)

    def encode(ids: Tensor) -> np.ndarray:
        with torch.inference_mode():  # of each thread its own
            return module.embed_tokens(ids).float().cpu().numpy()

    with Streams(device if len(distinct) > batch_size else None) as streams:
        together = batch_size * streams.count
        for start in range(0, len(distinct), together):
            batch = distinct[start : start + together]
            found += streams.map(encode, module.tokenise(batch).ids.split(batch_size))
            done = start + len(batch)
            on_progress(done / len(distinct), f"Reading {done:,} of {len(distinct):,} sentences")
    rows = {text: row for row, text in enumerate(distinct)}
    vectors = np.concatenate(found)
    require_finite("The text embeddings", vectors)
    return vectors[[rows[text] for text in texts]]


@torch.inference_mode()
def embed_images(module: ImageTextEncoder, images: Tensor) -> np.ndarray:
    """`images`: (batch, 3, height, width), normalised → (batch, dim) float32, projected and not normalised."""
    vectors = module.embed(as_input_of(module, images)).float().cpu().numpy()
    require_finite("The image embeddings", vectors)
    return vectors


def class_weights(embeddings: np.ndarray) -> np.ndarray:
    """One unit vector a label: the mean of its sentences' unit vectors, brought to unit length again.

    `embeddings`: (labels, templates, dim), any length → (labels, dim). Without the inner normalisation long vectors
    would outvote short ones.
    """
    return unit(unit(embeddings).mean(axis=-2))


def text_classifier(
    module: ImageTextEncoder,
    labels: Sequence[str],
    templates: Sequence[str],
    *,
    batch_size: int = BATCH_SIZE,
    on_progress: OnProgress = silent,
) -> np.ndarray:
    """The weights of a classifier for `labels`, (labels, dim) unit vectors; nothing is trained.

    Raises:
        ConfigError: there is no label or no template.
    """
    if not labels or not templates:
        raise ConfigError(f"There are {len(labels)} labels and {len(templates)} templates.", "Give one of each.")
    # So many labels at a time that 1,000 labels in 80 sentences need not be in memory together.
    chunk = max(1, 1024 // len(templates))
    weights = []
    for start in range(0, len(labels), chunk):
        batch = labels[start : start + chunk]
        embedded = embed_texts(module, prompts_for(batch, templates), batch_size=batch_size)
        weights.append(class_weights(embedded.reshape(len(batch), len(templates), -1)))
        done = start + len(batch)
        on_progress(done / len(labels), f"Reading labels: {done:,} of {len(labels):,}")
    return np.concatenate(weights)


def zero_shot_scores(images: np.ndarray, weights: np.ndarray, labels: Sequence[str], scaling: Scale) -> ZeroShotScores:
    """Every image against every label.

    Args:
        images: (images, dim), any length.
        weights: (labels, dim) unit vectors, as `text_classifier` gives them.
    """
    require_finite("The classifier's weights", weights)
    cosines = unit(images) @ weights.T
    logits = scaling.scale * cosines + scaling.bias
    return ZeroShotScores(
        labels=tuple(labels),
        cosines=cosines.astype(np.float32),
        logits=logits.astype(np.float32),
        probabilities=probabilities(logits, scaling.kind),
        kind=scaling.kind,
    )


def probabilities(logits: np.ndarray, kind: Kind) -> np.ndarray:
    """(..., labels) float32: shares of one, or a sigmoid of each."""
    require_finite("The logits", logits)
    if kind == "softmax":
        return softmax(logits).astype(np.float32)
    return (0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64)))).astype(np.float32)


def template_scores(image: np.ndarray, embeddings: np.ndarray, scaling: Scale) -> tuple[np.ndarray, np.ndarray]:
    """What each template would say on its own: cosines and probabilities, both (templates, labels) float32.

    Args:
        image: (dim,), any length.
        embeddings: (labels, templates, dim), any length.
    """
    cosines = (unit(embeddings) @ unit(image)).T
    return cosines.astype(np.float32), probabilities(scaling.scale * cosines + scaling.bias, scaling.kind)


def similarity_matrix(images: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """(images, texts) cosines, float32, of (images, dim) and (texts, dim) of any length."""
    return (unit(images) @ unit(texts).T).astype(np.float32)
