"""The training loop as a generator: it yields a report after every epoch and never prints, draws or asks.

Whoever consumes it writes the metrics, shows the curve or decides to stop (by simply not asking for more).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from core.data.arrays import ArrayDataset
from core.data.transforms import Normalisation, standardise
from core.device import autocast, pick_device
from core.errors import RunFailedError
from core.seeding import torch_generator
from core.training.augment import augment
from core.training.config import TrainingConfig
from core.training.evaluate import evaluate


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """One line of a run's history; accuracies in [0, 1], losses in nats per image."""

    epoch: int
    epochs: int
    step: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    images_per_second: float


class Fit:
    """The state of one training, which can be saved after any epoch and continued as if it had never stopped."""

    def __init__(
        self,
        model: nn.Module,
        train: ArrayDataset,
        val: ArrayDataset,
        normalisation: Normalisation,
        config: TrainingConfig,
        device: str = "auto",
    ) -> None:
        self.device = pick_device(device)
        self.model = model.to(self.device)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.train_set, self.val_set = train, val
        self.normalisation, self.config = normalisation, config
        self.optimizer = torch.optim.AdamW(_decay_groups(self.model, config.weight_decay), lr=config.learning_rate)
        self.steps_per_epoch = math.ceil(len(train) / config.batch_size)
        self.epoch = 0
        self._forward = torch.compile(self.model) if config.compile else self.model

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on; tensors and plain values only."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]

    def run(self) -> Iterator[EpochReport]:
        """Train the epochs that are left, yielding after each; `average` holds the weights to keep.

        Raises:
            RunFailedError: the loss is no longer a number.
        """
        while self.epoch < self.config.epochs:
            started = time.perf_counter()
            loss, accuracy = self._train_epoch()
            elapsed = time.perf_counter() - started
            self.epoch += 1
            held_out = evaluate(self.average, self.val_set, self.normalisation)
            yield EpochReport(
                epoch=self.epoch,
                epochs=self.config.epochs,
                step=self.epoch * self.steps_per_epoch,
                train_loss=loss,
                train_accuracy=accuracy,
                val_loss=held_out.loss,
                val_accuracy=held_out.accuracy,
                learning_rate=self.optimizer.param_groups[0]["lr"],
                images_per_second=len(self.train_set) / elapsed,
            )

    def _train_epoch(self) -> tuple[float, float]:
        """Mean loss and accuracy over the augmented training images."""
        # Order and augmentation depend on seed and epoch alone, so a resumed run sees the same batches.
        seed = self.config.seed * 100_003 + self.epoch
        torch.manual_seed(seed)  # stochastic depth draws from the global generator
        generator = torch_generator(seed, self.device)
        order = np.random.default_rng(seed).permutation(len(self.train_set))
        self.model.train()
        total_loss, correct = 0.0, 0
        for batch in range(self.steps_per_epoch):
            chosen = order[batch * self.config.batch_size : (batch + 1) * self.config.batch_size]
            loss, hits = self._step(chosen, generator, self.epoch * self.steps_per_epoch + batch)
            total_loss += loss * len(chosen)
            correct += hits
        return total_loss / len(self.train_set), correct / len(self.train_set)

    def _step(self, chosen: np.ndarray, generator: torch.Generator, step: int) -> tuple[float, int]:
        config = self.config
        images = torch.from_numpy(self.train_set.images[chosen]).to(self.device).permute(0, 3, 1, 2).float() / 255
        labels = torch.from_numpy(self.train_set.labels[chosen]).to(self.device)
        images = standardise(augment(images, config.augmentation, generator), self.normalisation)
        rate = config.learning_rate * schedule(step, self.steps_per_epoch * config.epochs, config.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with autocast(self.device, config.precision):
            logits = self._forward(images).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
        if not torch.isfinite(loss):
            raise RunFailedError(
                f"The loss became {loss.item()} at step {step}.", "Lower the learning rate or train in fp32."
            )
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), config.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._update_average(step)
        return loss.item(), int((logits.argmax(dim=1) == labels).sum())

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        # A short memory at first: otherwise the average remembers its random start for the first epoch.
        decay = min(self.config.ema_decay, (1 + step) / (10 + step))
        for kept, current in zip(self.average.parameters(), self.model.parameters(), strict=True):
            kept.lerp_(current, 1 - decay)
        for kept_buffer, buffer in zip(self.average.buffers(), self.model.buffers(), strict=True):
            kept_buffer.copy_(buffer)


def schedule(step: int, steps: int, warmup_share: float) -> float:
    """The learning rate's share of its peak at `step`: linear warm-up, then half a cosine down to 0."""
    warmup = max(1, round(steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Vectors (norms, biases) are not decayed; all else is, the class token and position table among it."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
