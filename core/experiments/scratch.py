"""What every training of a small classifier from scratch shares: its images, its course, its test and its card."""

from __future__ import annotations

import datetime
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
from torch import nn

from core.configs import to_json
from core.data.arrays import ArrayDataset, load_arrays
from core.data.catalogue import read_dataset
from core.data.loading import Splits, choose_splits, decode_split, load_splits, measure_normalisation
from core.data.transforms import CIFAR10_NORMALISATION, Normalisation
from core.errors import ConfigError
from core.experiments.checkpointing import resumable
from core.experiments.run_precision import precision_facts, settle_training
from core.models.checkpoint import ModelCard, build, save_model, stored_weights
from core.reports import Progress, still
from core.runs.store import RunFolder
from core.seeding import published_stream, seed_everything
from core.training.config import TrainingConfig
from core.training.distributed import is_main
from core.training.evaluate import Evaluation, evaluation
from core.training.loop import EpochReport, Fit


class ScratchConfig(Protocol):
    """What a recipe from scratch lets its user choose."""

    @property
    def family(self) -> str: ...
    @property
    def dataset(self) -> str: ...
    @property
    def model(self) -> Any: ...
    @property
    def training(self) -> TrainingConfig: ...
    @property
    def max_images(self) -> int: ...
    @property
    def evaluate_test(self) -> bool: ...


def train_classifier(config: ScratchConfig, folder: RunFolder, title: str) -> Iterator[Progress | EpochReport]:
    """Train in `folder`, continuing from its checkpoint if it has one; the test split is read once, at the end.

    Raises:
        ConfigError: the model does not fit the images; the message names the setting.
        CoreError: the data set is not on this machine, or the checkpoint is damaged.
        RunFailedError: the training broke down.
    """
    splits = yield from _read_splits(config)
    train, val = splits.train, splits.val
    _check_fit(config, train)
    if 0 < config.max_images < len(train):
        train = train.subset(
            np.sort(published_stream("limited images", 0).permutation(len(train))[: config.max_images]), "train"
        )
    normalisation = CIFAR10_NORMALISATION if config.dataset == "cifar10" else measure_normalisation(train)
    training = settle_training(folder, config.training)
    seed_everything(training.seed)
    model = build(config.family, asdict(config.model))
    fit = Fit(model, train, val, normalisation, training, device=folder.read_spec().device)
    yield from resumable(folder, fit)
    if not is_main():
        return
    # The stored weights are fp16, so those are what is measured; what is not stored keeps its precision.
    fit.average.load_state_dict(stored_weights(fit.average))
    split = "test" if config.evaluate_test else "val"
    tested = splits.test if config.evaluate_test else splits.val
    testing = evaluation(fit.average, tested, fit.normalisation)
    result = yield from still(testing, fit.steps, fit.steps)
    publish(
        folder,
        fit.average,
        family=config.family,
        title=title,
        model_config=asdict(config.model),
        classes=train.classes,
        normalisation=normalisation,
        dataset=read_dataset(config.dataset)["title"],
        training=training,
        metrics={
            **measured(split, result),
            "split": f"{splits.held_out}, read once after the last epoch"
            if config.evaluate_test
            else "val; test was not read",
        },
    )


def _read_splits(config: ScratchConfig) -> Generator[Progress, None, Splits]:
    """Arrays in memory where the data set stores its splits as arrays; else photos are decoded and parts set aside."""
    info = read_dataset(config.dataset)
    tested = "test" if config.evaluate_test else "val"  # which leaves test alone
    if info["storage"] == "arrays" and "train" in info["splits"] and tested in ("val", *info["splits"]):
        train, val, test = (load_arrays(config.dataset, split) for split in ("train", "val", tested))
        return Splits(train=train, val=val, test=test, held_out=tested, skipped={})
    for split in dict.fromkeys(sum(choose_splits(config.dataset), ())):
        for progress in decode_split(config.dataset, split, config.model.image_size):
            yield Progress(step=0, steps=1, text=progress.text)
    return load_splits(config.dataset, config.model.image_size, grey_as_rgb=False)


def measured(split: str, result: Evaluation) -> dict[str, Any]:
    """An evaluation as a card has it."""
    return {
        f"{split}_accuracy": result.accuracy,
        f"{split}_interval_95": result.interval,
        f"{split}_count": result.count,
        f"{split}_loss": result.loss,
    }


def publish(
    folder: RunFolder,
    model: nn.Module,
    *,
    family: str,
    title: str,
    model_config: Mapping[str, Any],
    classes: tuple[str, ...],
    normalisation: Normalisation,
    dataset: str,
    training: TrainingConfig,
    metrics: Mapping[str, Any],
) -> None:
    """Write the finished model beside its card."""
    card = ModelCard(
        family=family,
        title=title,
        config=dict(model_config),
        classes=classes,
        mean=normalisation.mean,
        std=normalisation.std,
        dataset=dataset,
        recipe=to_json(training),
        command=folder.read_spec().command(folder.name),
        date=datetime.date.today().isoformat(),
        metrics={**metrics, "seed": training.seed, **precision_facts(folder)},
        history=folder.history(),
    )
    save_model(folder.model, model, card)


def _check_fit(config: ScratchConfig, train: ArrayDataset) -> None:
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
