"""A variational autoencoder on small images, to be looked into: what its latents say, and which of them say nothing.

    python -m core train vae --name collapsed                            MNIST, 20 latents, Gaussian decoder, β = 1
    python -m core train vae --set objective.warmup=linear --set objective.free_bits=0.05
    python -m core train vae --set dataset=cifar10 --set model.image_size=32 --set model.channels=3 \\
        --set model.network=conv

While it trains it draws samples, and reconstructs the same held-out images, after every epoch. The test split is read
once, at the end, for the card: reconstruction, KL and ELBO in nats per image, active units, and a tighter bound.
"""

from __future__ import annotations

import datetime
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np
import torch

from core.configs import check_options, option, to_json
from core.data.arrays import ArrayDataset
from core.data.catalogue import read_dataset
from core.data.loading import Splits, choose_splits, decode_split, limit_images, load_splits
from core.data.transforms import Normalisation
from core.errors import ConfigError
from core.experiments.checkpointing import resumable
from core.experiments.samples import write_sheet
from core.methods.latent.bounds import elbo, importance_bound
from core.methods.latent.passes import decoded, pixel_batches
from core.methods.latent.statistics import latent_statistics
from core.models.checkpoint import ModelCard, build, save_model, stored_weights
from core.models.likelihoods import entropy_floor
from core.models.priors import draw_prior
from core.models.vae import VAE, VAEConfig
from core.reports import Progress, watched
from core.runs.store import RunFolder
from core.seeding import seed_everything, torch_generator
from core.training.config import TrainingConfig
from core.training.distributed import is_main
from core.training.elbo import Elbo, ElboConfig, effective_beta
from core.training.loop import EpochReport, Fit

