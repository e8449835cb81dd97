"""Variational autoencoders for small images: an encoder of mean and variance, a decoder of every pixel's distribution.

Papers: Kingma & Welling 2014, arXiv:1312.6114; Rezende et al. 2014, arXiv:1401.4082.
Differs from the papers: ReLU for tanh; variances of decoder pixels are one number, fixed or learned; a Laplace prior
may take the Normal's place. The prior and the likelihood are part of the model: only with both is an ELBO defined.

Images are in [0, 1] everywhere, without further normalisation: the likelihood is of the pixels themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from core.configs import check_options, option
from core.errors import ConfigError, ShapeError
from core.models import likelihoods
from core.models.likelihoods import Likelihood
from core.models.priors import UNIT_VARIANCE, Prior, prior_kl

# Of the posterior: σ between 0.0067 and 148. Outside no gradient comes through, and e^x stays far from fp32's ends.
LOG_VARIANCE_BOUNDS = (-10.0, 10.0)
# Of the pixels, where it is learned. Pixels are multiples of 1/255 = e^−5.5: a density may not become a spike on them.
PIXEL_LOG_VARIANCE_BOUNDS = (-10.0, 2.0)


@dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """The shape of a VAE and what it assumes of latents and pixels; the defaults have 0.65 million parameters."""

    image_size: int = option(28, "Image size", "Side of the square input.", minimum=4, maximum=128, unit="px")
    channels: int = option(1, "Channels", "1 is grey, 3 is colour.", minimum=1, maximum=4)
    latent_dim: int = option(20, "Latent dimensions", "Two can be drawn as a map.", minimum=1, maximum=256)
    network: Literal["mlp", "conv"] = option("mlp", "Network", "Fully connected, or two strided convolutions.")
    hidden_dim: int = option(400, "Hidden width", "Of the fully connected network.", minimum=4, maximum=4096)
    width: int = option(
        32, "Filters", "Of the first convolution; the second has twice as many.", minimum=2, maximum=512
    )
    likelihood: Likelihood = option(
        "gaussian",
        "Decoder",
        "Distribution of a pixel. Their ELBOs cannot be compared: densities of grey values, or chances of 0 and 1.",
    )
    sigma: float = option(
        1.0, "Pixel deviation", "σ of the Gaussian decoder; 1 explains little and collapses.", minimum=0.01, maximum=10
    )
    binarise: bool = option(
        False, "Black and white", "Pixels above one half become 1, others 0: then a Bernoulli is a likelihood."
    )
    prior: Prior = option("normal", "Prior", "What latents are drawn from.")
    prior_scale: float = option(
        UNIT_VARIANCE, "Laplace scale", "1/√2 has unit variance, like the Normal.", minimum=0.05, maximum=10
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.network == "conv" and self.image_size % 4:
            raise ConfigError(
                f"Two strided convolutions do not divide an image of {self.image_size} pixels by 4.",
                "Choose network=mlp, or a side that 4 divides.",
            )
        if self.binarise and self.likelihood == "continuous_bernoulli":
            raise ConfigError(
                "A continuous Bernoulli is for grey pixels; of black and white ones its density has no bound.",
                "Set likelihood=bernoulli, or binarise=false.",
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: (channels, height, width)."""
        return self.channels, self.image_size, self.image_size

    @property
    def pixels(self) -> int:
        """D, the numbers in an image."""
        return math.prod(self.shape)

    @property
    def likelihood_constant(self) -> float:
        """(D/2) ln 2πσ² of a fixed Gaussian: the part of its reconstruction term that no image changes; else 0."""
        return self.pixels / 2 * math.log(2 * math.pi * self.sigma**2) if self.likelihood == "gaussian" else 0.0


class Posterior(NamedTuple):
    """(batch, latent_dim) each: mean and natural logarithm of the variance of the latents of an image."""

    mean: Tensor
    log_variance: Tensor


class Outputs(NamedTuple):
    """What one pass says.

    Attributes:
        parameters: (batch, channels, height, width): of every pixel the mean (Gaussians) or the logit (Bernoullis).
        mean, log_variance: of the latents, (batch, latent_dim).
        pixel_log_variance: ln σ² of all pixels; without axes.
    """

    parameters: Tensor
    mean: Tensor
    log_variance: Tensor
    pixel_log_variance: Tensor


class Terms(NamedTuple):
    """The parts of an ELBO, each for every image; ELBO = −reconstruction − the sum of kl.

    Attributes:
        reconstruction: (batch,) −ln p(x|z) in nats, constants included.
        kl: (batch, latent_dim) nats.
        squared_error: (batch,) ‖x − mean image‖² over all pixels: comparable whatever the decoder is.
    """

    reconstruction: Tensor
    kl: Tensor
    squared_error: Tensor


