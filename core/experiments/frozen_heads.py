"""Frozen backbones with a new head each, on several data sets: one table of models × data sets.

python -m core train frozen_heads --name table --set 'datasets=["cifar10", "pacs"]'
python -m core train frozen_heads --name few --set max_images=1000 --set image_size=112 --set 'models=["cnn_small"]'

The head is one linear layer from zero, trained for a few epochs on features that are computed once, without
augmentation, and kept in the cache: what `transfer` does in the mode linear_probe, for many at once. Beside it stands
what a model of images and texts names right without learning, on the same test images. Test images are read once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import nn

from core.configs import check_options, option
from core.data.catalogue import read_dataset
from core.data.loading import Splits, choose_splits, decode_split, limit_images, load_splits
from core.data.prompts import dataset_labels, strategy_templates
from core.errors import ConfigError
from core.experiments.run_precision import precision_facts, settle_precision
from core.files import write_json
from core.methods.accuracy.confusion import Accuracy
from core.methods.clip.zero_shot import Scale, text_classifier, zero_shot_scores
from core.methods.embeddings.features import FeaturePooling, Features, extract_features, feature_poolings
from core.models.clip import ImageTextEncoder
from core.models.spec import LoadedModel
from core.models.weights import load
from core.precision_choice import PrecisionChoice
from core.reports import Progress, still
from core.runs.store import RunFolder
from core.training.config import TrainingConfig
from core.training.head import fit_head

# Times the learning rate: that of `transfer` for a head on frozen features.
HEAD_RATE = 10.0
PROMPTS = "photo"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which backbones, on which data sets, how long a head learns."""

    models: tuple[str, ...] = option(
        ("vit_p4", "cnn_small", "clip_small"),
        "Backbones",
        "One a line: of the catalogue, run:NAME, folder:PATH or hub:OWNER/NAME.",
    )
    datasets: tuple[str, ...] = option(
        ("cifar10",), "Data sets", "One a line. Where the splits are domains, a fifth of all of them is tested on."
    )
    epochs: int = option(3, "Epochs", "Of the head, over the training images.", minimum=1, maximum=2000)
    learning_rate: float = option(1e-3, "Learning rate", "Peak; times 10 for the head.", minimum=0, maximum=1)
    batch_size: int = option(64, "Batch size", minimum=1, maximum=8192)
    image_size: int = option(
        0, "Image size", "What networks for large images see.", minimum=0, maximum=1024, unit="px", zero="each its own"
    )
    max_images: int = option(
        0, "Training images", "Of each data set, a fixed random part.", minimum=0, zero="all images"
    )
    max_test: int = option(0, "Test images", "The same.", minimum=0, zero="all images")
    zero_shot: bool = option(True, "Zero-shot beside it", "Of models of images and texts, on the same test images.")
    seed: int = option(0, "Seed", minimum=0)
    # Not auto: tables compare backbones, and what they compare should not depend on the machine.
    precision: PrecisionChoice = option("fp32", "Precision", "Of the networks' matrix products.")

    def __post_init__(self) -> None:
        check_options(self)
        for name, values in (("backbones", self.models), ("data sets", self.datasets)):
            if not values or len(set(values)) < len(values):
                raise ConfigError(f"There are {len(values)} {name}.", "Choose at least one, each once.")


@dataclass(frozen=True, kw_only=True)
class HeadReport:
    """One cell of the table; accuracies in [0, 1] with their 95 % Wilson interval.

    Attributes:
        protocol: head: a new one on frozen features; zero_shot: named by text, nothing learned.
        val_accuracy: of the head after its last epoch; None where nothing was learned.
    """

    step: int
    steps: int
    model: str
    dataset: str
    protocol: Literal["head", "zero_shot"]
    test_accuracy: float
    test_low: float
    test_high: float
    test_count: int
    train_count: int
    image_size: int
    val_accuracy: float | None = None


def run(config: Config, folder: RunFolder) -> Iterator[Progress | HeadReport]:
    """Extract, fit, test; `result.json` in the folder holds the table.

    Raises:
        CoreError: a model or a data set is not on this machine.
        IncompatibleError: a model has no features of images.
    """
    yield Progress(step=0, steps=1, text="loading the networks")
    models = {name: load(name, folder.read_spec().device) for name in config.models}
    for model in models.values():
        if not hasattr(model.module, "embed") and not hasattr(model.module, "last_tokens"):
            model.spec.require("classifier", "A new head")
    config = replace(config, precision=settle_precision(folder, config.precision, "inference").precision)
    folder.truncate_metrics(0)
    steps = len(models) * len(config.datasets)
    found: list[HeadReport] = []
    held_out: dict[str, str] = {}
    for dataset in config.datasets:
        for done, (name, model) in enumerate(models.items(), len(held_out) * len(models)):
            splits = yield from _splits(config, dataset, seen_size(model, config.image_size), done, steps)
            held_out[dataset] = splits.held_out
            reports = yield from _cell(config, name, model, dataset, splits, done, steps)
            found += reports
            yield from reports
    write_json(
        folder.path / "result.json",
        {
            "models": [{"name": name, "title": model.spec.title} for name, model in models.items()],
            "datasets": [
                {"name": name, "title": read_dataset(name)["title"], "split": held_out[name]}
                for name in config.datasets
            ],
            "seed": config.seed,
            "epochs": config.epochs,
            "cells": [asdict(report) for report in found],
            **precision_facts(folder),
            "command": folder.read_spec().command(folder.name),
        },
    )


