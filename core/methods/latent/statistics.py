"""What each latent dimension does over many pictures: its KL, its mean, its variance, and whether it is used at all.

Source: Burda et al. 2016, arXiv:1509.00519, section 5.3 (active units).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from core.methods.latent.passes import pixel_batches
from core.models.priors import prior_kl
from core.models.vae import VAE

ACTIVE_DELTA = 0.01


@dataclass(frozen=True, kw_only=True)
class LatentStatistics:
    """The posteriors of many pictures.

    Attributes:
        means: (images, latent_dim), of each picture's posterior.
        log_variances: (images, latent_dim), natural logarithms.
        kl: (latent_dim,) nats, averaged over the pictures.
    """

    means: np.ndarray
    log_variances: np.ndarray
    kl: np.ndarray

    @property
    def spread(self) -> np.ndarray:
        """(latent_dim,) the variance of the posterior means over the pictures: 0 for a dimension that says nothing."""
        return self.means.var(axis=0, dtype=np.float64).astype(np.float32)

    @property
    def average_mean(self) -> np.ndarray:
        """(latent_dim,) 0 for a dimension that stays at the prior."""
        return self.means.mean(axis=0, dtype=np.float64).astype(np.float32)

    @property
    def average_log_variance(self) -> np.ndarray:
        """(latent_dim,) 0 for a dimension that stays at a Normal prior."""
        return self.log_variances.mean(axis=0, dtype=np.float64).astype(np.float32)

    def active(self, delta: float = ACTIVE_DELTA) -> np.ndarray:
        """(latent_dim,) bool: the means vary by more than `delta`.

        Of means, not of samples: those of an unused dimension have the prior's whole variance.
        """
        return self.spread > delta

    def order(self) -> np.ndarray:
        """(latent_dim,) the dimensions, that with the largest KL first."""
        return np.argsort(-self.kl, kind="stable")


@torch.inference_mode()
def latent_statistics(model: VAE, images: Any) -> LatentStatistics:
    """Encode every picture.

    Args:
        images: (images, height, width, channels) uint8.

    Raises:
        ShapeError: the model takes another size or another number of channels.
    """
    config = model.config
    means, log_variances = [], []
    kl = np.zeros(config.latent_dim)
    for _, pixels in pixel_batches(model, images):
        mean, log_variance = (each.float() for each in model.encode(pixels))
        found = prior_kl(config.prior, mean, log_variance, config.prior_scale)
        kl += found.cpu().double().sum(dim=0).numpy()
        means.append(mean.cpu().numpy())
        log_variances.append(log_variance.cpu().numpy())
    return LatentStatistics(
        means=np.concatenate(means),
        log_variances=np.concatenate(log_variances),
        kl=(kl / len(images)).astype(np.float32),
    )
