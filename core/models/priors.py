"""What latents are believed to be before an image is seen: Normal or Laplace, independent in every dimension.

Of a Laplace distribution with scale b the variance is 2b²: unit variance, like the Normal's, asks for b = 1/√2. With
b = 1 a stress test would be twice as wide as it says.

Source: Kingma & Welling 2014, arXiv:1312.6114, appendix B (the Normal's divergence); the Laplace's is worked out here:
KL(N(μ, σ²) ‖ Laplace(0, b)) = ln 2b − ½ ln 2πeσ² + E|z|/b, E|z| = σ √(2/π) e^(−μ²/2σ²) + μ erf(μ/σ√2).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Prior = Literal["normal", "laplace"]

UNIT_VARIANCE = 1 / math.sqrt(2)  # the scale of a Laplace distribution of variance 1


def normal_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, e^log_variance) ‖ N(0, 1)) in nats, of each dimension; 0 only where they are equal."""
    # expm1 keeps the digits of σ² − 1 where a dimension has all but collapsed.
    return 0.5 * (mean.square() + torch.expm1(log_variance) - log_variance)


def laplace_kl(mean: Tensor, log_variance: Tensor, scale: float = UNIT_VARIANCE) -> Tensor:
    """KL(N(mean, e^log_variance) ‖ Laplace(0, scale)) in nats, of each dimension.

    Never 0: no Normal is a Laplace. The least, at unit variance, is 0.0484 (mean 0, deviation 0.886).
    """
    deviation = torch.exp(log_variance / 2)
    ratio = mean / deviation
    distance = deviation * math.sqrt(2 / math.pi) * torch.exp(-ratio.square() / 2)
    distance = distance + mean * torch.erf(ratio / math.sqrt(2))
    return math.log(2 * scale) - 0.5 * (math.log(2 * math.pi * math.e) + log_variance) + distance / scale


def prior_kl(prior: Prior, mean: Tensor, log_variance: Tensor, scale: float = UNIT_VARIANCE) -> Tensor:
    """The divergence from `prior`, of each dimension."""
    return normal_kl(mean, log_variance) if prior == "normal" else laplace_kl(mean, log_variance, scale)


def log_prior(prior: Prior, latents: Tensor, scale: float = UNIT_VARIANCE) -> Tensor:
    """(..., dims) → (...) nats: the log-density of latents."""
    if prior == "normal":
        return -0.5 * (latents.square() + math.log(2 * math.pi)).sum(dim=-1)
    return -(latents.abs() / scale + math.log(2 * scale)).sum(dim=-1)


def log_normal(latents: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """(..., dims) → (...) nats: the log-density of latents under N(mean, e^log_variance)."""
    squares = (latents - mean).square() * torch.exp(-log_variance)
    return -0.5 * (squares + log_variance + math.log(2 * math.pi)).sum(dim=-1)


def draw_prior(prior: Prior, count: int, dims: int, generator: torch.Generator, scale: float = UNIT_VARIANCE) -> Tensor:
    """(count, dims) latents, on the CPU."""
    if prior == "normal":
        return torch.randn((count, dims), generator=generator)
    # The difference of two exponentials is Laplace; with a uniform draw the logarithm of 0 would have to be kept out.
    pair = torch.empty((2, count, dims)).exponential_(generator=generator)
    return scale * (pair[0] - pair[1])
