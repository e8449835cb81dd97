"""The augmented batches of an epoch: the same whenever, and from whichever batch on, they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.data.arrays import ArrayDataset
from core.device import send
from core.seeding import stream, stream_seed, torch_generator
from core.training.augment import REGIMES, Regime, augment, mix

# A data set stays on a GPU if it takes at most this share of the memory that is free there.
_SHARE_OF_GPU = 0.4
# Operations of a policy are computed for many images at once: 128 at a time took twice as long as 1024 (one core).
_AHEAD_IMAGES, _AHEAD_BYTES = 1024, 16 << 20


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One process's share of one batch.

    Attributes:
        images: (share, channels, height, width) float in [0, 1], on the device.
        targets: (share,) int64 classes, or (share, classes) float whose rows sum to 1 where images were mixed.
        count: images of the whole batch, over all processes.
        weight: 1, or 0 where the batch has fewer images than there are processes and this one repeats another's.
    """

    images: Tensor
    targets: Tensor
    count: int
    weight: int = 1

    @property
    def labels(self) -> Tensor:
        """(share,) int64: the class, or the one with the larger share of a mixed image."""
        return self.targets if self.targets.ndim == 1 else self.targets.argmax(dim=1)


class Batches:
    """All images of a split in a new order every epoch, augmented on the device where they are used.

    What is drawn depends on `seed`, the epoch and the place in it (and on the process's rank), never on what was drawn
    before: a run that resumes in the middle of an epoch goes on with the same batches.
    """

    def __init__(
        self,
        data: ArrayDataset,
        *,
        batch_size: int,
        regime: Regime,
        seed: int,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.data, self.batch_size, self.regime, self.seed = data, batch_size, regime, seed
        self.device, self.rank, self.world_size = device, rank, world_size
        self._on_device = _place(data.images, device)
        # With one batch ahead, chunks are batches.
        images = min(_AHEAD_IMAGES, _AHEAD_BYTES // math.prod(data.images.shape[1:]))
        self._ahead = max(1, images // batch_size) if REGIMES[regime].policy != "none" else 1

    def __len__(self) -> int:
        return math.ceil(len(self.data) / self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` (from 0) from number `start` (from 0) on."""
        order = stream("order of images", self.seed, epoch).permutation(len(self.data))
        for first in range(start - start % self._ahead, len(self), self._ahead):
            places = range(first, min(first + self._ahead, len(self)))
            for place, batch in zip(places, self._chunk(epoch, order, places), strict=True):
                if place >= start:
                    yield batch

    def _chunk(self, epoch: int, order: np.ndarray, places: range) -> Iterator[Batch]:
        """Consecutive batches, augmented together."""
        generator = torch_generator(stream_seed("augmentation", self.seed, epoch, places.start, self.rank))
        whole = [order[place * self.batch_size : (place + 1) * self.batch_size] for place in places]
        shares = [rows[self.rank :: self.world_size] for rows in whole]
        kept = [share if len(share) else rows[:1] for share, rows in zip(shares, whole, strict=True)]
        sizes = [len(rows) for rows in kept]
        images = augment(self._take(np.concatenate(kept)), self.regime, generator).split(sizes)
        labels = send(torch.from_numpy(self.data.labels[np.concatenate(kept)]), self.device).split(sizes)
        for place, rows in enumerate(whole):
            pixels, targets = images[place].float().div_(255), labels[place]
            if REGIMES[self.regime].mix:
                pixels, targets = mix(pixels, F.one_hot(targets, len(self.data.classes)).float(), generator)
            yield Batch(images=pixels, targets=targets, count=len(rows), weight=int(len(shares[place]) > 0))

    def _take(self, rows: np.ndarray) -> Tensor:
        """(rows, channels, height, width) uint8 on the device."""
        if self._on_device is None:
            taken = send(torch.from_numpy(self.data.images[rows]), self.device)
        else:
            taken = self._on_device[send(torch.from_numpy(rows), self.device)]
        return taken.permute(0, 3, 1, 2).contiguous()


def _place(images: np.ndarray, device: torch.device) -> Tensor | None:
    """All images on a GPU that has room for them, else None: then they are read batch by batch."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    if math.prod(images.shape) > _SHARE_OF_GPU * free:
        return None
    return torch.from_numpy(np.array(images[:])).to(device)