def seen_size(model: LoadedModel, wanted: int) -> int:
    """Side in pixels of what a network sees: ours for small images were trained at one size, and take no other."""
    own = int(model.network.preprocessing.size)
    return wanted if wanted and own > 64 else own


def _splits(config: Config, dataset: str, size: int, done: int, steps: int) -> Generator[Progress, None, Splits]:
    """The usual splits; of domains, where none is called train or test, all of them, and a fifth set aside."""
    stored = tuple(read_dataset(dataset)["splits"])
    joined = "" if {"train", "val", "test"} & set(stored) else "+".join(stored)
    for split in dict.fromkeys(sum(choose_splits(dataset, joined, joined), ())):
        yield from still(decode_split(dataset, split, size), done, steps)
    return load_splits(dataset, size, joined, joined)


def _cell(
    config: Config, name: str, model: LoadedModel, dataset: str, splits: Splits, done: int, steps: int
) -> Generator[Progress, None, list[HeadReport]]:
    """One backbone on one data set: the new head, and zero-shot where the model reads texts."""
    limit = config.max_images or None
    parts = {
        "train": limit_images(splits.train, limit),
        "val": limit_images(splits.val, limit and max(1, limit // 9)),
        "test": limit_images(splits.test, config.max_test or None),
    }
    size = seen_size(model, config.image_size)
    pooling = feature_poolings(model.module)[0]
    reads_texts = config.zero_shot and hasattr(model.module, "embed_texts")
    tested: tuple[FeaturePooling, ...] = (pooling, "embedding") if reads_texts else (pooling,)
    features: dict[str, dict[FeaturePooling, Features]] = {}
    for key, part in parts.items():
        extraction = extract_features(
            model.module,
            part,
            model=name,
            size=size,
            normalisation=model.network.preprocessing.normalisation,
            poolings=tested if key == "test" else (pooling,),
            batch_size=config.batch_size,
            precision=config.precision,
            lock=model.lock,
            side_by_side=True,
        )
        features[key] = yield from still(extraction, done, steps)
    train, val, test = (features[key][pooling] for key in parts)
    head, val_accuracy = yield from _fit(config, train, val, len(parts["train"].classes), done, steps)
    with torch.inference_mode():
        predicted = head(torch.from_numpy(test.vectors)).argmax(dim=1).numpy()
    common: dict[str, Any] = {
        "step": done + 1, "steps": steps, "model": name, "dataset": dataset, "image_size": size,
    }  # fmt: skip
    head_report = HeadReport(
        protocol="head",
        train_count=len(train),
        val_accuracy=val_accuracy,
        **common,
        **_measured(predicted, test.labels),
    )
    if not reads_texts:
        return [head_report]
    images = features["test"]["embedding"]
    named = _names(model, dataset, images.vectors)
    zero = HeadReport(protocol="zero_shot", train_count=0, **common, **_measured(named, images.labels))
    return [head_report, zero]


def _fit(
    config: Config, train: Features, val: Features, classes: int, done: int, steps: int
) -> Generator[Progress, None, tuple[nn.Linear, float]]:
    """A linear layer from zero, and its validation accuracy after the last epoch."""
    head = nn.Linear(train.vectors.shape[1], classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    training = TrainingConfig(
        epochs=config.epochs, batch_size=config.batch_size, learning_rate=config.learning_rate, seed=config.seed
    )
    last = 0.0
    of = (train.vectors, train.labels), (val.vectors, val.labels)
    for report in fit_head(head, *of, training, rate_share=HEAD_RATE):
        if not isinstance(report, Progress):
            last = report.val_accuracy
        yield Progress(step=done, steps=steps, text="training the head")
    return head, last


def _names(model: LoadedModel, dataset: str, vectors: np.ndarray) -> np.ndarray:
    """(images,) classes by the names of the data set, in one sentence each."""
    info = read_dataset(dataset)
    labels = dataset_labels(info["classes"], info.get("class_titles"))
    module = cast(ImageTextEncoder, model.module)
    with model.lock:
        weights = text_classifier(module, labels, strategy_templates(PROMPTS))
    return zero_shot_scores(vectors, weights, labels, Scale.of(module)).logits.argmax(axis=1)


def _measured(predicted: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    found = Accuracy(correct=int((predicted == labels).sum()), count=len(labels))
    low, high = found.interval
    return {"test_accuracy": found.value, "test_low": low, "test_high": high, "test_count": found.count}
