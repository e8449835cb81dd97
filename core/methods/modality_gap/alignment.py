"""Moving image embeddings onto text embeddings: variants, fitted on pairs, done in whole or in part.

Plain NumPy in float64. Texts are never rotated, because rotating both sides changes no cosine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import ConfigError, ShapeError, UnknownNameError
from core.finite import require_finite
from core.methods.modality_gap.procrustes import Free, PartialRotation, best_rotation, unit_vectors


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to move images onto texts.

    Attributes:
        normalise: vectors are brought to unit length first.
        centre: the mean of the fitted images is taken from the images and that of their captions from the texts.
        rotate: images are turned by the orthogonal matrix that fits the pairs best.
        scale: images are stretched by the factor that fits best; without `place` no cosine notices.
        place: the texts stay where they are, and the images' mean is moved onto theirs instead; needs `centre`.
        free: see `core.methods.modality_gap.procrustes.Free`.
    """

    name: str
    title: str
    normalise: bool = True
    centre: bool = False
    rotate: bool = False
    scale: bool = False
    place: bool = False
    free: Free = "arbitrary"


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(name="before", title="Nothing"),
        Variant(name="mean_shift", title="Mean shift", centre=True, place=True),
        Variant(name="centred_only", title="Centred, not rotated", centre=True),
        Variant(name="raw", title="Procrustes, raw", normalise=False, rotate=True),
        Variant(name="normalised", title="Procrustes, L2", rotate=True),
        Variant(name="raw_centred", title="Procrustes, raw, centred", normalise=False, centre=True, rotate=True),
        Variant(name="centred", title="Procrustes, L2, centred", centre=True, rotate=True),
        Variant(
            name="centred_least",
            title="Procrustes, L2, centred, least motion",
            centre=True,
            rotate=True,
            free="least_motion",
        ),
        Variant(name="raw_scaled", title="Procrustes, raw, scaled", normalise=False, rotate=True, scale=True),
        Variant(name="scaled", title="Procrustes, L2, scaled", rotate=True, scale=True),
        Variant(
            name="raw_similarity",
            title="Procrustes, raw, centred, scaled",
            normalise=False,
            centre=True,
            rotate=True,
            scale=True,
            place=True,
        ),
        Variant(
            name="similarity",
            title="Procrustes, L2, centred, scaled",
            centre=True,
            rotate=True,
            scale=True,
            place=True,
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """A fitted variant.

    Attributes:
        image_mean, text_mean: (dim,) of the fitted pairs; zero where nothing is centred.
        rotation: (dim, dim), applied from the right; the identity where nothing is rotated.
        scale: 1 where nothing is scaled.
        residual: ‖scale · A · rotation − B‖² / ‖B‖² over the fitted pairs A, B, after normalising and centring.
        determined: directions of the rotation that the pairs determine, of dim.
    """

    variant: Variant
    image_mean: np.ndarray
    text_mean: np.ndarray
    rotation: np.ndarray
    scale: float
    residual: float
    determined: int

    def move_images(self, images: np.ndarray) -> np.ndarray:
        """(n, dim) → (n, dim), not of unit length."""
        centred = _prepared(images, self.variant) - self.image_mean
        moved = self.scale * (centred @ self.rotation)
        return moved + self.text_mean if self.variant.place else moved

    def move_texts(self, texts: np.ndarray) -> np.ndarray:
        """(..., dim) → (..., dim), not of unit length: centred where the variant says so, never rotated."""
        prepared = _prepared(texts, self.variant)
        return prepared if self.variant.place else prepared - self.text_mean


def find_variant(name: str) -> Variant:
    """The variant called `name`.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in VARIANTS:
        raise UnknownNameError("alignment", name, VARIANTS)
    return VARIANTS[name]


def fit_alignment(images: np.ndarray, texts: np.ndarray, variant: Variant) -> Alignment:
    """Fit `variant` to pairs (n, dim); nothing else is looked at.

    Raises:
        ShapeError: the two are not pairs.
        ConfigError: fewer than two pairs.
        NotFiniteError: values that are not numbers.
    """
    check_pairs(images, texts)
    dim = images.shape[1]
    first, second = _prepared(images, variant), _prepared(texts, variant)
    image_mean = first.mean(axis=0) if variant.centre else np.zeros(dim)
    text_mean = second.mean(axis=0) if variant.centre else np.zeros(dim)
    first, second = first - image_mean, second - text_mean
    rotation, total, determined = np.eye(dim), float((first * second).sum()), 0
    if variant.rotate:
        rotation, total, determined = best_rotation(first, second, variant.free)
    sizes = float((first**2).sum()), float((second**2).sum())
    scale = total / sizes[0] if variant.scale and sizes[0] > 0 else 1.0
    residual = scale**2 * sizes[0] - 2 * scale * total + sizes[1]
    return Alignment(
        variant=variant,
        image_mean=image_mean,
        text_mean=text_mean,
        rotation=rotation,
        scale=scale,
        residual=residual / sizes[1] if sizes[1] > 0 else 0.0,
        determined=determined,
    )


class Walk:
    """An alignment that can be done in part."""

    def __init__(self, alignment: Alignment) -> None:
        self.alignment = alignment
        self.turn = PartialRotation(alignment.rotation) if alignment.variant.rotate else None

    def images(self, images: np.ndarray, centring: float, rotating: float) -> np.ndarray:
        """(n, dim) moved by shares of the shift and of the rotation, 0 to 1 each; a scale goes with the rotation."""
        own = self.alignment
        moved = _prepared(images, own.variant) - centring * own.image_mean
        if self.turn is not None and rotating > 0:
            moved = own.scale**rotating * self.turn.apply(moved, rotating)
        return moved + centring * own.text_mean if own.variant.place else moved

    def texts(self, texts: np.ndarray, centring: float) -> np.ndarray:
        """(..., dim) moved by a share of their own centring."""
        own = self.alignment
        prepared = _prepared(texts, own.variant)
        return prepared if own.variant.place else prepared - centring * own.text_mean


def check_pairs(images: np.ndarray, texts: np.ndarray) -> None:
    """Raise unless `images` and `texts` are the same number, at least two, of finite vectors (pairs, dim)."""
    if images.ndim != 2 or images.shape != texts.shape:
        raise ShapeError(f"Got images {images.shape} and texts {texts.shape}; expected the same (pairs, dim).")
    if len(images) < 2:
        raise ConfigError(f"Got {len(images)} pairs; an alignment needs at least 2.", "Use more images.")
    require_finite("The image embeddings", images)
    require_finite("The text embeddings", texts)


def _prepared(vectors: np.ndarray, variant: Variant) -> np.ndarray:
    return unit_vectors(vectors) if variant.normalise else np.asarray(vectors, dtype=np.float64)
