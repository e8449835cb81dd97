"""Accuracy with its interval, in eval mode and without gradients."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from core.data.arrays import ArrayDataset
from core.data.transforms import Normalisation, normalise
from core.device import Precision, autocast
from core.intervals import wilson_interval
from core.reports import Progress


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Accuracy in [0, 1] over `count` images with a 95 % Wilson interval, and the mean cross-entropy in nats."""

    accuracy: float
    interval: tuple[float, float]
    loss: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a model said about every image of a split; all (images,), in the split's order.

    Attributes:
        labels: int64, the true classes.
        predicted: int64, the likeliest classes.
        confidence: float32, their probabilities.
        loss: float32, the cross-entropy of the true classes in nats.
    """

    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    loss: np.ndarray

    def evaluation(self) -> Evaluation:
        """The split as four numbers."""
        correct, count = int((self.labels == self.predicted).sum()), len(self.labels)
        return Evaluation(
            accuracy=correct / count,
            interval=wilson_interval(correct, count),
            loss=float(self.loss.sum(dtype=np.float64)) / count,
            count=count,
        )


def evaluate(
    model: nn.Module,
    dataset: ArrayDataset,
    normalisation: Normalisation,
    *,
    batch_size: int = 256,
    precision: Precision = "fp32",
) -> Evaluation:
    """Top-1 accuracy and loss of `model` on every image of `dataset`, on the device the model is on."""
    parts = predict(model, dataset, normalisation, np.arange(len(dataset)), batch_size=batch_size, precision=precision)
    return join(list(parts)).evaluation()


def evaluation(
    model: nn.Module, dataset: ArrayDataset, normalisation: Normalisation, *, batch_size: int = 256
) -> Generator[Progress, None, Evaluation]:
    """`evaluate`, which can be stopped: yields after every batch, and returns the result."""
    parts: list[Predictions] = []
    rows, done = np.arange(len(dataset)), 0
    for part in predict(model, dataset, normalisation, rows, batch_size=batch_size):
        parts.append(part)
        done += len(part.labels)
        text = f"{dataset.split}: {done:,} of {len(rows):,} images"
        yield Progress(step=done, steps=len(rows), text=text)
    return join(parts).evaluation()


@torch.inference_mode()
def predict(
    model: nn.Module,
    dataset: ArrayDataset,
    normalisation: Normalisation,
    rows: np.ndarray,
    *,
    batch_size: int = 256,
    precision: Precision = "fp32",
    groups: torch.Tensor | None = None,
) -> Iterator[Predictions]:
    """Predictions for the images `rows` of `dataset`, batch by batch; `model` is put into eval mode.

    Args:
        groups: (classes,): an image is classified among the classes of its true one's group only, as where several
            data sets are one; None: among all.
    """
    device = next(model.parameters()).device
    model.eval()
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        images = torch.from_numpy(np.array(dataset.images[chosen])).to(device)
        labels = torch.from_numpy(np.array(dataset.labels[chosen])).to(device)
        with autocast(device, precision):
            logits = model(normalise(images, normalisation)).float()
        if groups is not None:
            group = groups.to(device)
            logits = logits.masked_fill(group[labels][:, None] != group, -torch.inf)
        confidence, predicted = logits.softmax(dim=1).max(dim=1)
        loss = F.cross_entropy(logits, labels, reduction="none")
        yield Predictions(
            labels=labels.cpu().numpy(),
            predicted=predicted.cpu().numpy(),
            confidence=confidence.cpu().numpy(),
            loss=loss.cpu().numpy(),
        )


def join(parts: Sequence[Predictions], order: np.ndarray | None = None) -> Predictions:
    """`parts` one after another; item i then goes to place `order[i]`."""
    back = slice(None) if order is None else np.argsort(order)

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])[back]

    return Predictions(
        labels=joined("labels"),
        predicted=joined("predicted"),
        confidence=joined("confidence"),
        loss=joined("loss"),
    )
