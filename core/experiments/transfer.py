"""What a pretrained network is worth on another data set, by how much of it may learn again.

python -m core train transfer --name probe                                    EfficientNet-Lite0, new head, CIFAR-10
python -m core train transfer --name full --set mode=full --set backbone=resnet152 --set training.epochs=10
python -m core train transfer --name nothing --set mode=random --set image_size=64

All modes see the same images at the same size for the same number of steps. A linear probe computes its features once,
without augmentation, which makes it quick on a CPU. The finished network opens on the other pages.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import cast

import torch
from torch import nn

from core.configs import check_options, option
from core.data.catalogue import read_dataset
from core.data.loading import Splits, choose_splits, decode_split, limit_images, load_splits
from core.device import pick_device
from core.experiments.checkpointing import resumable
from core.experiments.run_precision import settle_training
from core.experiments.scratch import measured, publish
from core.methods.embeddings.features import Features, extract_features
from core.models.backbones import Backbone, for_classes, open_backbone
from core.models.checkpoint import stored_weights
from core.models.transfer import TransferConfig, head_of, head_parameters
from core.reports import Progress, still
from core.runs.store import RunFolder
from core.seeding import seed_everything
from core.training.config import TrainingConfig
from core.training.distributed import is_main
from core.training.evaluate import evaluation
from core.training.freezing import Mode, PartlyFrozen, learning_parameters, rate_shares
from core.training.head import fit_head
from core.training.loop import EpochReport, Fit

_TITLES: dict[Mode, str] = {
    "linear_probe": "linear probe",
    "last_block": "last block",
    "full": "fine-tuned",
    "random": "from random weights",
}

# Factors of the learning rate for head and backbone. Last block of EfficientNet-Lite0 at 64 pixels, 2,250 CIFAR-10
# images, 3 epochs, one seed, loss on 250 validation images: (1, 1) 1.12, (10, 1) 1.26, (1, 0.1) 1.42, (10, 0.1) 1.52.
_RATES: dict[Mode, tuple[float, float]] = {
    "linear_probe": (10.0, 0.0),
    "last_block": (1.0, 1.0),
    "full": (1.0, 0.3),
    "random": (1.0, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which network, how much of it learns, on which images, trained how."""

    backbone: str = option(
        "efficientnet_lite0",
        "Backbone",
        "A model of the catalogue, run:NAME, folder:PATH, hub:OWNER/NAME, or any CNN of torchvision (resnet18, vgg19).",
    )
    mode: Mode = option(
        "linear_probe",
        "What learns",
        "linear_probe: a new head on frozen features. last_block: the last block too. full: everything. "
        "random: everything, without the pretrained weights.",
    )
    dataset: str = option("cifar10", "Data set", "Any imported data set.")
    train_split: str = option("", "Learn from", "Splits joined by +; empty: train, or all domains but the last.")
    test_split: str = option(
        "", "Test on", "Splits joined by +; empty: test, or the last domain. Same as above: a fifth."
    )
    image_size: int = option(
        0,
        "Image size",
        "What the network sees; 64 or 96 suit a CPU.",
        minimum=0,
        maximum=1024,
        unit="px",
        zero="its own",
    )
    max_images: int = option(0, "Training images", "A fixed random part of them.", minimum=0, zero="all images")
    max_test: int = option(0, "Test images", "A fixed random part of them.", minimum=0, zero="all images")
    evaluate_test: bool = option(True, "Read the test split", "Off for trials of a sweep, which choose by validation.")
    head_rate: float | None = option(
        None, "Rate of the head", "Times the learning rate; empty: what suits the mode.", minimum=0
    )
    backbone_rate: float | None = option(
        None, "Rate of the backbone", "The same for pretrained weights that learn.", minimum=0
    )
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(epochs=5, batch_size=64, ema_decay=0.99))

    def __post_init__(self) -> None:
        check_options(self)


