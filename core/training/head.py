"""A linear classifier trained on vectors that are already there: the same budget as a whole network, in seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import AdamW

from core.errors import RunFailedError
from core.reports import Progress
from core.seeding import stream
from core.training.config import TrainingConfig
from core.training.loop import EpochReport
from core.training.optim import schedule


def fit_head(
    head: nn.Linear,
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    config: TrainingConfig,
    *,
    rate_share: float = 1.0,
) -> Iterator[Progress | EpochReport]:
    """Train `head` in place with AdamW, `config`'s batches, epochs and schedule; vectors are not augmented.

    Args:
        train, val: vectors (images, dim) float32 and labels (images,).
        rate_share: factor of the learning rate.

    Raises:
        RunFailedError: the loss is no longer a number.
    """
    vectors, labels = torch.from_numpy(train[0]), torch.from_numpy(train[1])
    steps_per_epoch = math.ceil(len(labels) / config.batch_size)
    steps = steps_per_epoch * config.epochs
    groups = [{"params": [head.weight], "weight_decay": config.weight_decay}]
    groups += [{"params": [head.bias], "weight_decay": 0.0}] if head.bias is not None else []
    optimizer = AdamW(groups, lr=config.learning_rate)
    step = 0
    for epoch in range(config.epochs):
        started, total, correct = time.perf_counter(), 0.0, 0
        order = stream("order of vectors", config.seed, epoch).permutation(len(labels))
        for batch in range(steps_per_epoch):
            rows = torch.from_numpy(order[batch * config.batch_size : (batch + 1) * config.batch_size])
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * rate_share * schedule(step, steps, config.warmup_share)
            logits = head(vectors[rows])
            loss = F.cross_entropy(logits, labels[rows], label_smoothing=config.label_smoothing)
            if not torch.isfinite(loss):
                raise RunFailedError(f"The loss became {loss.item()} at step {step}.", "Lower the learning rate.")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            total += loss.item() * len(rows)
            correct += int((logits.argmax(dim=1) == labels[rows]).sum())
            yield Progress(step=step, steps=steps, text=f"epoch {epoch + 1} of {config.epochs}")
        with torch.no_grad():
            held_out, expected = head(torch.from_numpy(val[0])), torch.from_numpy(val[1])
        yield EpochReport(
            epoch=epoch + 1,
            epochs=config.epochs,
            step=step,
            steps=steps,
            train_loss=total / len(labels),
            train_accuracy=correct / len(labels),
            val_loss=float(F.cross_entropy(held_out, expected)),
            val_accuracy=float((held_out.argmax(dim=1) == expected).float().mean()),
            val_count=len(expected),
            learning_rate=optimizer.param_groups[0]["lr"] / rate_share,
            images_per_second=len(labels) / (time.perf_counter() - started),
        )
