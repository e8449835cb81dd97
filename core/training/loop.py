"""The training loop as a generator: it yields what it did after every step and never prints, draws or asks.

Whoever consumes it writes the metrics, shows the curve or decides to stop (by simply not asking for more).
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from core.data.arrays import ArrayDataset
from core.data.transforms import Normalisation
from core.device import autocast
from core.errors import CoreError, RunFailedError
from core.precision_choice import choose_precision
from core.reports import Progress
from core.seeding import seed_device, stream_seed
from core.training.batches import Batch, Batches
from core.training.config import TrainingConfig
from core.training.distributed import find_device, gather, rank, share_gradients, start, sum_up, world_size
from core.training.evaluate import Predictions, join, predict
from core.training.measured import Measured, column_sums, named
from core.training.objectives import Classification, Objective
from core.training.optim import build_optimizer, schedule, trainable_parameters


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """One line of a run's history; accuracies in [0, 1], losses in nats per image.

    Training numbers are of augmented images, under the weights as they were at each step. Where images are mixed,
    `train_accuracy` counts the class with the larger share, and does not compare with that of unmixed images; None
    where the objective has no right or wrong. Validation numbers are of the averaged weights, on `val_count` images.
    What else an objective measures is in `extras`, by names that begin with train or val; a line of metrics has them
    beside the others.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    train_loss: float
    train_accuracy: float | None
    val_loss: float
    val_accuracy: float | None
    val_count: int
    learning_rate: float
    images_per_second: float
    extras: dict[str, float] = field(default_factory=dict)


# Steps that a GPU may be ahead of the look at its losses: looking after each kept it idle while the next was prepared.
_UNSEEN_LOSSES = 16


