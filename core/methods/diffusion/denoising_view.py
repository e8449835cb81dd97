"""One step of denoising as pictures: what the network is given, what it predicts under each prompt, what that makes.

Source: the quantities of Clark & Jaini 2023, arXiv:2303.15233, before they are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.errors import ConfigError
from core.finite import require_finite
from core.methods.diffusion.sampling_plan import usable_steps
from core.models.diffusion import LatentDiffusion
from core.notebook import Drawn
from core.seeding import stream_seed, torch_generator

MAP_STEPS = 16
# Of the schedule: earlier the image shows through under any prompt, later nothing is left of it.
_MAP_RANGE = (0.2, 0.8)


@dataclass(frozen=True, kw_only=True)
class DenoisingView(Drawn):
    """Pictures of one time step; latents are decoded, noise is shown by its first three channels.

    Attributes:
        time_step: of the schedule, from 0.
        signal: share of the latent's variance that is still the image's, ᾱ.
        original: (side, side, 3) uint8, the latent decoded without noise: all that the network could know.
        noised: (side, side, 3) uint8.
        noise: (height, width, 3) uint8.
        predicted: (prompts, height, width, 3) uint8, the noise under each prompt.
        reconstructed: (prompts, side, side, 3) uint8, what is left when that noise is taken away.
        error: (prompts, height, width) squared error of the noise, mean over channels.
    """

    time_step: int
    signal: float
    original: np.ndarray
    noised: np.ndarray
    noise: np.ndarray
    predicted: np.ndarray
    reconstructed: np.ndarray
    error: np.ndarray


@torch.inference_mode()
def denoising_view(
    model: LatentDiffusion, latent: Tensor, prompts: Tensor, time_step: int, *, seed: int = 0
) -> DenoisingView:
    """Noise `latent` to `time_step` and denoise it under each of `prompts` (prompts, length, dim), with one noise.

    Raises:
        ConfigError: at this step there is noise alone, which nothing can be reconstructed from.
    """
    if time_step not in usable_steps(model.alphas_cumprod):
        raise ConfigError(f"At time step {time_step} there is not both picture and noise.", "Choose another.")
    require_finite("The latent", latent)
    count = len(prompts)
    steps, which = _repeat(time_step, count, latent), torch.arange(count, device=latent.device)
    noise = _draw(latent, seed)
    noised = _add_noise(model, latent, noise, time_step)
    predicted = model.denoiser(prompts)(noised.expand(count, *latent.shape), steps, which)
    require_finite("The predicted noise", predicted)
    kept = float(model.alphas_cumprod[time_step])
    reconstructed = (noised - (1 - kept) ** 0.5 * predicted) / kept**0.5
    decoded = _pixels(model.decode(torch.cat([latent[None], noised[None], reconstructed])))
    return DenoisingView(
        time_step=time_step,
        signal=kept,
        original=decoded[0],
        noised=decoded[1],
        noise=_colours(noise[None])[0],
        predicted=_colours(predicted),
        reconstructed=decoded[2:],
        error=(predicted - noise).square().mean(dim=1).cpu().numpy(),
    )


@torch.inference_mode()
def advantage_map(model: LatentDiffusion, latent: Tensor, prompts: Tensor, *, seed: int = 0) -> np.ndarray:
    """Where the first of two prompts denoises better: (height, width), positive there, mean over `MAP_STEPS` steps.

    `prompts`: (2, length, dim). The unit is the noise's variance.
    """
    low, high = (round(share * len(model.alphas_cumprod)) for share in _MAP_RANGE)
    require_finite("The latent", latent)
    total = np.zeros(latent.shape[1:])
    for number, time_step in enumerate(np.linspace(low, high, MAP_STEPS).round().astype(int)):
        noise = _draw(latent, seed, number)
        noised = _add_noise(model, latent, noise, int(time_step)).expand(2, *latent.shape)
        which = torch.arange(2, device=latent.device)
        predicted = model.denoiser(prompts)(noised, _repeat(int(time_step), 2, latent), which)
        require_finite("The predicted noise", predicted)
        first, second = (predicted - noise).square().mean(dim=1).cpu().numpy()
        total += second - first
    return total / MAP_STEPS


def _draw(latent: Tensor, seed: int, number: int = 0) -> Tensor:
    # On the CPU, so that the pictures are the same on every device.
    generator = torch_generator(stream_seed("noise shown", seed, number))
    return torch.randn(latent.shape, generator=generator).to(latent.device)


def _add_noise(model: LatentDiffusion, latent: Tensor, noise: Tensor, time_step: int) -> Tensor:
    kept = float(model.alphas_cumprod[time_step])
    return kept**0.5 * latent.float() + (1 - kept) ** 0.5 * noise


def _repeat(time_step: int, count: int, latent: Tensor) -> Tensor:
    return torch.full((count,), time_step, device=latent.device)


def _pixels(images: Tensor) -> np.ndarray:
    """(batch, 3, side, side) in [−1, 1] → (batch, side, side, 3) uint8."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def _colours(latents: Tensor) -> np.ndarray:
    """The first three channels of (batch, channels, height, width) as (batch, height, width, 3) uint8; grey is 0."""
    first = latents[:, [min(channel, latents.shape[1] - 1) for channel in range(3)]]
    return (first * 45 + 127.5).clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
