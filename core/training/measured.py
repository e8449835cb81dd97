"""Objectives without right and wrong: they say themselves what is to be reported of an epoch.

Where `core.training.objectives.Objective` classifies, these return columns of numbers for each image. The loop sums
them over an epoch's images, and the objective turns the means into the loss and the named quantities of a report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from core.data.arrays import ArrayDataset
from core.data.transforms import Normalisation, normalise
from core.seeding import stream_seed
from core.training.batches import Batch


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the images of an epoch come to.

    Attributes:
        loss: of the same kind as the losses of training.
        score: the higher the better, by which the best epoch is chosen; None while epochs cannot be compared yet.
        extras: further quantities by name.
    """

    loss: float
    score: float | None = None
    extras: dict[str, float] = field(default_factory=dict)


@runtime_checkable
class Measured(Protocol):
    """What `core.training.loop.Fit` asks of an objective without classes; `epoch` counts finished ones, in parts.

    Attributes:
        columns: how many numbers `losses` and `measure` return of each image.
    """

    columns: int

    def losses(
        self, network: Callable[..., Any], images: Tensor, batch: Batch, seed: int, epoch: float
    ) -> tuple[Tensor, Tensor]:
        """(share,) losses whose mean is minimised, and (share, columns) that need no gradient.

        `seed` is of this place in the training, for whatever is drawn.
        """

    def measure(self, model: nn.Module, images: Tensor, seed: int) -> Tensor:
        """(images, columns) of held-out images, normalised."""

    def summarise(self, means: np.ndarray, epoch: float, *, held_out: bool) -> Summary:
        """`means`: (columns,) float64, over the images that an epoch trained on, or over the held-out ones."""

    def settings(self, epoch: float) -> dict[str, float]:
        """What of the objective itself changes on the way, by name."""


@torch.inference_mode()
def column_sums(
    objective: Measured,
    model: nn.Module,
    dataset: ArrayDataset,
    normalisation: Normalisation,
    rows: np.ndarray,
    *,
    batch_size: int,
) -> Iterator[Tensor]:
    """The columns of the images `rows`, summed over each batch, (columns,) float64 on the CPU; in eval mode.

    What is drawn follows from the place in the split: every epoch is measured with the same noise.
    """
    device = next(model.parameters()).device
    model.eval()
    for start in range(0, len(rows), batch_size):
        pixels = torch.from_numpy(np.array(dataset.images[rows[start : start + batch_size]])).to(device)
        seed = stream_seed("validation latents", int(rows[start]))
        found = objective.measure(model, normalise(pixels, normalisation), seed)
        yield found.cpu().double().sum(dim=0)


def named(prefix: str, extras: dict[str, float]) -> dict[str, float]:
    """The quantities that are numbers, under names that say which images they are of."""
    return {f"{prefix}_{name}": value for name, value in extras.items() if math.isfinite(value)}