class Fit:
    """The state of one training, which can be saved at any yield and continued as if it had never stopped.

    Nothing that is drawn depends on what was drawn before: order, augmentation and stochastic depth follow from the
    seed and the place in the training alone, so that no state of a random generator has to be kept.

    Attributes:
        precision: of matrix products; what "auto" in the config came to.
        average: the exponential moving average of the weights, which is evaluated and kept; once `run` is through with
            `patience` set, that of the best validation epoch.
        predictions: of the last validation, in the order of the split; None before the first, and for an objective
            without classes.
    """

    def __init__(
        self,
        model: nn.Module,
        train: ArrayDataset,
        val: ArrayDataset,
        normalisation: Normalisation,
        config: TrainingConfig,
        device: str = "auto",
        *,
        rate_shares: Mapping[str, float] | None = None,
        objective: Objective | Measured | None = None,
    ) -> None:
        """`model` is moved to `device` ("auto", "cpu", "cuda", "cuda:1") and trained in place.

        Args:
            rate_shares: factors of the learning rate by name of the parameter; 1 where none is given.
            objective: what it is trained for; by default to classify, with the label smoothing of `config`.

        Raises:
            ConfigError: the device or the optimizer does not suit.
        """
        precision = choose_precision(config.precision, find_device(device)).precision
        config = replace(config, precision=precision)
        self.precision = precision
        self.accelerator, self.device = start(device, precision)
        self.model = model.to(self.device)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.train_set, self.val_set = train, val
        self.normalisation, self.config = normalisation, config
        self.objective = objective or Classification(label_smoothing=config.label_smoothing)
        optimizer = build_optimizer(
            self.model, config.optimizer, config.learning_rate, config.weight_decay, rate_shares, self.precision
        )
        self.optimizer = self.accelerator.prepare_optimizer(optimizer, device_placement=False)
        # Without a scaler of gradients Accelerate's wrapper adds nothing to a step but a search of the disk for a
        # package, twice: 3 % of the step of a small network.
        self._stepping: Any = self.optimizer if self.accelerator.scaler else optimizer
        # Listed once: to walk through the modules takes longer than to average their weights.
        self._trained = list(trainable_parameters(self.model))
        pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
        self._averaged = [kept for kept, each in pairs if each.requires_grad], self._trained
        self._buffers = list(zip(self.average.buffers(), self.model.buffers(), strict=True))
        self.batches = Batches(
            train,
            batch_size=config.batch_size,
            regime=config.augmentation,
            seed=config.seed,
            device=self.device,
            rank=rank(),
            world_size=world_size(),
        )
        self._as_they_are = not any(normalisation.mean) and all(each == 1 for each in normalisation.std)
        # Made once: a step that copies constants to a GPU waits for it.
        self._mean, self._std = (
            torch.tensor(each, device=self.device)[:, None, None] for each in (normalisation.mean, normalisation.std)
        )
        self.epoch = self.batch = 0
        self.predictions: Predictions | None = None
        self._held_out = np.zeros(0)
        self._totals = self._zeros()
        self._seconds = 0.0
        self._best: dict[str, Any] | None = None
        self._eager = share_gradients(self.accelerator, self.model)
        self._forward = torch.compile(self._eager) if config.compile else self._eager
        self._warning = ""
        self._unchecked: deque[tuple[int, Tensor]] = deque()
        self._looked_at: list[float] = []

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one epoch."""
        return len(self.batches)

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self.epoch * self.steps_per_epoch + self.batch

    @property
    def steps(self) -> int:
        """Optimizer steps in all, if nothing stops early."""
        return self.config.epochs * self.steps_per_epoch

    @property
    def is_done(self) -> bool:
        """Whether no epoch is left, or patience is at its end."""
        patience, best = self.config.patience, self._best
        is_stuck = patience is not None and best is not None and self.epoch - best["epoch"] >= patience
        return self.epoch >= self.config.epochs or is_stuck

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on; tensors and plain values only.

        Raises:
            RunFailedError: the weights are no longer worth keeping.
        """
        self._check_losses(most=0)
        scaler = self.accelerator.scaler
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler else None,
            "epoch": self.epoch,
            "batch": self.batch,
            "totals": self._totals,
            "seconds": self._seconds,
            "best": self._best,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.epoch, self.batch = state["epoch"], state["batch"]
        self._totals = state["totals"].to(self.device, copy=True)
        self._seconds, self._best = state["seconds"], state["best"]
        if self._best is not None and "accuracy" in self._best:  # as it was called in older checkpoints
            self._best["score"] = self._best.pop("accuracy")

    def run(self) -> Iterator[Progress | EpochReport]:
        """Train what is left: `Progress` after every step and validation batch, `EpochReport` after every epoch.

        Raises:
            RunFailedError: the loss is no longer a number, or the GPU's memory is full.
        """
        try:
            while not self.is_done:
                yield from self._train_epoch()
                yield from self._validate()
                yield self._close_epoch()
        except torch.OutOfMemoryError as error:
            raise RunFailedError(
                f"{self.device} ran out of memory at step {self.step}, in batches of {self.config.batch_size} images.",
                "Choose a smaller batch size or a smaller model.",
            ) from error
        if self._best is not None:
            self.average.load_state_dict(self._best["average"])

    def _train_epoch(self) -> Iterator[Progress]:
        self.model.train()
        batches = self.batches.epoch(self.epoch, self.batch)
        while self.batch < self.steps_per_epoch:
            started = time.perf_counter()
            self._step(next(batches))
            self._check_losses(most=0 if self.batch + 1 == self.steps_per_epoch else _UNSEEN_LOSSES)
            self._seconds += time.perf_counter() - started
            self.batch += 1
            yield self._progress(f"epoch {self.epoch + 1} of {self.config.epochs}")

    def _step(self, batch: Batch) -> None:
        config = self.config
        rate = config.learning_rate * schedule(self.step, self.steps, config.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        self._backward(batch)
        self.accelerator.unscale_gradients()
        nn.utils.clip_grad_norm_(self._trained, config.gradient_clip)
        self._stepping.step()
        self._stepping.zero_grad()
        self._update_average()

    def _backward(self, batch: Batch) -> None:
        """Gradients of the mean loss over the whole batch; falls back from a compiled network to a plain one."""
        try:
            self._forward_and_backward(batch)
        except (CoreError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            if self._forward is self._eager:
                raise
            # Compilers fail in too many ways to name; without one the same step either works or shows a real fault.
            self._forward = self._eager
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            self._warning = f"; not compiled: {reason[:160]}"
            self.optimizer.zero_grad()
            self._forward_and_backward(batch)

    def _forward_and_backward(self, batch: Batch) -> None:
        devices = [self.device] if self.device.type == "cuda" else []
        # The odd batch at the end of an epoch is not worth compiling for a second shape.
        forward = self._forward if batch.count == self.config.batch_size else self._eager
        seed = stream_seed("step", self.config.seed, self.epoch, self.batch, rank())

        def network(*inputs: Tensor) -> Any:
            with autocast(self.device, self.precision):
                return forward(*inputs)

        # Stochastic depth and dropout draw from the global generator: theirs for this step, then the caller's again.
        with torch.random.fork_rng(devices=devices):
            seed_device(seed, self.device)
            images = batch.images if self._as_they_are else (batch.images - self._mean) / self._std
            if isinstance(self.objective, Measured):
                losses, columns = self.objective.losses(network, images, batch, seed, self._epochs_done())
                counted = columns.sum(dim=0) * batch.weight
            else:
                losses, hits = self.objective.losses(network, images, batch, seed)
                counted = hits.sum()[None] * batch.weight if hits is not None else torch.zeros_like(losses[:1])
        share = losses.sum() * batch.weight / batch.count
        kind = self._totals.dtype
        done = sum_up(torch.cat([(share.detach() * batch.count)[None].to(kind), counted.detach().to(kind)]))
        self._unchecked.append((self.step, done[0] / batch.count))
        if self.device.type == "cpu":
            self._check_losses(most=0)
        # Gradients are averaged over processes, and shares are to be summed.
        self.accelerator.backward(share * world_size())
        self._totals += done

    def _check_losses(self, most: int) -> None:
        """Fail on a loss that is no number, once more than `most` are unseen: to look is to wait for the GPU."""
        if len(self._unchecked) <= most:
            return
        steps, losses = zip(*self._unchecked, strict=True)
        self._unchecked.clear()
        for step, loss in zip(steps, torch.stack(losses).tolist(), strict=True):
            if not math.isfinite(loss):
                raise RunFailedError(
                    f"The loss became {loss} at step {step}.", "Lower the learning rate or train in fp32."
                )
            self._looked_at.append(loss)

    @torch.no_grad()
    def _update_average(self) -> None:
        # A short memory at first: otherwise the average remembers its random start for the first epoch.
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        get_ema_multi_avg_fn(decay)(*self._averaged, 0)
        for kept_buffer, buffer in self._buffers:
            kept_buffer.copy_(buffer)

    def _validate(self) -> Iterator[Progress]:
        """Fill `predictions` (or, without classes, `_held_out`); every process takes its share of the split."""
        shares = [np.arange(len(self.val_set))[each :: world_size()] for each in range(world_size())]
        size = self.config.batch_size
        # Shares differ by an image, yields must not: whoever consumes this may have to agree at each of them.
        rounds = math.ceil(len(shares[0]) / size)
        if isinstance(self.objective, Measured):
            sums = column_sums(
                self.objective, self.average, self.val_set, self.normalisation, shares[rank()], batch_size=size
            )
            total = torch.zeros(self.objective.columns, dtype=torch.float64)
            for done in range(1, rounds + 1):
                total += next(sums, 0)
                yield self._progress(f"validating, batch {done} of {rounds}")
            whole = cast(list[Tensor], gather(total))
            self._held_out = (torch.stack(whole).sum(dim=0) / len(self.val_set)).numpy()
            return
        predictions = predict(
            self.objective.classifier(self.average),
            self.val_set,
            self.normalisation,
            shares[rank()],
            batch_size=size,
            groups=self.objective.groups,
        )
        parts: list[Predictions] = []
        for done in range(1, rounds + 1):
            parts.extend(itertools.islice(predictions, 1))
            yield self._progress(f"validating, batch {done} of {rounds}")
        gathered = cast(list[list[Predictions]], gather(parts))
        self.predictions = join([part for each in gathered for part in each], np.concatenate(shares))

    def _close_epoch(self) -> EpochReport:
        """Count the epoch, remember the best, start new totals."""
        held_out, score = self._findings()
        first = self.optimizer.param_groups[0]
        report = EpochReport(
            epoch=self.epoch + 1,
            epochs=self.config.epochs,
            step=self.step,
            steps=self.steps,
            train_loss=self._totals[0].item() / len(self.train_set),
            **held_out,
            val_count=len(self.val_set),
            learning_rate=first["lr"] / first.get("share", 1.0),
            images_per_second=len(self.train_set) / self._seconds,
        )
        self.epoch, self.batch = self.epoch + 1, 0
        self._totals, self._seconds = self._zeros(), 0.0
        best = self._best
        if self.config.patience is not None and score is not None and (best is None or score > best["score"]):
            weights = {name: tensor.clone() for name, tensor in self.average.state_dict().items()}
            self._best = {"epoch": self.epoch, "score": score, "average": weights}
        return report

    def _findings(self) -> tuple[dict[str, Any], float | None]:
        """What the objective says of the epoch, as fields of its report; and the score that patience waits for."""
        counted = self._totals[1:].cpu().double().numpy() / len(self.train_set)
        if not isinstance(self.objective, Measured):
            found = cast(Predictions, self.predictions).evaluation()
            right = float(counted[0]) if self.objective.has_hits else None
            return {"train_accuracy": right, "val_loss": found.loss, "val_accuracy": found.accuracy}, found.accuracy
        last = self._epochs_done(-1)
        train = self.objective.summarise(counted, last, held_out=False)
        val = self.objective.summarise(self._held_out, last, held_out=True)
        extras = {
            **self.objective.settings(last),
            **named("train", train.extras),
            **named("val", val.extras),
        }
        return {"train_accuracy": None, "val_loss": val.loss, "val_accuracy": None, "extras": extras}, val.score

    def _epochs_done(self, ahead: int = 0) -> float:
        """Epochs behind the step that is next, or `ahead` of it; the same when a run is resumed."""
        return (self.step + ahead) / self.steps_per_epoch

    def _progress(self, text: str) -> Progress:
        losses, self._looked_at = self._looked_at, []
        loss = sum(losses) / len(losses) if losses else None
        return Progress(step=self.step, steps=self.steps, text=text + self._warning, loss=loss)

    def _zeros(self) -> Tensor:
        """Sums over an epoch's images so far: the loss, then hits or the objective's columns."""
        count = 1 + (self.objective.columns if isinstance(self.objective, Measured) else 1)
        # Apple's GPUs have no float64.
        return torch.zeros(
            count, dtype=torch.float32 if self.device.type == "mps" else torch.float64, device=self.device
        )