def run(config: Config, folder: RunFolder) -> Iterator[Progress | EpochReport]:
    """Train in `folder`, continuing from its checkpoint if it has one; the test split is read once, at the end.

    Raises:
        CoreError: the backbone or the data set is not on this machine, or the checkpoint is damaged.
        ConfigError: the backbone does not take images of this size.
        RunFailedError: the training broke down.
    """
    config = replace(config, training=settle_training(folder, config.training))
    yield Progress(step=0, steps=1, text="loading the network")
    backbone = open_backbone(config.backbone, pretrained=config.mode != "random")
    size = config.image_size or backbone.config.image_size
    for split in dict.fromkeys(sum(choose_splits(config.dataset, config.train_split, config.test_split), ())):
        for progress in decode_split(config.dataset, split, size):
            yield Progress(step=0, steps=1, text=progress.text)
    splits = load_splits(config.dataset, size, config.train_split, config.test_split)
    seed_everything(config.training.seed)
    network, built = for_classes(backbone, len(splits.train.classes), size)
    head = head_parameters(network)
    if backbone.module is not None:
        # From zero: the first gradients do not disturb pretrained weights through a random head, and the key of cached
        # features, a hash of all weights, does not depend on the seed.
        with torch.no_grad():
            for parameter in head_of(network).parameters():
                parameter.zero_()
    device = folder.read_spec().device
    train = limit_images(splits.train, config.max_images or None)
    if config.mode == "linear_probe":
        network.to(pick_device(device))
        model = PartlyFrozen(network, head, size)
        features = {}
        for part in (train, splits.val):
            extraction = extract_features(
                network,
                part,
                model=config.backbone,
                size=size,
                normalisation=backbone.normalisation,
                poolings=("embedding",),
                batch_size=config.training.batch_size,
                precision=config.training.precision,
            )
            features[part.split] = yield from still(extraction, 0, 1)  # its images are not steps of the training
        found = {name: each["embedding"] for name, each in features.items()}
        yield from _fit_head(config, network, found)
    else:
        learning = learning_parameters(network, config.mode, head)
        of_head, of_backbone = _rates(config)
        shares = rate_shares(learning, head, config.mode, backbone=of_backbone, new_head=of_head)
        fit = Fit(
            PartlyFrozen(network, learning, size),
            train,
            splits.val,
            backbone.normalisation,
            config.training,
            device=device,
            rate_shares={f"network.{name}": share for name, share in shares.items()},
        )
        yield from resumable(folder, fit)
        model = cast(PartlyFrozen, fit.average)
    if is_main():
        yield from _finish(config, folder, backbone, built, splits, model, len(train))


def _rates(config: Config) -> tuple[float, float]:
    """Factors of the learning rate for the head and for pretrained weights."""
    usual = _RATES[config.mode]
    return (
        usual[0] if config.head_rate is None else config.head_rate,
        usual[1] if config.backbone_rate is None else config.backbone_rate,
    )


def _fit_head(config: Config, network: nn.Module, features: dict[str, Features]) -> Iterator[Progress | EpochReport]:
    head, device = head_of(network), next(network.parameters()).device
    head.cpu()
    train, val = ((features[name].vectors, features[name].labels) for name in ("train", "val"))
    yield from fit_head(head, train, val, config.training, rate_share=_rates(config)[0])
    head.to(device)


def _finish(
    config: Config,
    folder: RunFolder,
    backbone: Backbone,
    built: TransferConfig,
    splits: Splits,
    model: PartlyFrozen,
    train_count: int,
) -> Iterator[Progress]:
    """Measure the stored weights and write the network beside its card."""
    network = model.network
    network.load_state_dict(stored_weights(network))
    split = "test" if config.evaluate_test else "val"
    data = limit_images(splits.test, config.max_test or None) if config.evaluate_test else splits.val
    steps = config.training.epochs * math.ceil(train_count / config.training.batch_size)
    result = yield from still(evaluation(model, data, backbone.normalisation), steps, steps)
    title = read_dataset(config.dataset)["title"]
    publish(
        folder,
        network,
        family="transfer",
        title=f"{backbone.title} on {title}, {_TITLES[config.mode]}",
        model_config=asdict(built),
        classes=splits.train.classes,
        normalisation=backbone.normalisation,
        dataset=title,
        training=config.training,
        metrics={
            **measured(split, result),
            "split": f"{splits.held_out}, read once at the end" if config.evaluate_test else "val; test was not read",
            "mode": config.mode,
            "backbone": config.backbone,
            "image_size": built.image_size,
            "train_count": train_count,
            "skipped": splits.skipped,
        },
    )
