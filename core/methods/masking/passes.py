"""How masked images are put to a model: in which batches, in turn with others, and each but once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# What a model says under one mask: confidence, likeliest class and its probability; None when the target is no class.
Answer = tuple[float, int | None, float | None]
# On a CPU a batch larger than its caches costs more and says nothing meanwhile: EfficientNet-Lite0 at 224 pixels took
# 24 ms of processor time an image in batches of 2 or 4, 39 of 8 and 68 of 32; a ViT of 32 pixels 5 in any.
_ON_CPU, _ELSEWHERE = 4, 32


@dataclass(frozen=True, kw_only=True)
class Passes:
    """How masked images are put to a model.

    Attributes:
        batch_size: None for what suits the device.
        known: answers by mask (the bytes of its bools), which are not asked for again; new ones are added after every
            batch, so that work that is stopped is not lost. Of one image, target and filling.
        turn: entered around every batch, where others want the model between two of them.
    """

    batch_size: int | None = None
    known: dict[bytes, Answer] | None = None
    turn: Callable[[], AbstractContextManager[object]] = nullcontext

    def size_on(self, device: torch.device) -> int:
        """Masks in a batch on `device`."""
        return self.batch_size or (_ON_CPU if device.type == "cpu" else _ELSEWHERE)


PLAIN = Passes()
