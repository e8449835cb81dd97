"""Every family of ours can learn one batch by heart: the loop and the gradient of every layer have to be right."""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import pytest
import torch

from core.data.arrays import ArrayDataset
from core.data.transforms import HALF_NORMALISATION
from core.models.checkpoint import FAMILIES, build
from core.models.mixer import OperatorName
from core.training.config import TrainingConfig
from core.training.loop import EpochReport, Fit

# Sizes by the names that configs use; a new family takes those that it has.
TINY = {
    "image_size": 8, "channels": 3, "classes": 5, "patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 2,
    "width": 16, "stages": 2,
}  # fmt: skip

# A transferred network is described by its original.
TRANSFERRED = {
    "layout": "own",
    "architecture": {"family": "small_cnn", "config": {"image_size": 8, "width": 16, "stages": 2, "classes": 3}},
    "capabilities": ["classifier", "convolution"],
    "classes": 5,
    "image_size": 8,
}


# A mixer is as many networks as it has operators.
# A VAE has no classes to learn.
CASES = [(family, {}) for family in FAMILIES if family not in ("mixer", "vae")] + [
    ("mixer", {"operator": operator}) for operator in get_args(OperatorName)
]


@pytest.mark.parametrize(("family", "choice"), CASES, ids=[choice.get("operator", family) for family, choice in CASES])
def test_one_batch_is_learned_by_heart(family: str, choice: dict[str, str]) -> None:
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (10, 8, 8, 3), dtype=np.uint8), np.arange(10) % 5
    data = ArrayDataset(name="noise", split="train", images=images, labels=labels, classes=tuple("abcde"))
    names = {field.name for field in dataclasses.fields(FAMILIES[family].config)}
    torch.manual_seed(0)
    sizes = (
        TRANSFERRED if family == "transfer" else {name: size for name, size in TINY.items() if name in names} | choice
    )
    model = build(family, sizes)
    config = TrainingConfig(
        epochs=80, batch_size=10, learning_rate=1e-2, weight_decay=0, augmentation="none", precision="fp32", ema_decay=0
    )
    fit = Fit(model, data, data, HALF_NORMALISATION, config, device="cpu")
    reports = [report for report in fit.run() if isinstance(report, EpochReport)]
    assert reports[0].train_loss > 1
    assert reports[-1].train_loss < 0.01
    assert reports[-1].train_accuracy == reports[-1].val_accuracy == 1
