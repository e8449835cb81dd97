"""A ViT or Differential ViT trained from scratch on small images.

python -m core train vit_scratch                                   192-wide, 6-deep, patch 4, 12 epochs
python -m core train vit_scratch --set family=differential_vit --set model.num_heads=3

On two CPU cores an epoch of CIFAR-10 takes about three minutes. The accuracy that the bundled weights reached is in
their cards (checkpoints/*/card.json).
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
import torch

from core.configs import check_options, option, to_json
from core.data.arrays import load_arrays
from core.data.catalogue import read_dataset
from core.data.transforms import CIFAR10_NORMALISATION
from core.errors import ConfigError
from core.models.checkpoint import ModelCard, build, save_model
from core.models.vit import ViTConfig
from core.runs.store import RunFolder, write_atomically
from core.seeding import seed_everything
from core.training.config import TrainingConfig
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


def run(config: Config, folder: RunFolder) -> Iterator[EpochReport]:
    """Train in `folder`, continuing from its checkpoint if it has one; the test split is read once, at the end."""
    train, val = load_arrays(config.dataset, "train"), load_arrays(config.dataset, "val")
    if len(train.classes) != config.model.classes:
        raise ConfigError(
            f"{config.dataset} has {len(train.classes)} classes, the model {config.model.classes}.",
            f"Set model.classes={len(train.classes)}.",
        )
    if 0 < config.max_images < len(train):
        train = train.subset(np.sort(np.random.default_rng(0).permutation(len(train))[: config.max_images]), "train")
    seed_everything(config.training.seed)
    model = build(config.family, asdict(config.model))
    fit = Fit(model, train, val, CIFAR10_NORMALISATION, config.training)
    if folder.checkpoint.is_file():
        fit.load_state(torch.load(folder.checkpoint, weights_only=True, map_location=fit.device))
    for report in fit.run():
        buffer = io.BytesIO()
        torch.save(fit.state(), buffer)
        write_atomically(folder.checkpoint, buffer.getvalue())
        folder.append_metrics(asdict(report))
        yield report
    _publish(config, folder, fit)


def _publish(config: Config, folder: RunFolder, fit: Fit) -> None:
    """Measure the averaged weights on the test split and write the finished model beside its card."""
    split = "test" if config.evaluate_test else "val"
    test = load_arrays(config.dataset, split)
    # The stored weights are fp16, so those are what is measured; what is not stored keeps its precision.
    fit.average.load_state_dict({name: tensor.half().float() for name, tensor in fit.average.state_dict().items()})
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
