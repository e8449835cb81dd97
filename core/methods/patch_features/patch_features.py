"""What a vision transformer holds of every patch: principal components as colours, and which patches are alike.

Source: Amir et al. 2021, arXiv:2112.05814 (one principal component analysis of all photos); Oquab et al. 2023,
arXiv:2304.07193, figure 1 (three components as colours, the ground taken away by the first).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from core.device import as_input_of
from core.errors import ConfigError, IncompatibleError
from core.finite import require_finite

Ground = Literal["all", "high", "low"]
# Shares of the values of a component that are drawn as black and as full colour.
_CLIPPED = (2.0, 98.0)
# So few patches have no three components of their own.
_FEWEST = 3
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class PatchTokens:
    """The patch tokens of some photos in every layer of one model.

    Attributes:
        tokens: (layers, photos, patches, dim) float32: the outputs of the blocks, prefix tokens left out.
        grid: rows and columns of patches.
    """

    tokens: np.ndarray
    grid: tuple[int, int]

    def __post_init__(self) -> None:
        require_finite("The patch tokens", self.tokens)

    @property
    def layers(self) -> int:
        return self.tokens.shape[0]

    @property
    def photos(self) -> int:
        return self.tokens.shape[1]


@dataclass(frozen=True, kw_only=True)
class PatchColours:
    """Three principal components of a layer's patch tokens, over all photos together, as colours.

    Attributes:
        colours: (photos, rows, columns, 3) in [0, 1]; 0 where `figure` is False.
        figure: (photos, rows, columns) bool: the patches that the components were fitted to.
        shares: (3,) of the variance of those patches, by component.
        first: (photos, rows, columns) the first component of *all* patches, by which figure and ground were told apart.
    """

    colours: np.ndarray
    figure: np.ndarray
    shares: np.ndarray
    first: np.ndarray


@torch.inference_mode()
def patch_tokens(module: nn.Module, images: Tensor) -> PatchTokens:
    """Run photos, (photos, channels, height, width), and keep the patch tokens of every layer.

    Raises:
        IncompatibleError: the blocks give no token for each patch.
    """
    trace = module.trace(as_input_of(module, images))  # type: ignore[operator]
    rows, columns = trace.grid
    layers = [layer[:, trace.prefix_tokens :].float().cpu() for layer in trace.tokens]
    if not layers or any(layer.shape[1] != rows * columns for layer in layers):
        raise IncompatibleError(
            f"The blocks of this model give {layers[0].shape[1] if layers else 0} tokens for {rows * columns} patches.",
            "Choose a plain vision transformer.",
        )
    return PatchTokens(tokens=torch.stack(layers).numpy(), grid=trace.grid)


def patch_colours(tokens: np.ndarray, grid: tuple[int, int], *, ground: Ground = "all") -> PatchColours:
    """Colours of a layer, the same in all photos: patches that are alike look alike.

    Args:
        tokens: (photos, patches, dim).
        grid: rows and columns of patches.
        ground: "all" colours every patch. "high" and "low" take away the patches with a high or a low first component,
            on the far side of zero, and fit three new components to the others. Which side is the ground is for the
            eye to say: signs of components mean nothing.

    Raises:
        ConfigError: fewer than four patches are left.
        NotFiniteError: a token is not a number.
    """
    require_finite("The patch tokens", tokens)
    flat = tokens.reshape(-1, tokens.shape[-1]).astype(np.float64)
    values, shares = components(flat, 3)
    first = values[:, 0]
    figure = {"all": np.ones(len(flat), bool), "high": first <= 0, "low": first > 0}[ground]
    if ground != "all":
        if figure.sum() <= _FEWEST:
            raise ConfigError(
                f"{int(figure.sum())} of {len(figure)} patches are left.", "Colour all patches, or take another layer."
            )
        values, shares = components(flat[figure], 3)
    low, high = np.percentile(values, _CLIPPED, axis=0)
    colours = np.zeros((len(flat), 3))
    # A component without any spread is grey: half of its colour everywhere.
    span = np.where(high > low, high - low, 1)
    colours[figure] = np.where(high > low, np.clip((values - low) / span, 0, 1), 0.5)
    shape = (len(tokens), *grid)
    return PatchColours(
        colours=colours.reshape(*shape, 3).astype(np.float32),
        figure=figure.reshape(shape),
        shares=shares,
        first=first.reshape(shape).astype(np.float32),
    )


def components(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of the rows of `values` (rows, dim): (rows, count), and their shares of the variance.

    Missing ones, where there are fewer rows or dimensions or no spread, are 0. Signs are scikit-learn's: they mean
    nothing, and are the same every time.
    """
    from sklearn.decomposition import PCA

    require_finite("The tokens", values)
    scores, shares = np.zeros((len(values), count)), np.zeros(count)
    known = min(count, *values.shape)
    if known and np.ptp(values, axis=0).max() > 0:
        # A few of many: a third of the time of all of them.
        solver = "arpack" if known < min(values.shape) else "full"
        fitted = PCA(known, svd_solver=solver, random_state=0).fit(values)
        # What rounding leaves of rows on a line is no component.
        kept = fitted.explained_variance_ratio_ > _ROUNDING
        shares[:known] = np.where(kept, fitted.explained_variance_ratio_, 0)
        scores[:, :known] = np.where(kept, fitted.transform(values), 0)
    return scores, shares


def patch_similarity(tokens: np.ndarray, photo: int, patch: int) -> np.ndarray:
    """Cosine of one patch's token with all: (photos, patches) of `tokens` (photos, patches, dim).

    Raises:
        ConfigError: there is no such photo or patch.
    """
    require_finite("The patch tokens", tokens)
    if not (0 <= photo < tokens.shape[0] and 0 <= patch < tokens.shape[1]):
        raise ConfigError(
            f"Patch {patch} of photo {photo} was asked for; there are {tokens.shape[0]} photos of {tokens.shape[1]}.",
            "Choose one of those, counted from 0.",
        )
    lengths = np.maximum(np.linalg.norm(tokens, axis=-1, keepdims=True), 1e-12)
    directions = tokens / lengths
    return np.asarray(directions @ directions[photo, patch])


def nearest_patches(similarity: np.ndarray, photo: int) -> Sequence[int]:
    """The most similar patch in every photo, of `similarity` (photos, patches); of the asking photo -1."""
    require_finite("The similarities", similarity)
    return [-1 if index == photo else int(row.argmax()) for index, row in enumerate(similarity)]
