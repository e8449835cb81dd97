"""What a classifier says, best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.device import as_input_of, inference
from core.finite import require_finite

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One class and its probability in [0, 1]."""

    label: str
    class_index: int
    probability: float


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, in float64.

    Raises:
        NotFiniteError: a logit is not a number.
    """
    require_finite("The logits", logits)
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.exp(shifted) / np.exp(shifted).sum(axis=-1, keepdims=True)


def class_name(classes: Sequence[str], index: int) -> str:
    """The name of a class, or its number where the model does not name it."""
    return classes[index] if index < len(classes) else f"class {index}"


def top_predictions(logits: np.ndarray, classes: tuple[str, ...], count: int = 5) -> list[Prediction]:
    """The `count` likeliest classes of (classes,) logits."""
    probabilities = softmax(logits)
    best = np.argsort(-probabilities, kind="stable")[:count]
    return [
        Prediction(
            label=class_name(classes, int(index)),
            class_index=int(index),
            probability=float(probabilities[index]),
        )
        for index in best
    ]


@inference
def predict_logits(module: nn.Module, images: Tensor) -> np.ndarray:
    """(batch, classes) float32.

    Raises:
        NotFiniteError: the network gives values that are not numbers.
    """
    logits = module(as_input_of(module, images)).float().cpu().numpy()
    require_finite("The logits", logits)
    return logits
