"""Training images a second: the recipe's loop against the bare step, and against a plain torchvision pipeline.

python -m benchmarks.training [--quick] [--regime randaugment] [--batch 128] [--steps 20] [--repeats 5] [--workers 2]
python -m benchmarks.training --precision auto [--probe-says fp32]

Six things are timed on the same images of random pixels (what they show costs nothing), in one process, in turns:

- bare: forward, backward, clip and optimizer step of the same model on one batch that is ready on the device;
- bare_fp32: the same in fp32, whatever the precision: what "auto" must not be slower than;
- recipe: `core.training.loop.Fit` as a run uses it, augmentation, average of the weights and reports included;
- recipe_data: its augmented batches alone;
- plain_data: torchvision's v2 transforms image by image in a DataLoader, the same augmentation, alone;
- plain: the bare step fed by that DataLoader.

A round times each once; ratios are medians over rounds of the ratio within a round, since a shared machine's speed
drifts. The aims are recipe ≥ 95 % of bare, with `--precision auto` ≥ 95 % of bare_fp32 on every machine, and on a CPU
≥ 2 times (on a GPU ≥ 5 times) plain, of the data alone where the network takes nearly all the time.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import asdict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks.report import machine, parse, write
from core.data.arrays import ArrayDataset
from core.data.transforms import CIFAR10_NORMALISATION, standardise
from core.device import Precision, autocast, pick_device
from core.models.vit import ViT, ViTConfig
from core.precision_choice import Chosen, choose_precision
from core.reports import Progress
from core.timing import seconds_of
from core.training.augment import REGIMES, Regime
from core.training.batches import Batches
from core.training.config import TrainingConfig
from core.training.loop import Fit
from core.training.optim import build_optimizer

LARGE = ViTConfig()
SMALL = ViTConfig(embed_dim=16, depth=1, num_heads=2)
PLAIN_REGIMES: tuple[Regime, ...] = ("none", "crop_flip", "randaugment", "autoaugment")
Pair = tuple[Tensor, Tensor]  # images and labels


class PlainDataset(Dataset[tuple[Tensor, int]]):
    """One image at a time through torchvision's transforms, as its own reference scripts do."""

    def __init__(self, data: ArrayDataset, regime: Regime) -> None:
        policies: dict[str, list[nn.Module]] = {
            "none": [],
            "randaugment": [v2.RandAugment()],
            "autoaugment": [v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)],
        }
        crop: list[nn.Module] = [v2.RandomCrop(32, padding=4)] if REGIMES[regime].crop else []
        flip: list[nn.Module] = [v2.RandomHorizontalFlip()] if REGIMES[regime].flip else []
        self.data = data
        self.transform = v2.Compose(
            [
                v2.ToImage(),
                *crop,
                *flip,
                *policies[REGIMES[regime].policy],
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(CIFAR10_NORMALISATION.mean, CIFAR10_NORMALISATION.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.data.images[index]), int(self.data.labels[index])


class BareStep:
    """Forward, backward, clip, step: what no loop can do without."""

    def __init__(self, shape: ViTConfig, device: torch.device, precision: Precision) -> None:
        torch.manual_seed(0)
        self.device, self.precision = device, precision
        self.model = ViT(shape).to(device).train()
        self.optimizer = build_optimizer(self.model, "adamw", 1e-3, 0.05)

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        with autocast(self.device, self.precision):
            logits = self.model(images).float()
        F.cross_entropy(logits, labels).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()


def forever(make: Callable[[int], Iterable[Pair]]) -> Generator[Pair, None, None]:
    """Whole batches of one epoch after the other."""
    for epoch in itertools.count():
        yield from make(epoch)


def images_per_second(work: Callable[[], object], steps: int, batch: int, device: torch.device) -> float:
    """Of `steps` calls, each of which is a batch; waits for the GPU at both ends."""
    return steps * batch / seconds_of(lambda: [work() for _ in range(steps)], device)


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/training.json`, or `training_quick.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regime", choices=PLAIN_REGIMES, default="randaugment")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20, help="batches per timing")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="processes of the plain DataLoader")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--probe-says", choices=["fp32", "bf16"], help="what auto finds, instead of measuring")
    parser.add_argument("--device", default="auto")
    arguments = parse(parser, words, steps=8, repeats=1, workers=0)
    where, shape = machine(), SMALL if arguments.quick else LARGE
    device, batch, regime = pick_device(arguments.device), arguments.batch, arguments.regime
    began = time.perf_counter()
    chosen = choose_precision(arguments.precision, device)
    probe_s = time.perf_counter() - began  # next to nothing where an earlier run has measured
    if arguments.precision == "auto" and arguments.probe_says:
        chosen = Chosen(precision=arguments.probe_says, reason="--probe-says")

    random = np.random.default_rng(0)
    count = 8 * 1024 // batch * batch  # every batch is whole
    data = ArrayDataset(
        name="noise",
        split="train",
        images=random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8),
        labels=random.integers(0, 10, count),
        classes=tuple("0123456789"),
    )

    bare, bare_fp32 = BareStep(shape, device, chosen.precision), BareStep(shape, device, "fp32")
    ready = torch.randn(batch, 3, 32, 32, device=device), torch.randint(0, 10, (batch,), device=device)

    torch.manual_seed(0)
    training = TrainingConfig(
        epochs=2000, batch_size=batch, augmentation=regime, precision=chosen.precision, weight_decay=0.05
    )
    # Validation belongs to an epoch, not to a step: next to nothing of it here.
    val = data.subset(np.arange(2), "val")
    fit = Fit(ViT(shape), data, val, CIFAR10_NORMALISATION, training, device=arguments.device)
    recipe = (report for report in fit.run() if isinstance(report, Progress) and report.text.startswith("epoch"))

    batches = Batches(data, batch_size=batch, regime=regime, seed=1, device=device)
    recipe_data = forever(
        lambda epoch: ((standardise(each.images, CIFAR10_NORMALISATION), each.labels) for each in batches.epoch(epoch))
    )
    loader = DataLoader(
        PlainDataset(data, regime),
        batch_size=batch,
        shuffle=True,
        num_workers=arguments.workers,
        pin_memory=device.type == "cuda",
    )
    fed = BareStep(shape, device, chosen.precision)

    # Augmented in chunks of 1024 images: only whole chunks are a rate.
    chunk = max(1, 1024 // batch)
    steps = math.ceil(arguments.steps / chunk) * chunk
    rates: dict[str, list[float]] = {
        name: [] for name in ("bare", "bare_fp32", "recipe", "recipe_data", "plain_data", "plain")
    }

    def measure(name: str, work: Callable[[], object]) -> None:
        rates[name].append(images_per_second(work, steps, batch, device))

    for _ in range(chunk):  # kernels are compiled, memory is allocated; the recipe is at the start of a chunk
        bare(*ready)
        bare_fp32(*ready)
        fed(*ready)
        next(recipe)
        next(recipe_data)
    for _ in range(arguments.repeats):
        measure("bare", lambda: bare(*ready))
        measure("bare_fp32", lambda: bare_fp32(*ready))
        measure("recipe", lambda: next(recipe))
        measure("recipe_data", lambda: next(recipe_data))
        # Workers live only here: filling their stock they would slow down the others.
        plain = forever(lambda _epoch: ((images.to(device), labels.to(device)) for images, labels in loader))
        next(plain)
        measure("plain_data", lambda plain=plain: next(plain))  # type: ignore[misc]
        measure("plain", lambda plain=plain: fed(*next(plain)))  # type: ignore[misc]
        plain.close()

    def ratio(first: str, second: str) -> float:
        return statistics.median(a / b for a, b in zip(rates[first], rates[second], strict=True))

    write(
        "training",
        {
            "quick": arguments.quick,
            "model": f"ViT {shape.embed_dim} wide, {shape.depth} deep, patch {shape.patch_size}, 32 px",
            "device": str(device),
            "regime": regime,
            "batch": batch,
            "precision": {"asked": arguments.precision, **asdict(chosen), "probe_seconds": probe_s},
            "workers": arguments.workers,
            "steps": steps,
            "repeats": arguments.repeats,
            "images_per_second": rates,
            "median_images_per_second": {name: statistics.median(values) for name, values in rates.items()},
            "recipe_over_bare": ratio("recipe", "bare"),
            "recipe_over_bare_fp32": ratio("recipe", "bare_fp32"),
            "recipe_over_plain": ratio("recipe", "plain"),
            "recipe_data_over_plain_data": ratio("recipe_data", "plain_data"),
            "machine": where,
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
