"""A small CLIP from scratch: labelled images, captioned from WordNet, pulled together with their captions.

    python -m core train clip_contrastive                            CIFAR-10 and Tiny-ImageNet, softmax loss
    python -m core train clip_contrastive --set loss=sigmoid         SigLIP's loss

Validation is zero-shot accuracy on held-out images of the data sets it learns from, each among its own classes. After
the last epoch the test splits of those are read (labels that it has seen), and then data sets that it has not learned
from (drawings, other domains): once. The bundled model's figures are in checkpoints/clip_small/card.json.
"""

from __future__ import annotations

import datetime
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from core.configs import check_options, option, to_json
from core.data import tokenizer as clip_tokenizer
from core.data.arrays import ArrayDataset
from core.data.captions import TEMPLATES, CaptionTable, caption_table, class_names
from core.data.catalogue import installed_datasets, read_dataset
from core.data.loading import Splits, limit_images, load_images, load_splits
from core.data.mixture import Resized, class_groups, mix_datasets
from core.data.transforms import CIFAR10_NORMALISATION
from core.data.wordnet import CIFAR10, find_synset
from core.errors import ConfigError
from core.experiments.checkpointing import resumable
from core.experiments.run_precision import precision_facts, settle_training
from core.models.checkpoint import ModelCard
from core.models.small_clip import (
    SmallCLIPConfig,
    build_clip,
    open_clip_config,
    round_as_stored,
    save_clip,
    start_from_vit,
)
from core.models.vit import ViT
from core.models.weights import load
from core.reports import Progress, still, watched
from core.runs.store import RunFolder
from core.seeding import seed_everything
from core.training.config import TrainingConfig
from core.training.contrastive import LARGEST_SCALE, Contrastive, ZeroShot, class_vectors
from core.training.distributed import is_main
from core.training.evaluate import evaluation
from core.training.loop import EpochReport, Fit