class VAE(nn.Module):
    """Images in, distributions out: `encode`, `decode`, or both with a latent drawn between."""

    fixed_log_variance: Tensor

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.decoder = _mlp(config) if config.network == "mlp" else _conv(config)
        if config.likelihood == "gaussian_learned":
            self.decoder_log_variance = nn.Parameter(torch.zeros(()))
        else:
            # Follows from the config and is not stored: fp16 would round it.
            self.register_buffer("fixed_log_variance", torch.tensor(2 * math.log(config.sigma)), persistent=False)

    @property
    def image_channels(self) -> int:
        """Of the pictures that it embeds: 1 where they are grey."""
        return self.config.channels

    def encode(self, images: Tensor) -> Posterior:
        """(batch, channels, height, width) in [0, 1] → the latents' distribution given each image.

        Raises:
            ShapeError: the images have another size or another number of channels.
        """
        if images.ndim != 4 or images.shape[1:] != self.config.shape:
            raise ShapeError(
                f"This VAE takes images of shape {self.config.shape}, got {tuple(images.shape[1:])}.",
                "Resize them, or turn them into grey or colour.",
            )
        mean, log_variance = self.encoder(prepare(self.config, images)).chunk(2, dim=1)
        return Posterior(mean, log_variance.clamp(*LOG_VARIANCE_BOUNDS))

    def decode(self, latents: Tensor) -> Tensor:
        """(batch, latent_dim) → what it says of every pixel, (batch, channels, height, width); see `Outputs`.

        Raises:
            ShapeError: the latents have another number of dimensions.
        """
        if latents.ndim != 2 or latents.shape[1] != self.config.latent_dim:
            raise ShapeError(
                f"This VAE decodes latents of {self.config.latent_dim} dimensions, got shape {tuple(latents.shape)}."
            )
        outputs = self.decoder(latents).unflatten(1, self.config.shape)
        # Means of grey values lie in [0, 1] like these; Bernoullis keep logits, for the sake of exact logarithms.
        return torch.sigmoid(outputs) if self.config.likelihood.startswith("gaussian") else outputs

    def forward(self, images: Tensor, noise: Tensor) -> Outputs:
        """One pass with z = mean + σ · noise; `noise`: (batch, latent_dim) standard normal."""
        mean, log_variance = self.encode(images)
        latents = mean + torch.exp(log_variance / 2) * noise
        return Outputs(self.decode(latents), mean, log_variance, self.pixel_log_variance())

    def pixel_log_variance(self) -> Tensor:
        """ln σ² of a pixel, without axes; of no meaning for Bernoullis."""
        if self.config.likelihood == "gaussian_learned":
            return self.decoder_log_variance.clamp(*PIXEL_LOG_VARIANCE_BOUNDS)
        return self.fixed_log_variance

    def mean_image(self, parameters: Tensor) -> Tensor:
        """What `decode` returned as the expected image, in [0, 1], of the same shape."""
        return mean_image(self.config, parameters)

    def embed(self, images: Tensor) -> Tensor:
        """The image as one vector, (batch, latent_dim): the mean of its latents."""
        return self.encode(images).mean


def prepare(config: VAEConfig, images: Tensor) -> Tensor:
    """The images whose likelihood is meant: themselves, or black and white ones. Twice is the same as once."""
    return (images > 0.5).to(images.dtype) if config.binarise else images


def mean_image(config: VAEConfig, parameters: Tensor) -> Tensor:
    """The expected image, in [0, 1], from what the decoder says of each pixel; the same shape."""
    if config.likelihood == "bernoulli":
        return torch.sigmoid(parameters)
    if config.likelihood == "continuous_bernoulli":
        return likelihoods.continuous_bernoulli_mean(parameters)
    return parameters


def log_likelihood(config: VAEConfig, parameters: Tensor, images: Tensor, pixel_log_variance: Tensor) -> Tensor:
    """ln p(x|z) of each image in nats, summed over pixels: (batch, channels, height, width) twice → (batch,)."""
    images = prepare(config, images)
    if config.likelihood == "bernoulli":
        return likelihoods.bernoulli_log_likelihood(parameters, images)
    if config.likelihood == "continuous_bernoulli":
        return likelihoods.continuous_bernoulli_log_likelihood(parameters, images)
    return likelihoods.gaussian_log_likelihood(parameters, images, pixel_log_variance)


def elbo_terms(config: VAEConfig, outputs: Outputs, images: Tensor) -> Terms:
    """The parts of the ELBO of `images`, in fp32 (or wider) whatever the pass was computed in."""
    parameters, mean, log_variance, pixel_log_variance = (
        each.float() if each.dtype in (torch.bfloat16, torch.float16) else each for each in outputs
    )
    if config.likelihood.startswith("gaussian"):
        # The squares that the likelihood is made of; large batches of small networks would notice them twice.
        missed = likelihoods.squared_error(parameters, prepare(config, images))
        reconstruction = -likelihoods.gaussian_of_squares(missed, config.pixels, pixel_log_variance)
    else:
        with torch.no_grad():
            missed = likelihoods.squared_error(mean_image(config, parameters), prepare(config, images))
        reconstruction = -log_likelihood(config, parameters, images, pixel_log_variance)
    return Terms(
        reconstruction=reconstruction,
        kl=prior_kl(config.prior, mean, log_variance, config.prior_scale),
        squared_error=missed.detach(),
    )


def _mlp(config: VAEConfig) -> tuple[nn.Module, nn.Module]:
    hidden = config.hidden_dim
    encoder = nn.Sequential(
        nn.Flatten(), nn.Linear(config.pixels, hidden), nn.ReLU(), nn.Linear(hidden, 2 * config.latent_dim)
    )
    decoder = nn.Sequential(nn.Linear(config.latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, config.pixels))
    return encoder, decoder


def _conv(config: VAEConfig) -> tuple[nn.Module, nn.Module]:
    """Each convolution halves the side, each transposed one doubles it; kernels of 4 overlap evenly at stride 2."""
    width, side = config.width, config.image_size // 4
    halve: dict[str, Any] = {"kernel_size": 4, "stride": 2, "padding": 1}
    encoder = nn.Sequential(
        nn.Conv2d(config.channels, width, **halve),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, **halve),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * side**2, 2 * config.latent_dim),
    )
    decoder = nn.Sequential(
        nn.Linear(config.latent_dim, 2 * width * side**2),
        nn.ReLU(),
        nn.Unflatten(1, (2 * width, side, side)),
        nn.ConvTranspose2d(2 * width, width, **halve),
        nn.ReLU(),
        nn.ConvTranspose2d(width, config.channels, **halve),
        nn.Flatten(),
    )
    return encoder, decoder
