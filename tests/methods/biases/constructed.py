"""Images of known cues, and models that read one of them by construction.

A class has a shape (which half or which lines are light) and a colour; a test may add a patch of some brightness. What
a model reads it reads wholly, and nothing else.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from core.data.transforms import HALF_NORMALISATION, Preprocessing
from core.methods.biases.asking import Asked

SIDE, CLASSES = 32, 4
COLOURS = np.array([[1.0, 0.2, 0.2], [0.2, 1.0, 0.2], [0.2, 0.2, 1.0], [0.7, 0.7, 0.0]])
LIGHT, DARK = 200, 60


def shapes() -> np.ndarray:
    """(classes, side, side) of 0 and 1, each with as many light pixels."""
    found = np.zeros((CLASSES, SIDE, SIDE))
    found[0, : SIDE // 2] = 1
    found[1, :, : SIDE // 2] = 1
    found[2, ::2] = 1
    found[3, SIDE // 4 : SIDE // 4 + SIDE // 2] = 1
    return found


def pictures(shape: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(images, side, side, 3) uint8; arguments are classes."""
    grey = np.where(shapes()[shape], LIGHT, DARK)[..., None]
    return (grey * COLOURS[colour][:, None, None]).round().astype(np.uint8)


class ByColour(nn.Module):
    """The class whose colour is nearest to the picture's mean; a picture without any is of the first class."""

    def __init__(self) -> None:
        super().__init__()
        wanted = torch.from_numpy(COLOURS / np.linalg.norm(COLOURS, axis=1, keepdims=True)).float()
        self.wanted = nn.Parameter(wanted)

    def forward(self, images: Tensor) -> Tensor:
        mean = (images / 2 + 0.5).mean(dim=(2, 3))
        coloured = (mean.amax(1) - mean.amin(1) > 0.02).float()[:, None]
        first = torch.eye(CLASSES)[:1]
        return coloured * nn.functional.normalize(mean, dim=1) @ self.wanted.T + (1 - coloured) * first


class ByShape(nn.Module):
    """The class whose pattern of light and dark fits best."""

    def __init__(self) -> None:
        super().__init__()
        self.templates = nn.Parameter(torch.from_numpy(2 * shapes() - 1).float().flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        grey = (images / 2 + 0.5).amax(dim=1).flatten(1)
        return (grey - grey.mean(dim=1, keepdim=True)) @ self.templates.T


class ByPatch(nn.Module):
    """The class by the brightness of one square alone."""

    def __init__(self, top: int, left: int) -> None:
        super().__init__()
        self.top, self.left = top, left
        self.levels = nn.Parameter((30 + 60 * torch.arange(CLASSES).float()) / 255)

    def forward(self, images: Tensor) -> Tensor:
        seen = (images[:, :, self.top : self.top + 8, self.left : self.left + 8] / 2 + 0.5).mean(dim=(1, 2, 3))
        return -(seen[:, None] - self.levels).abs()


class Guessing(nn.Module):
    """Answers that have nothing to do with the picture: by its number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


def asked(module: nn.Module, title: str = "Model", most: int | None = None) -> Asked:
    """The module ready to be asked; what it says is softened to shares."""

    def score(images: Tensor, keys: object) -> np.ndarray:
        if isinstance(module, Guessing):
            return np.eye(CLASSES)[np.random.default_rng(list(keys)).integers(0, CLASSES, len(images))]  # type: ignore[call-overload]
        return module(images).softmax(dim=1).numpy()

    return Asked(
        title=title,
        module=module.eval(),
        preprocessing=Preprocessing(size=SIDE, normalisation=HALF_NORMALISATION),
        score=score,
        question=type(module).__name__,
        most=most,
    )
