"""How well a VAE explains pictures: the evidence lower bound in its parts, and a tighter one from many latents.

Sources: Kingma & Welling 2014, arXiv:1312.6114; Burda et al. 2016, arXiv:1509.00519 (the importance-weighted bound).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from core.errors import ConfigError
from core.finite import require_finite
from core.methods.latent.passes import noise_for, pixel_batches
from core.models.priors import log_normal, log_prior
from core.models.vae import VAE, elbo_terms, log_likelihood

# Latents decoded at once.
_AT_ONCE = 8192


@dataclass(frozen=True, kw_only=True)
class ElboTerms:
    """The bound of every picture in its parts, in nats, at β = 1 and without free bits.

    Attributes:
        reconstruction: (images,) −ln p(x|z) for one latent drawn for each, constants included.
        kl: (images, latent_dim), worked out exactly.
        squared_error: (images,) ‖x − mean picture‖² over all pixels.
    """

    reconstruction: np.ndarray
    kl: np.ndarray
    squared_error: np.ndarray

    @property
    def elbo(self) -> np.ndarray:
        """(images,)"""
        return -self.reconstruction - self.kl.sum(axis=1)

    def averages(self) -> dict[str, float]:
        """Means over the pictures, and the standard error of the ELBO's."""
        elbo = self.elbo.astype(np.float64)
        return {
            "reconstruction": float(self.reconstruction.mean(dtype=np.float64)),
            "kl": float(self.kl.sum(axis=1, dtype=np.float64).mean()),
            "elbo": float(elbo.mean()),
            "elbo_standard_error": standard_error(elbo),
            "squared_error": float(self.squared_error.mean(dtype=np.float64)),
        }


@dataclass(frozen=True, kw_only=True)
class ImportanceBound:
    """ln p(x) from below by `draws` latents for each picture.

    Attributes:
        bounds: (images,) nats.
        draws: k; 1 is an ELBO whose KL is drawn too.
    """

    bounds: np.ndarray
    draws: int

    @property
    def mean(self) -> float:
        return float(self.bounds.mean(dtype=np.float64))

    @property
    def standard_error(self) -> float:
        """Of the mean, over pictures."""
        return standard_error(self.bounds)


@torch.inference_mode()
def elbo(model: VAE, images: Any, *, seed: int = 0) -> ElboTerms:
    """The parts of the ELBO of each picture.

    Args:
        images: (images, height, width, channels) uint8.
        seed: of the latent that is drawn for each.

    Raises:
        ShapeError: the model takes another size or another number of channels.
    """
    parts = []
    for start, pixels in pixel_batches(model, images):
        noise = noise_for(range(start, start + len(pixels)), 1, model.config.latent_dim, seed)[:, 0]
        terms = elbo_terms(model.config, model(pixels, noise.to(pixels.device)), pixels)
        parts.append([each.float().cpu().numpy() for each in terms])
    reconstruction, kl, squared_error = (np.concatenate(each) for each in zip(*parts, strict=True))
    return ElboTerms(reconstruction=reconstruction, kl=kl, squared_error=squared_error)


@torch.inference_mode()
def importance_bound(model: VAE, images: Any, draws: int, *, seed: int = 0) -> ImportanceBound:
    """ln (1/k) Σ p(x, z_i)/q(z_i|x) with k = `draws` latents from the posterior; it grows with k towards ln p(x).

    Args:
        images: (images, height, width, channels) uint8.

    Raises:
        ConfigError: `draws` is below 1.
        ShapeError: the model takes another size or another number of channels.
    """
    if draws < 1:
        raise ConfigError(f"The bound was asked for {draws} latents a picture.", "Draw at least one.")
    config, parts = model.config, []
    for start, pixels in pixel_batches(model, images, max(1, _AT_ONCE // draws)):
        mean, log_variance = (each[:, None] for each in model.encode(pixels))
        noise = noise_for(range(start, start + len(pixels)), draws, config.latent_dim, seed).to(pixels.device)
        weights = torch.empty((len(pixels), draws), device=pixels.device)
        # One picture may have more latents than fit.
        for first in range(0, draws, _AT_ONCE):
            latents = mean + torch.exp(log_variance / 2) * noise[:, first : first + _AT_ONCE]
            count = latents.shape[1]
            parameters = model.decode(latents.flatten(0, 1))
            repeated = pixels.repeat_interleave(count, dim=0)
            likelihood = log_likelihood(config, parameters, repeated, model.pixel_log_variance())
            weights[:, first : first + count] = (
                likelihood.unflatten(0, (len(pixels), count))
                + log_prior(config.prior, latents, config.prior_scale)
                - log_normal(latents, mean, log_variance)
            )
        parts.append((weights.logsumexp(dim=1) - math.log(draws)).cpu().numpy())
    return ImportanceBound(bounds=np.concatenate(parts), draws=draws)


def standard_error(values: np.ndarray) -> float:
    """Of the mean of independent values; 0 for a single one, which says nothing about it."""
    require_finite("The values", values)
    return float(values.std(ddof=1, dtype=np.float64) / math.sqrt(len(values))) if len(values) > 1 else 0.0
