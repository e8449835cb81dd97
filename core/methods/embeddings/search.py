"""Searching pictures by a text or by another picture: whose features point the same way.

Similarity is the cosine of the plain vectors, as in CLIP (Radford et al. 2021, arXiv:2103.00020): a text is compared
with the projected image embeddings, a picture at the same cut of the same network. Cosines of texts with pictures are
small, and comparable among themselves alone: the modality gap lies between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import nn

from core.data.transforms import IMAGENET_NORMALISATION, Normalisation, Preprocessing, crop_to_square
from core.errors import ConfigError, ShapeError
from core.methods.clip.zero_shot import embed_texts, unit
from core.methods.embeddings.layer_features import Readout, Readouts, layer_vectors
from core.models.clip import ImageTextEncoder


@dataclass(frozen=True, kw_only=True)
class Found:
    """Pictures in the order of their similarity to what was searched for.

    Attributes:
        order: (images,) indices, the most similar first.
        similarities: (images,) cosine in [-1, 1] of each picture, in the pictures' own order.
    """

    order: np.ndarray
    similarities: np.ndarray

    @property
    def ranks(self) -> np.ndarray:
        """(images,) the place of each picture, counted from 1."""
        ranks = np.empty(len(self.order), np.int64)
        ranks[self.order] = np.arange(1, len(self.order) + 1)
        return ranks


def search(query: np.ndarray, vectors: np.ndarray) -> Found:
    """Rank pictures by the cosine of their features with `query`; equal ones stay in their order.

    Args:
        query: (dim,).
        vectors: (images, dim), any length.

    Raises:
        ShapeError: the two are not of the same space.
        NotFiniteError: a value is not a number.
    """
    if vectors.ndim != 2 or query.shape != vectors.shape[1:]:
        raise ShapeError(
            f"A query of shape {query.shape} for features of shape {vectors.shape}.", "Take both from the same network."
        )
    similarities = (unit(vectors) @ unit(query)).astype(np.float32)
    return Found(order=np.argsort(-similarities, kind="stable"), similarities=similarities)


def text_query(module: ImageTextEncoder, text: str) -> np.ndarray:
    """(dim,) where a model of images and texts puts `text`, to be compared with its embedding of pictures.

    Raises:
        ConfigError: there is no text.
    """
    if not text.strip():
        raise ConfigError("There is nothing to search for.", "Write some words.")
    return embed_texts(module, [text.strip()])[0]


@torch.inference_mode()
def image_query(
    module: nn.Module, image: Image.Image, cut: Readout, known: Readouts, *, size: int, normalisation: Normalisation
) -> np.ndarray:
    """(dim,) what a network makes of a picture at `cut`: the square from its middle, as the other pictures are taken.

    The module is in eval mode and in nobody else's use.
    """
    square = np.asarray(crop_to_square(image, Preprocessing(size=size, normalisation=IMAGENET_NORMALISATION)))
    return layer_vectors(module, square[None], (cut,), known, size=size, normalisation=normalisation)[cut][0]


def best(found: Found, ids: Sequence[str], most: int) -> list[tuple[int, str, float]]:
    """Rank, name and similarity of the first `most`."""
    return [(rank, ids[row], float(found.similarities[row])) for rank, row in enumerate(found.order[:most], 1)]
