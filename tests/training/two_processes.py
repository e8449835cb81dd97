"""What each process of `test_distributed.py` does; also run alone, for the numbers that those are compared with.

python -m torch.distributed.run --standalone --nproc-per-node=2 -m tests.training.two_processes DIR
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from core.data.arrays import ArrayDataset
from core.data.transforms import HALF_NORMALISATION
from core.models.vit import ViT, ViTConfig
from core.training.config import TrainingConfig
from core.training.distributed import rank
from core.training.loop import EpochReport, Fit

MODEL = ViTConfig(image_size=8, patch_size=4, embed_dim=16, depth=2, num_heads=2, classes=3)
TRAINING = TrainingConfig(
    epochs=2, batch_size=16, precision="fp32", augmentation="none", learning_rate=3e-3, ema_decay=0.9
)


class Double(nn.Module):
    """In fp64: Adam turns the rounding of gradients that should be zero into steps, which would hide a wrong scale."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.vit = ViT(MODEL).double()

    def forward(self, images: Tensor) -> Tensor:
        return self.vit(images.double())


def build() -> Fit:
    """49 images in batches of 16: the last batch is one image, so one process has none of it."""
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (66, 8, 8, 3), dtype=np.uint8), random.integers(0, 3, 66)
    data = ArrayDataset(name="noise", split="train", images=images, labels=labels, classes=("a", "b", "c"))
    return Fit(
        Double(), data.subset(np.arange(49), "train"), data.subset(np.arange(49, 66), "val"),
        HALF_NORMALISATION, TRAINING, device="cpu",
    )  # fmt: skip


def main(folder: Path) -> None:
    """Train once through and once with a break, and leave behind what this process saw."""
    torch.set_num_threads(1)
    whole, norms = build(), []
    clip = nn.utils.clip_grad_norm_
    # Adam hides a gradient that is twice as large; its norm does not.
    with patch.object(nn.utils, "clip_grad_norm_", lambda *arguments: norms.append(float(clip(*arguments)))):
        yields = list(whole.run())

    first = build()
    for _ in itertools.islice(first.run(), 3):
        pass
    if rank() == 0:
        torch.save(first.state(), folder / "checkpoint.pt")
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    second = build()
    second.load_state(torch.load(folder / "checkpoint.pt", weights_only=True))
    resumed = list(second.run())

    def numbers(reports: list[object]) -> list[dict[str, float]]:
        epochs = [report for report in reports if isinstance(report, EpochReport)]
        return [{**dataclasses.asdict(report), "images_per_second": 0} for report in epochs]

    seen = {
        "steps": [report.step for report in yields],
        "norms": norms,
        "reports": numbers(yields),
        "resumed": numbers(resumed),
        "weights": whole.model.state_dict(),
        "average": whole.average.state_dict(),
        "resumed_weights": second.model.state_dict(),
    }
    torch.save(seen, folder / f"rank{rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
