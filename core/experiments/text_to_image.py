"""A small text-to-image diffusion model from scratch: a pipeline that draws, and that classifies by denoising.

    python -m core train text_to_image --name draws                  CIFAR-10, 5.6 million parameters in its network
    python -m core train text_to_image --set dataset=tiny_imagenet --set model.image_size=64 --set model.halvings=3

Validation is classification by denoising at six time steps, on a few hundred held-out images: quick, and lower than
what the diffusion classifier reaches with more samples. What the bundled pipeline reached is in its card.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import cast

import numpy as np
import torch

from core.configs import check_options, option, to_json
from core.data import tokenizer as small_tokenizer
from core.data.captions import PLAIN_TEMPLATES, class_names
from core.data.catalogue import read_dataset
from core.data.loading import limit_images, load_splits
from core.data.transforms import HALF_NORMALISATION
from core.data.wordnet import class_synset
from core.device import pick_device
from core.errors import ConfigError
from core.experiments.checkpointing import resumable
from core.experiments.run_precision import precision_facts, settle_training
from core.experiments.samples import write_sheet
from core.models.checkpoint import ModelCard
from core.models.small_diffusion import (
    SmallDiffusionConfig,
    TextToImage,
    fit_components,
    sample_images,
    save_pipeline,
)
from core.reports import Progress, watched
from core.runs.store import RunFolder
from core.seeding import seed_everything
from core.training.config import TrainingConfig
from core.training.denoising import Denoising
from core.training.distributed import is_main
from core.training.loop import EpochReport, Fit

_COMPONENT_IMAGES = 5000


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which network, on which images."""

    dataset: str = option("cifar10", "Data set", "An imported data set of small images.")
    model: SmallDiffusionConfig = field(default_factory=SmallDiffusionConfig)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            optimizer="muon",
            learning_rate=1e-3,
            weight_decay=0.01,
            batch_size=64,
            ema_decay=0.9995,
            augmentation="flip",
            epochs=30,
        )
    )
    drop_share: float = option(
        0.1, "Without prompt", "Share of the images that get the empty prompt.", minimum=0, maximum=0.9
    )
    max_images: int = option(
        0, "Training images", "A fixed random part of the training split.", minimum=0, zero="all images"
    )
    val_images: int = option(250, "Validation images", "A fixed random part of that split.", minimum=1)

    def __post_init__(self) -> None:
        check_options(self)
        if self.training.augmentation in ("mix", "strong"):
            raise ConfigError(
                f"training.augmentation is {self.training.augmentation!r}, which mixes images; a prompt has no half.",
                "Set training.augmentation=flip.",
            )


def run(config: Config, folder: RunFolder) -> Iterator[Progress | EpochReport]:
    """Train in `folder`, continuing from its checkpoint if it has one; the test split is not read.

    Raises:
        CoreError: the data set is not on this machine, or the checkpoint is damaged.
        RunFailedError: the training broke down.
    """
    config = replace(config, training=settle_training(folder, config.training))
    splits = load_splits(config.dataset, config.model.image_size)
    train, val = limit_images(splits.train, config.max_images or None), limit_images(splits.val, config.val_images)
    if train.images.shape[1:3] != (config.model.image_size, config.model.image_size):
        raise ConfigError(
            f"{config.dataset} has images of {train.images.shape[1]} by {train.images.shape[2]} pixels.",
            f"Set model.image_size={train.images.shape[1]}.",
        )
    side = 2**config.model.halvings
    sample = limit_images(splits.train, _COMPONENT_IMAGES)
    components = fit_components(
        np.asarray(sample.images[:]), side, config.model.latent_channels, config.model.whitening
    )
    seed_everything(config.training.seed)
    model = TextToImage(
        config.model,
        components,
        pieces=small_tokenizer.PIECES,
        ends=(small_tokenizer.PAD_ID, small_tokenizer.START_ID, small_tokenizer.END_ID),
    )
    names = [class_names(label)[0] if class_synset(label) else label.replace("_", " ") for label in train.classes]
    length = config.model.text_length
    prompts = torch.from_numpy(small_tokenizer.encode_prompts(names, length))
    empty = torch.from_numpy(small_tokenizer.encode_texts([""], length))[0]
    objective = Denoising(
        prompts, empty, model.latent_shape, steps=len(model.alphas_cumprod), drop_share=config.drop_share
    )
    device = folder.read_spec().device
    if pick_device(device).type == "cpu":
        from diffusers.models.attention_processor import AttnProcessor

        # The gradient of PyTorch's fused attention is slow on a CPU: without it a step takes 0.63 of the time.
        model.unet.set_attn_processor(AttnProcessor())
    fit = Fit(model, train, val, HALF_NORMALISATION, config.training, device=device, objective=objective)
    average = cast(TextToImage, fit.average)
    for report in resumable(folder, fit):
        yield report
        # Afterwards, when the report is written: a stop while this draws must not lose the epoch's line.
        if isinstance(report, EpochReport) and is_main():
            drawing = Progress(step=report.step, steps=report.steps, text="drawing samples")
            drawn = yield from watched(partial(sample_images, average, prompts[:10, 0], empty, each=4), drawing)
            write_sheet(folder.samples / "drawn.png", drawn, columns=8)
    if not is_main():
        return
    save_pipeline(
        folder.model, average, small_tokenizer.ASSET, asdict(_card(config, folder, names, components.kept, fit))
    )


def _card(config: Config, folder: RunFolder, names: list[str], kept: float, fit: Fit) -> ModelCard:
    """What the pipeline is and how it came to be; the accuracy of classifying is added by whoever measures it."""
    found = fit.predictions.evaluation() if fit.predictions is not None else None
    measured = {
        "val_accuracy": found.accuracy,
        "val_interval_95": found.interval,
        "val_count": found.count,
        "val_protocol": "noise error at six fixed time steps, one noise",
    } if found else {}  # fmt: skip
    return ModelCard(
        family="diffusers",
        title="Small text-to-image diffusion",
        config=asdict(config.model),
        classes=tuple(names),
        mean=HALF_NORMALISATION.mean,
        std=HALF_NORMALISATION.std,
        dataset=read_dataset(config.dataset)["title"],
        recipe=to_json(config.training),
        command=folder.read_spec().command(folder.name),
        date=datetime.date.today().isoformat(),
        metrics={"seed": config.training.seed, "variance_kept": kept, **precision_facts(folder), **measured},
        history=folder.history(),
        prompt=PLAIN_TEMPLATES[0],
    )
