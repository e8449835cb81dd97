"""A ViT or Differential ViT trained from scratch on small images.

python -m core train vit_scratch                                   192-wide, 6-deep, patch 4, 12 epochs
python -m core train vit_scratch --set family=differential_vit --set model.num_heads=3

On two CPU cores an epoch of CIFAR-10 takes about three minutes. The accuracy that the bundled weights reached is in
their cards (checkpoints/*/card.json).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from core.configs import check_options, option
from core.experiments.scratch import train_classifier
from core.models.vit import ViTConfig
from core.reports import Progress
from core.runs.store import RunFolder
from core.training.config import TrainingConfig
from core.training.loop import EpochReport


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which network, on which images, trained how."""

    family: Literal["vit", "differential_vit"] = option("vit", "Family")
    dataset: str = option("cifar10", "Data set", "An imported data set of small images.")
    model: ViTConfig = field(default_factory=ViTConfig)
    # The first of three epochs (batch 128, seed 0, crop_flip) ended at 55.2 % of the 5,000 validation images
    # with Muon at 2e-3, 50.6 % at 6e-3, and 39.9 % with AdamW at 1e-3.
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(optimizer="muon", learning_rate=2e-3))
    max_images: int = option(
        0, "Training images", "A fixed random part of the training split.", minimum=0, zero="all images"
    )
    evaluate_test: bool = option(True, "Read the test split", "Off for trials of a sweep, which choose by validation.")

    def __post_init__(self) -> None:
        check_options(self)


def run(config: Config, folder: RunFolder) -> Iterator[Progress | EpochReport]:
    """Train in `folder`, continuing from its checkpoint if it has one; the test split is read once, at the end.

    Raises:
        ConfigError: the model does not fit the images; the message names the setting.
        CoreError: the data set is not on this machine, or the checkpoint is damaged.
        RunFailedError: the training broke down.
    """
    names = {"vit": "ViT", "differential_vit": "Differential ViT"}
    yield from train_classifier(config, folder, f"{names[config.family]} patch {config.model.patch_size}")
