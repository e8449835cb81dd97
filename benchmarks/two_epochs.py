"""Two epochs of a ViT as a run trains it, precision "auto", against a bare loop in fp32 over the same batches.

    python -m benchmarks.two_epochs [--images 3072] [--rounds 3]
    ONEDNN_MAX_CPU_ISA=AVX2 python -m benchmarks.two_epochs      as on a processor without bf16 instructions

The recipe crops and flips, averages its weights and reports; the bare loop does neither. The aim is a ratio of seconds
of at most 1.05 on every CPU.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.report import machine, parse, write
from core.data.arrays import ArrayDataset
from core.data.transforms import CIFAR10_NORMALISATION, standardise
from core.models.vit import ViT, ViTConfig
from core.precision_choice import choose_precision
from core.training.config import TrainingConfig
from core.training.loop import Fit
from core.training.optim import build_optimizer

EPOCHS, BATCH, RATE = 2, 128, 2e-3


def bare_seconds(data: ArrayDataset) -> float:
    """Forward, backward, clip and step in fp32, on batches in order, nothing else."""
    torch.manual_seed(0)
    model = ViT(ViTConfig()).train()
    optimizer = build_optimizer(model, "muon", RATE, 0.05)
    images, labels = torch.from_numpy(data.images).permute(0, 3, 1, 2), torch.from_numpy(data.labels)
    began = time.perf_counter()
    for _ in range(EPOCHS):
        for start in range(0, len(data), BATCH):
            batch = standardise(images[start : start + BATCH].float() / 255, CIFAR10_NORMALISATION)
            F.cross_entropy(model(batch), labels[start : start + BATCH]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    return time.perf_counter() - began


def recipe_seconds(data: ArrayDataset) -> float:
    """The same as a run does it; its validation has two images."""
    torch.manual_seed(0)
    config = TrainingConfig(epochs=EPOCHS, batch_size=BATCH, optimizer="muon", learning_rate=RATE)
    fit = Fit(ViT(ViTConfig()), data, data.subset(np.arange(2), "val"), CIFAR10_NORMALISATION, config, device="cpu")
    began = time.perf_counter()
    for _ in fit.run():
        pass
    return time.perf_counter() - began


def main(words: list[str] | None = None) -> None:
    """Measure in turns and write `results/two_epochs.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3072, help="a multiple of 128; pixels are random")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parse(parser, words, images=128, rounds=1)
    where, random = machine(), np.random.default_rng(0)
    data = ArrayDataset(
        name="noise",
        split="train",
        images=random.integers(0, 256, (arguments.images, 32, 32, 3), dtype=np.uint8),
        labels=random.integers(0, 10, arguments.images),
        classes=tuple("0123456789"),
    )
    chosen = choose_precision("auto", torch.device("cpu"))  # before the clock: once for a machine
    pairs = [(recipe_seconds(data), bare_seconds(data)) for _ in range(arguments.rounds)]
    write(
        "two_epochs",
        {
            "precision": chosen.precision,
            "reason": chosen.reason,
            "instruction set": os.environ.get("ONEDNN_MAX_CPU_ISA", "all"),
            "images": arguments.images,
            "epochs": EPOCHS,
            "recipe_s": [round(first, 2) for first, _ in pairs],
            "bare_fp32_s": [round(second, 2) for _, second in pairs],
            "recipe_over_bare_fp32": round(statistics.median(first / second for first, second in pairs), 3),
            "machine": where,
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