_NORMALISATION = CIFAR10_NORMALISATION


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which two towers, on which images, with which loss."""

    datasets: str = option(
        "cifar10+tiny_imagenet",
        "Data sets",
        "Joined by +; their classes must be ImageNet ids or those of CIFAR-10. NAME*2 shows its images twice an epoch.",
    )
    loss: Literal["softmax", "sigmoid"] = option(
        "softmax", "Loss", "Softmax over the batch (CLIP) or a yes or no for every pair (SigLIP)."
    )
    start: str = option(
        "vit_p4",
        "Image tower starts from",
        "A ViT of ours with as many patches: its name, run:NAME; empty: from nothing.",
    )
    model: SmallCLIPConfig = field(default_factory=SmallCLIPConfig)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(optimizer="muon", learning_rate=1e-3, batch_size=128, epochs=8)
    )
    max_images: int = option(
        0, "Training images", "A fixed random part of each data set.", minimum=0, zero="all images"
    )
    transfer: str = option("pacs+cifar10g", "Tested on, too", "Data sets that it does not learn from, joined by +.")
    evaluate_test: bool = option(True, "Read the test splits", "Off for trials, which choose by validation.")

    def __post_init__(self) -> None:
        check_options(self)
        if self.training.augmentation in ("mix", "strong"):
            raise ConfigError(
                f"training.augmentation is {self.training.augmentation!r}, which mixes images; a caption has no half.",
                "Set training.augmentation=crop_flip or randaugment.",
            )


def run(config: Config, folder: RunFolder) -> Iterator[Progress | EpochReport]:
    """Train in `folder`, continuing from its checkpoint if it has one.

    Raises:
        CoreError: a data set is not on this machine, its classes are not in WordNet's part here, or the checkpoint is
            damaged.
        RunFailedError: the training broke down.
    """
    config = replace(config, training=settle_training(folder, config.training))
    parts, repeats = _read(config)
    size = config.model.image_size
    learned = [replace(part.train, name=name) for name, part in parts.items()]
    held_out = [part.val for part in parts.values()]
    train = mix_datasets([limit_images(each, config.max_images or None) for each in learned], size, repeats)
    val = mix_datasets([limit_images(each, config.max_images or None) for each in held_out], size)
    captions, length = caption_table(train.classes), config.model.context_length
    seed_everything(config.training.seed)
    model_config = open_clip_config(
        config.model,
        pieces=clip_tokenizer.PIECES,
        end_id=clip_tokenizer.END_ID,
        pad_id=clip_tokenizer.PAD_ID,
        sigmoid=config.loss == "sigmoid",
    )
    objective = Contrastive(
        captions,
        torch.from_numpy(clip_tokenizer.encode_texts(captions.texts, length)),
        torch.from_numpy(clip_tokenizer.encode_prompts([_shown(name) for name in train.classes], length)),
        loss=config.loss,
        groups=class_groups(learned),
    )
    model = build_clip(model_config, config.model.patch_dropout)
    if config.start:
        _start(model, config.start)
    device = folder.read_spec().device
    fit = Fit(model, train, val, _NORMALISATION, config.training, device=device, objective=objective)
    yield from resumable(folder, fit)
    if not is_main():
        return
    shown: Any = fit.average
    with torch.no_grad():
        shown.logit_scale.clamp_(max=float(np.log(LARGEST_SCALE)))
    round_as_stored(shown)
    metrics: dict[str, Any] = {
        "seed": config.training.seed,
        **precision_facts(folder),
        "image_tower_from": config.start,
        "loss": config.loss,
        "val": {},
        "test": {},
        "transfer": {},
    }
    for name, part in parts.items():
        names = [_shown(label) for label in part.train.classes]
        measuring = _measure(shown, length, part.val, names, size)
        metrics["val"][name] = yield from still(measuring, fit.steps, fit.steps)
        if config.evaluate_test:
            yield Progress(step=fit.steps, steps=fit.steps, text=f"reading the test images of {name}")
            measuring = _measure(shown, length, part.test, names, size)
            found = yield from still(measuring, fit.steps, fit.steps)
            metrics["test"][name] = {**found, "split": part.held_out}
    if config.evaluate_test:
        seen = {name.lower() for wnid in captions.wnids for name in find_synset(wnid).names} | set(CIFAR10)
        for name in _names(config.transfer):
            yield Progress(step=fit.steps, steps=fit.steps, text=f"reading {name}")
            reading = _transfer(shown, length, seen, name, size)
            metrics["transfer"][name] = yield from still(reading, fit.steps, fit.steps)
    save_clip(
        folder.model,
        shown,
        model_config,
        normalisation=_NORMALISATION,
        tokenizer=clip_tokenizer.ASSET,
        card=_card(config, folder, parts, captions, metrics),
    )


def _read(config: Config) -> tuple[dict[str, Splits], list[int]]:
    """The splits of each data set, and how often its images are shown in an epoch."""
    parts, repeats = {}, []
    for each in _names(config.datasets):
        name, _, times = each.partition("*")
        if times and not times.isdigit():
            raise ConfigError(f"datasets has {each!r}; expected NAME or NAME*2.")
        parts[name] = load_splits(name, config.model.image_size)
        repeats.append(int(times or 1))
    if not parts:
        raise ConfigError("datasets is empty.", "Set datasets=cifar10+tiny_imagenet.")
    return parts, repeats


def _start(model: nn.Module, name: str) -> None:
    source = load(name)
    if not isinstance(source.module, ViT) or source.network.preprocessing.normalisation != _NORMALISATION:
        raise ConfigError(f"start is {name!r}; expected a ViT of ours that was trained on CIFAR-10.")
    start_from_vit(model, source.module)


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split("+") if part.strip()]


def _measure(
    model: nn.Module, length: int, images: ArrayDataset, names: Sequence[str], size: int
) -> Generator[Progress, None, dict[str, Any]]:
    """Zero-shot accuracy among `names`, of all plain templates together, as a card has it."""
    resized = replace(images, images=Resized(images.images, size))  # type: ignore[arg-type]
    prompts = torch.from_numpy(clip_tokenizer.encode_prompts(names, length))
    reading = Progress(step=0, steps=1, text=f"reading {len(names):,} labels")
    vectors = yield from watched(lambda: class_vectors(model, prompts), reading)
    found = yield from evaluation(ZeroShot(model, vectors), resized, _NORMALISATION)
    return {"accuracy": found.accuracy, "interval_95": found.interval, "count": found.count, "classes": len(names)}


def _transfer(
    model: nn.Module, length: int, seen: set[str], name: str, size: int
) -> Generator[Progress, None, dict[str, Any]]:
    """Accuracy on each split of a data set that was not learned from, and which of its labels the captions have."""
    if name not in installed_datasets():
        return {"not measured": "it is not on the machine that trained"}
    info = read_dataset(name)
    classes = tuple(label.replace("_", " ") for label in info["classes"])
    found = {}
    for split in info["splits"]:
        found[split] = yield from _measure(model, length, load_images(name, split, size), classes, size)
    return {"splits": found, "labels": {label: label.lower() in seen for label in classes}}


def _card(
    config: Config, folder: RunFolder, parts: dict[str, Splits], captions: CaptionTable, metrics: dict[str, Any]
) -> ModelCard:
    titles = " and ".join(read_dataset(name)["title"] for name in parts)
    return ModelCard(
        family="open_clip",
        title="Small CLIP",
        config=asdict(config.model),
        classes=(),
        mean=_NORMALISATION.mean,
        std=_NORMALISATION.std,
        dataset=f"{titles}, captioned by {captions.chances.shape[1]} names of WordNet in {len(TEMPLATES)} templates",
        recipe=to_json(config.training),
        command=folder.read_spec().command(folder.name),
        date=datetime.date.today().isoformat(),
        metrics=metrics,
        history=folder.history(),
        labels_seen={name: [_shown(label) for label in part.train.classes] for name, part in parts.items()},
    )


def _shown(label: str) -> str:
    """A class as its captions name it first."""
    return class_names(label)[0]
