"""A ViT or Differential ViT trained from scratch on small images.

python -m core train vit_scratch                                   192-wide, 6-deep, patch 4, 12 epochs
python -m core train vit_scratch --set family=differential_vit --set model.num_heads=3

On two CPU cores an epoch of CIFAR-10 takes about three minutes. The accuracy that the bundled weights reached is in
their cards (checkpoints/*/card.json).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np

from core.configs import check_options, option, to_json
from core.data.arrays import ArrayDataset, load_arrays
from core.data.catalogue import read_dataset
from core.data.loading import measure_normalisation
from core.data.transforms import CIFAR10_NORMALISATION
from core.errors import ConfigError
from core.experiments.checkpointing import resumable
from core.models.checkpoint import ModelCard, build, save_model, stored_weights
from core.models.vit import ViTConfig
from core.reports import Progress
from core.runs.store import RunFolder
from core.seeding import seed_everything
from core.training.config import TrainingConfig
from core.training.distributed import is_main
from core.training.evaluate import evaluate
from core.training.loop import EpochReport, Fit


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which network, on which images, trained how."""

    family: Literal["vit", "differential_vit"] = option("vit", "Family")
    dataset: str = option("cifar10", "Data set", "An imported data set of small images.")
    model: ViTConfig = field(default_factory=ViTConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    max_images: int = option(0, "Training images", "A fixed random part of the training split; 0 is all.", minimum=0)
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
    train, val = load_arrays(config.dataset, "train"), load_arrays(config.dataset, "val")
    _check_fit(config, train)
    if 0 < config.max_images < len(train):
        train = train.subset(np.sort(np.random.default_rng(0).permutation(len(train))[: config.max_images]), "train")
    normalisation = CIFAR10_NORMALISATION if config.dataset == "cifar10" else measure_normalisation(train)
    seed_everything(config.training.seed)
    model = build(config.family, asdict(config.model))
    fit = Fit(model, train, val, normalisation, config.training, device=folder.read_spec().device)
    yield from resumable(folder, fit)
    if is_main():
        _publish(config, folder, fit)


def _check_fit(config: Config, train: ArrayDataset) -> None:
    """Raise `ConfigError` unless the model takes the images and tells their classes apart."""
    height, width, channels = train.images.shape[1:]
    if height != width:
        raise ConfigError(
            f"{config.dataset} has images of {height} by {width} pixels; this model takes squares.",
            "Choose another data set.",
        )
    for name, expected in (("classes", len(train.classes)), ("image_size", height), ("channels", channels)):
        given = getattr(config.model, name)
        if given != expected:
            raise ConfigError(
                f"model.{name} is {given}, and {config.dataset} has {expected}.", f"Set model.{name}={expected}."
            )


def _publish(config: Config, folder: RunFolder, fit: Fit) -> None:
    """Measure the averaged weights on the test split and write the finished model beside its card."""
    split = "test" if config.evaluate_test else "val"
    test = load_arrays(config.dataset, split)
    # The stored weights are fp16, so those are what is measured; what is not stored keeps its precision.
    fit.average.load_state_dict(stored_weights(fit.average))
    result = evaluate(fit.average, test, fit.normalisation)
    names = {"vit": "ViT", "differential_vit": "Differential ViT"}
    card = ModelCard(
        family=config.family,
        title=f"{names[config.family]} patch {config.model.patch_size}",
        config=asdict(config.model),
        classes=test.classes,
        mean=fit.normalisation.mean,
        std=fit.normalisation.std,
        dataset=read_dataset(config.dataset)["title"],
        recipe=to_json(config.training),
        command=folder.read_spec().command(folder.name),
        date=datetime.date.today().isoformat(),
        metrics={
            f"{split}_accuracy": result.accuracy,
            f"{split}_interval_95": result.interval,
            f"{split}_count": result.count,
            f"{split}_loss": result.loss,
            "seed": config.training.seed,
            "split": "test, read once after the last epoch"
            if config.evaluate_test
            else "val; the test split was not read",
        },
        history=folder.history(),
    )
    save_model(folder.model, fit.average, card)
