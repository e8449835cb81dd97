"""A small residual CNN trained from scratch on small images: what convolutions make of the ViT's budget.

python -m core train cnn_scratch --name cnn                        1.2 million parameters, 12 epochs
python -m core train cnn_scratch --name narrow --set model.width=32 --set training.epochs=6
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from core.configs import check_options, option
from core.experiments.scratch import train_classifier
from core.models.small_cnn import SmallCNNConfig
from core.reports import Progress
from core.runs.store import RunFolder
from core.training.config import TrainingConfig
from core.training.loop import EpochReport


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which network, on which images, trained how."""

    family: Literal["small_cnn"] = option("small_cnn", "Family")
    dataset: str = option("cifar10", "Data set", "An imported data set of small images.")
    model: SmallCNNConfig = field(default_factory=SmallCNNConfig)
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(learning_rate=4e-3, ema_decay=0.99))
    max_images: int = option(
        0, "Training images", "A fixed random part of the training split.", minimum=0, zero="all images"
    )
    evaluate_test: bool = option(True, "Read the test split", "Off for trials of a sweep, which choose by validation.")

    def __post_init__(self) -> None:
        check_options(self)


def run(config: Config, folder: RunFolder) -> Iterator[Progress | EpochReport]:
    """Train in `folder`; see `core.experiments.scratch.train_classifier`."""
    yield from train_classifier(config, folder, f"Small CNN, width {config.model.width}")
