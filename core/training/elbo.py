"""The evidence lower bound as an objective: its weights may change on the way, what is reported of it never does.

All terms are nats of an image, summed over pixels and latent dimensions and averaged over images. Whatever is minimised
(β, warm-up, free bits, another reduction), every report has reconstruction, KL and ELBO at β = 1, without free bits.

The silent β. Much code averages where the bound sums, which weighs the KL anew. With D pixels and J latents, for a
Gaussian decoder with σ = 1: the mean of squared errors beside a summed KL is β = D/2 (392 for 28 × 28), beside the mean
of the KL over 20 latents 19.6; the mean of a cross-entropy beside a summed KL is β = D (784). See `effective_beta`.

Sources: Higgins et al. 2017 (β-VAE); Bowman et al. 2016, arXiv:1511.06349 (warm-up of the KL); Fu et al. 2019,
arXiv:1903.10145 (cyclical); Kingma et al. 2016, arXiv:1606.04934, appendix C.8 (free bits); Burda et al. 2016,
arXiv:1509.00519 (active units).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from core.configs import check_options, option
from core.device import send
from core.models.vae import Terms, VAEConfig, elbo_terms
from core.seeding import stream_seed, torch_generator
from core.training.batches import Batch
from core.training.measured import Summary

Reduction = Literal["sum", "pixel_mean", "all_mean"]
Warmup = Literal["none", "linear", "cyclical"]

ACTIVE_DELTA = 0.01


@dataclass(frozen=True, kw_only=True)
class ElboConfig:
    """What a VAE is trained for; the defaults are the bound itself."""

    beta: float = option(1.0, "β", "Weight of the KL; 1 is the ELBO.", minimum=0, maximum=10_000)
    warmup: Warmup = option("none", "Warm-up of β", "linear: from 0 to β, once. cyclical: again and again.")
    warmup_epochs: float = option(
        10.0, "Warm-up epochs", "β rises over so many; a cycle then keeps it for as many.", minimum=0.1, maximum=2000
    )
    cycles: int = option(4, "Cycles", "Of a cyclical warm-up; afterwards β stays.", minimum=1, maximum=1000)
    free_bits: float = option(
        0.0,
        "Free bits",
        "Nats of KL that each latent has for nothing, on average over a batch.",
        minimum=0,
        maximum=100,
    )
    reduction: Reduction = option(
        "sum",
        "Reduction",
        "sum: of all pixels and latents, the bound. pixel_mean: the mean error of a pixel, which is a large β. "
        "all_mean: the mean KL of a latent too.",
    )
    active_delta: float = option(
        ACTIVE_DELTA, "Active above", "A latent is active if its mean varies by more (variance).", minimum=0
    )

    def __post_init__(self) -> None:
        check_options(self)


def beta_at(config: ElboConfig, epoch: float) -> float:
    """β after `epoch` epochs, which need not be whole: the first step of a warm-up has 0."""
    if config.warmup == "none":
        return config.beta
    if config.warmup == "cyclical" and epoch < 2 * config.warmup_epochs * config.cycles:
        epoch %= 2 * config.warmup_epochs
    return config.beta * min(1.0, epoch / config.warmup_epochs)


def is_comparable(config: ElboConfig, epoch: float) -> bool:
    """Whether an epoch may count as the best: no earlier than the end of a first warm-up, and under the full β."""
    return config.warmup == "none" or beta_at(config, epoch) == config.beta


def effective_beta(config: ElboConfig, model: VAEConfig) -> float:
    """The β at which the sum reduction has the same gradient, up to its length."""
    if config.reduction == "sum":
        return config.beta
    # The squared error has neither the ½ nor the 1/σ² of a Gaussian's logarithm.
    pixels = model.pixels / (2 * model.sigma**2 if model.likelihood == "gaussian" else 1)
    return config.beta * pixels / (model.latent_dim if config.reduction == "all_mean" else 1)


def image_losses(terms: Terms, config: ElboConfig, model: VAEConfig, beta: float) -> Tensor:
    """(batch,) losses whose mean is the objective.

    Free bits are clamped after the mean over the batch: Σ_j max(λ, mean KL_j), the same for every image of it. A
    dimension below λ has no gradient at all. Of several processes each clamps its own share of a batch.
    """
    if config.free_bits > 0:
        kl = terms.kl.mean(dim=0).clamp(min=config.free_bits).sum().expand(len(terms.kl))
    else:
        kl = terms.kl.sum(dim=1)
    reconstruction = terms.reconstruction
    if config.reduction != "sum":
        if model.likelihood == "gaussian":  # as it is usually written: the mean squared error, no constants
            reconstruction = 2 * model.sigma**2 * (reconstruction - model.likelihood_constant)
        reconstruction = reconstruction / model.pixels
    if config.reduction == "all_mean":
        kl = kl / model.latent_dim
    return reconstruction + beta * kl


class Elbo:
    """The objective of `core.models.vae.VAE`, as `core.training.measured.Measured` asks.

    Columns of an image: reconstruction and KL as in `core.models.vae.Terms` (1 and latents of them), squared error,
    and the posterior mean and its square in every dimension, from which the spread of the means follows.
    """

    def __init__(self, config: ElboConfig, model: VAEConfig) -> None:
        self.config, self.model = config, model
        self.columns = 2 + 3 * model.latent_dim

    def losses(
        self, network: Callable[..., Any], images: Tensor, batch: Batch, seed: int, epoch: float
    ) -> tuple[Tensor, Tensor]:
        outputs = network(images, send(self._noise(len(images), seed), images.device))
        terms = elbo_terms(self.model, outputs, images)
        return image_losses(terms, self.config, self.model, beta_at(self.config, epoch)), _columns(terms, outputs.mean)

    def measure(self, model: nn.Module, images: Tensor, seed: int) -> Tensor:
        outputs = model(images, send(self._noise(len(images), seed), images.device))
        return _columns(elbo_terms(self.model, outputs, images), outputs.mean)

    def summarise(self, means: np.ndarray, epoch: float, *, held_out: bool) -> Summary:
        """`means`: of the columns. The loss is the objective's at this place, the score the ELBO.

        Active units are counted of held-out images only: in training the encoder itself moves between images.
        """
        reconstruction, squared_error = means[:2]
        kl, latents, squares = np.split(means[2:], 3)
        elbo = -reconstruction - kl.sum()
        terms = Terms(*(torch.from_numpy(np.array(each)) for each in ([reconstruction], kl[None], [squared_error])))
        loss = image_losses(terms, self.config, self.model, beta_at(self.config, epoch))
        active = {"active_units": float((squares - latents**2 > self.config.active_delta).sum())} if held_out else {}
        return Summary(
            loss=float(loss[0]),
            score=float(elbo) if is_comparable(self.config, epoch) else None,
            extras={
                "reconstruction": float(reconstruction),
                "kl": float(kl.sum()),
                "elbo": float(elbo),
                "squared_error": float(squared_error),
                **active,
            },
        )

    def settings(self, epoch: float) -> dict[str, float]:
        return {"beta": beta_at(self.config, epoch)}

    def _noise(self, count: int, seed: int) -> Tensor:
        # Its own stream: `seed` alone also seeds augmentation. On the CPU, so that every device gets the same.
        generator = torch_generator(stream_seed("latents", seed))
        return torch.randn((count, self.model.latent_dim), generator=generator)


def _columns(terms: Terms, means: Tensor) -> Tensor:
    means = means.float()
    columns = [terms.reconstruction[:, None], terms.squared_error[:, None], terms.kl, means, means.square()]
    return torch.cat(columns, dim=1).detach()
