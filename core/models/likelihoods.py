"""How probable an image is under what a decoder says of every pixel: log-likelihoods in nats, summed over pixels.

Densities (the Gaussians and the continuous Bernoulli) and probabilities (the Bernoulli) are in different units: their
values must never be compared with each other.

Sources: Kingma & Welling 2014, arXiv:1312.6114 (Gaussian and Bernoulli); Loaiza-Ganem & Cunningham 2019,
arXiv:1907.06845 (continuous Bernoulli); Rybkin et al. 2021, arXiv:2006.13202 (one learned variance).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Likelihood = Literal["gaussian", "gaussian_learned", "bernoulli", "continuous_bernoulli"]

# Below this, series in the logit are exact in fp32, and the closed forms divide nearly zero by nearly zero.
_SMALL_LOGIT = 0.3


def gaussian_log_likelihood(means: Tensor, images: Tensor, log_variance: Tensor | float) -> Tensor:
    """−½‖x − mean‖²/σ² − (D/2) ln 2πσ², one variance for all pixels.

    Args:
        means, images: (batch, channels, height, width).
        log_variance: ln σ², a number or a tensor without axes.

    Returns:
        (batch,) nats; a density, so that it may be above 0.
    """
    # The logarithm is of σ², so that a variance learned as it stays positive.
    log_variance = torch.as_tensor(log_variance, dtype=means.dtype, device=means.device)
    squares = (means - images).square().flatten(1).sum(dim=1)
    pixels = images[0].numel()
    return -0.5 * (squares * torch.exp(-log_variance) + pixels * (math.log(2 * math.pi) + log_variance))


def bernoulli_log_likelihood(logits: Tensor, images: Tensor) -> Tensor:
    """x ln p + (1 − x) ln(1 − p): (batch, channels, height, width) twice → (batch,) nats.

    A log-likelihood only where all pixels are 0 or 1. Of grey pixels it is minus a cross-entropy, which cannot come
    above −`entropy_floor`.
    """
    return -F.binary_cross_entropy_with_logits(logits, images, reduction="none").flatten(1).sum(dim=1)


def continuous_bernoulli_log_likelihood(logits: Tensor, images: Tensor) -> Tensor:
    """As the Bernoulli's with ln C added for every pixel, which makes it a density over [0, 1]."""
    return bernoulli_log_likelihood(logits, images) + log_normaliser(logits).flatten(1).sum(dim=1)


def log_normaliser(logits: Tensor) -> Tensor:
    """ln C of the continuous Bernoulli, of each logit; ln 2 at 0.

    C = 2 atanh(1 − 2p) / (1 − 2p), which in the logit is ℓ / tanh(ℓ/2). Near p = ½ that is 0/0, and the Taylor series
    ln 2 + ℓ²/12 − 7ℓ⁴/1440 + 31ℓ⁶/90720 stands in for it.
    """
    small = logits.abs() < _SMALL_LOGIT
    square = torch.where(small, logits, 0.0).square()
    series = math.log(2) + square * (1 / 12 + square * (-7 / 1440 + square * (31 / 90720)))
    # The branch that is not taken needs a harmless value: its gradient is multiplied by 0, and 0 · inf is no number.
    safe = torch.where(small, 1.0, logits).abs()
    return torch.where(small, series, torch.log(safe) - torch.log(torch.tanh(safe / 2)))


def continuous_bernoulli_mean(logits: Tensor) -> Tensor:
    """The expected pixel, in [0, 1]: 1/(1 − e^−ℓ) − 1/ℓ, which is not sigmoid(ℓ)."""
    small = logits.abs() < _SMALL_LOGIT
    near = torch.where(small, logits, 0.0)
    series = 0.5 + near / 12 - near**3 / 720 + near**5 / 30240
    safe = torch.where(small, 1.0, logits)
    return torch.where(small, series, -1 / torch.expm1(-safe) - 1 / safe)


def entropy_floor(images: Tensor) -> Tensor:
    """(batch, channels, height, width) in [0, 1] → (batch,) nats: the entropy of every pixel taken as a probability.

    No Bernoulli decoder has a smaller cross-entropy with these images; 0 where all pixels are 0 or 1.
    """
    return (-torch.xlogy(images, images) - torch.xlogy(1 - images, 1 - images)).flatten(1).sum(dim=1)
