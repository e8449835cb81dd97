"""Accuracy with its interval, in eval mode and without gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from core.data.arrays import ArrayDataset
from core.data.transforms import Normalisation, normalise
from core.device import Precision, autocast


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Accuracy in [0, 1] over `count` images with a 95 % Wilson interval, and the mean cross-entropy in nats."""

    accuracy: float
    interval: tuple[float, float]
    loss: float
    count: int


def wilson_interval(correct: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The score interval of a proportion (Wilson 1927), sensible at 0 and 1 too."""
    if count == 0:
        return 0.0, 1.0
    share, spread = correct / count, z * z / count
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    # Rounding must not push the ends out of [0, 1].
    return max(0.0, centre - half), min(1.0, centre + half)


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    dataset: ArrayDataset,
    normalisation: Normalisation,
    *,
    batch_size: int = 256,
    precision: Precision = "fp32",
) -> Evaluation:
    """Top-1 accuracy and loss of `model` on every image of `dataset`, on the device the model is on."""
    device = next(model.parameters()).device
    model.eval()
    correct, loss = 0, 0.0
    for start in range(0, len(dataset), batch_size):
        images = torch.from_numpy(np.array(dataset.images[start : start + batch_size])).to(device)
        labels = torch.from_numpy(np.array(dataset.labels[start : start + batch_size])).to(device)
        with autocast(device, precision):
            logits = model(normalise(images, normalisation)).float()
        correct += int((logits.argmax(dim=1) == labels).sum())
        loss += float(F.cross_entropy(logits, labels, reduction="sum"))
    count = len(dataset)
    return Evaluation(
        accuracy=correct / count, interval=wilson_interval(correct, count), loss=loss / count, count=count
    )
