"""One small network with six token mixers, from convolution to attention, trained from scratch on small images.

python -m core train mixer_scratch --name pre                                    0.22 million parameters
python -m core train mixer_scratch --name conv --set model.operator=convolution

`benchmarks/mixers.py` trains all six with several seeds each and compares them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from core.configs import check_options, option
from core.experiments.scratch import train_classifier
from core.models.mixer import OPERATOR_TITLES, MixerConfig
from core.reports import Progress
from core.runs.store import RunFolder
from core.training.config import TrainingConfig
from core.training.loop import EpochReport


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which operator, on which images, trained how."""

    family: Literal["mixer"] = option("mixer", "Family")
    dataset: str = option("cifar10", "Data set", "An imported data set of small images.")
    model: MixerConfig = field(default_factory=MixerConfig)
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(optimizer="muon", learning_rate=2e-3))
    max_images: int = option(
        0, "Training images", "A fixed random part of the training split.", minimum=0, zero="all images"
    )
    evaluate_test: bool = option(True, "Read the test split", "Off for trials of a sweep, which choose by validation.")

    def __post_init__(self) -> None:
        check_options(self)


def run(config: Config, folder: RunFolder) -> Iterator[Progress | EpochReport]:
    """Train in `folder`; see `core.experiments.scratch.train_classifier`."""
    yield from train_classifier(config, folder, f"{OPERATOR_TITLES[config.model.operator]} mixer")
