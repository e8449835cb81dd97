"""What a network is trained for: the loss of a batch, and how the trained network classifies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from core.training.batches import Batch


class Objective(Protocol):
    """What `core.training.loop.Fit` asks.

    Attributes:
        has_hits: whether `losses` can say what was right.
    """

    @property
    def has_hits(self) -> bool: ...

    @property
    def groups(self) -> Tensor | None:
        """(classes,): which classes compete in validation, those of one group; None: all of them."""

    def losses(
        self, network: Callable[..., Any], images: Tensor, batch: Batch, seed: int
    ) -> tuple[Tensor, Tensor | None]:
        """Loss and whether it was right, for each image of a batch.

        Args:
            network: computes in the training's precision; what it returns may be bf16.
            images: (share, channels, height, width), normalised; `batch` has what else there is to know.
            seed: of this place in the training, for whatever is drawn.

        Returns:
            (share,) losses, in nats where it is a classifier, and (share,) bool hits, or None without `has_hits`.
        """

    def classifier(self, model: nn.Module) -> nn.Module:
        """`model` as images → logits (images, classes)."""


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Cross-entropy of a network that returns logits."""

    label_smoothing: float = 0.0
    groups: None = None
    has_hits: bool = True

    def losses(self, network: Callable[..., Any], images: Tensor, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
        logits = network(images).float()
        losses = F.cross_entropy(logits, batch.targets, label_smoothing=self.label_smoothing, reduction="none")
        return losses, logits.argmax(dim=1) == batch.labels

    def classifier(self, model: nn.Module) -> nn.Module:
        return model