_SHOWN = 32
# A variance that is one learned number has a long way to go, in steps that are each no longer than the rate.
_VARIANCE_RATE = 10.0
DECODERS = {
    "gaussian": "Gaussian",
    "gaussian_learned": "Gaussian of learned variance",
    "bernoulli": "Bernoulli",
    "continuous_bernoulli": "continuous Bernoulli",
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which VAE, on which images, trained for what."""

    family: Literal["vae"] = option("vae", "Family")
    dataset: str = option("mnist", "Data set", "An imported data set of small images.")
    model: VAEConfig = field(default_factory=VAEConfig)
    objective: ElboConfig = field(default_factory=ElboConfig)
    # Gradients of sums over 784 pixels are long, and clipping them all to 1 would leave only their direction.
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=40,
            batch_size=128,
            learning_rate=1e-3,
            weight_decay=0.0,
            warmup_share=0.01,
            gradient_clip=200.0,
            augmentation="none",
            precision="fp32",
        )
    )
    max_images: int = option(
        0, "Training images", "A fixed random part of the training split.", minimum=0, zero="all images"
    )
    evaluate_test: bool = option(True, "Read the test split", "Off for trials of a sweep, which choose by validation.")
    bound_images: int = option(1000, "Images of the tight bound", "Of those measured at the end.", minimum=1)
    bound_draws: int = option(64, "Latents of the tight bound", "k of the IWAE bound.", minimum=1, maximum=5000)

    def __post_init__(self) -> None:
        check_options(self)
        if self.training.augmentation in ("mix", "strong"):
            raise ConfigError(
                f"training.augmentation is {self.training.augmentation!r}, which blends images into each other.",
                "Set training.augmentation=none: a VAE learns to draw what it is shown.",
            )


def run(config: Config, folder: RunFolder) -> Iterator[Progress | EpochReport]:
    """Train in `folder`, continuing from its checkpoint if it has one; the test split is read once, at the end.

    Raises:
        ConfigError: the model does not fit the images; the message names the setting.
        CoreError: the data set is not on this machine, or the checkpoint is damaged.
        RunFailedError: the training broke down.
    """
    splits = yield from _read(config)
    train = _in_memory(limit_images(splits.train, config.max_images or None))
    val = _in_memory(splits.val)
    seed_everything(config.training.seed)
    fit = Fit(
        build(config.family, asdict(config.model)),
        train,
        val,
        unchanged(config.model.channels),
        config.training,
        device=folder.read_spec().device,
        rate_shares={"decoder_log_variance": _VARIANCE_RATE},
        objective=Elbo(config.objective, config.model),
    )
    average = cast(VAE, fit.average)
    for report in resumable(folder, fit):
        if isinstance(report, EpochReport) and is_main():
            _draw(folder, average, val)
        yield report
    if not is_main():
        return
    # The stored weights are fp16, so those are what is measured; what is not stored keeps its precision.
    average.load_state_dict(stored_weights(average))
    split = "test" if config.evaluate_test else "val"
    measuring = Progress(step=fit.steps, steps=fit.steps, text=f"measuring the {split} images")
    yield measuring
    held_out = _in_memory(splits.test if config.evaluate_test else val)
    measured = yield from watched(lambda: _measure(config, average, held_out, split), measuring)
    measured["split"] = f"{splits.held_out}, read once at the end" if config.evaluate_test else "val; test was not read"
    save_model(folder.model, average, _card(config, folder, splits, len(train), measured))


def unchanged(channels: int) -> Normalisation:
    """Pixels as they are: the likelihood is of the pixels themselves."""
    return Normalisation(mean=(0.0,) * channels, std=(1.0,) * channels)


def _read(config: Config) -> Generator[Progress, None, Splits]:
    """The splits, photos decoded to the size of the model on the way."""
    for split in dict.fromkeys(sum(choose_splits(config.dataset), ())):
        for progress in decode_split(config.dataset, split, config.model.image_size):
            yield Progress(step=0, steps=1, text=progress.text)
    splits = load_splits(config.dataset, config.model.image_size, grey_as_rgb=False)
    height, width, channels = splits.train.images.shape[1:]
    if height != width:
        raise ConfigError(
            f"{config.dataset} has images of {height} by {width} pixels; this model takes squares.",
            "Choose another data set.",
        )
    for name, expected in (("image_size", height), ("channels", channels)):
        given = getattr(config.model, name)
        if given != expected:
            raise ConfigError(
                f"model.{name} is {given}, and {config.dataset} has {expected}.", f"Set model.{name}={expected}."
            )
    return splits


def _in_memory(data: ArrayDataset) -> ArrayDataset:
    """Small images, read in every epoch: not from the disk each time."""
    return replace(data, images=np.ascontiguousarray(data.images[:]))


def _draw(folder: RunFolder, model: VAE, val: ArrayDataset) -> None:
    """`drawn.png`: from the prior, the same latents every time; `reconstructed.png`: held-out images above theirs."""
    config = model.config
    latents = draw_prior(config.prior, _SHOWN, config.latent_dim, torch_generator(0), config.prior_scale)
    write_sheet(folder.samples / "drawn.png", _bytes(decoded(model, latents.numpy())), columns=8)
    images = np.asarray(val.images[: _SHOWN // 2])
    with torch.inference_mode():
        means = np.concatenate([model.encode(pixels).mean.cpu().numpy() for _, pixels in pixel_batches(model, images)])
    pairs = [images, _bytes(decoded(model, means))]
    rows = [part[start : start + 8] for start in range(0, len(images), 8) for part in pairs]
    write_sheet(folder.samples / "reconstructed.png", np.concatenate(rows), columns=min(8, len(images)))


def _bytes(pictures: np.ndarray) -> np.ndarray:
    return (pictures.clip(0, 1) * 255).round().astype(np.uint8)


def _measure(config: Config, model: VAE, data: ArrayDataset, split: str) -> dict[str, Any]:
    """What a card says of held-out images; nats per image."""
    seed, shape = config.training.seed, config.model
    used = latent_statistics(model, data.images)
    part = limit_images(data, config.bound_images).images[:]
    bound = importance_bound(model, part, config.bound_draws, seed=seed)
    found: dict[str, Any] = {
        f"{split}_{name}": value for name, value in elbo(model, data.images, seed=seed).averages().items()
    }
    found |= {
        f"{split}_count": len(data),
        f"{split}_active_units": int(used.active(config.objective.active_delta).sum()),
        f"{split}_iwae": bound.mean,
        f"{split}_iwae_standard_error": bound.standard_error,
        f"{split}_iwae_draws": bound.draws,
        f"{split}_iwae_count": len(part),
        "active_delta": config.objective.active_delta,
        "latent_kl": [round(float(value), 5) for value in used.kl],
        "latent_spread": [round(float(value), 5) for value in used.spread],
        "likelihood_constant": shape.likelihood_constant,
        "unit": "nats per image, summed over pixels and latents; β = 1, no free bits",
    }
    if shape.likelihood.startswith("gaussian"):
        found["pixel_sigma"] = float(torch.exp(model.pixel_log_variance().detach() / 2))
    if shape.likelihood == "bernoulli" and not shape.binarise:
        with torch.inference_mode():
            floors = [entropy_floor(pixels).double().sum().item() for _, pixels in pixel_batches(model, data.images)]
        found[f"{split}_reconstruction_floor"] = sum(floors) / len(data)
        found["caution"] = "grey pixels: the cross-entropy is no log-likelihood and cannot fall below its floor"
    return found


def _card(config: Config, folder: RunFolder, splits: Splits, count: int, measured: dict[str, Any]) -> ModelCard:
    shape, title = config.model, read_dataset(config.dataset)["title"]
    pixels = unchanged(shape.channels)
    return ModelCard(
        family=config.family,
        title=f"VAE on {title}, {shape.latent_dim} latents, {DECODERS[shape.likelihood]}",
        config=asdict(shape),
        classes=(),
        mean=pixels.mean,
        std=pixels.std,
        dataset=title,
        recipe=to_json(config.training),
        command=folder.read_spec().command(folder.name),
        date=datetime.date.today().isoformat(),
        metrics={
            **measured,
            "seed": config.training.seed,
            "dataset": config.dataset,
            "train_count": count,
            "objective": asdict(config.objective),
            "effective_beta": effective_beta(config.objective, shape),
            "skipped": splits.skipped,
        },
        history=folder.history(),
    )
