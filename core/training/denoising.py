"""Denoising as an objective: the loss of a text-to-image diffusion model, and what it classifies on the way.

Sources: Ho et al. 2020, arXiv:2006.11239; Salimans & Ho 2022, arXiv:2202.00512 (the velocity);
Clark & Jaini 2023, arXiv:2303.15233 (classification by denoising).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.device import send
from core.seeding import stream, stream_seed, torch_generator
from core.training.batches import Batch

# Of the schedule. Earlier the image shows through the noise whatever the prompt says, later nothing is left of it.
_VALIDATION_SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


class Denoising:
    """The objective of `core.models.small_diffusion.TextToImage`: an image, noised, and a prompt that is true of it."""

    groups = None
    has_hits = False

    def __init__(
        self, prompts: Tensor, empty: Tensor, latent_shape: tuple[int, int, int], *, steps: int, drop_share: float = 0.1
    ) -> None:
        """Keep what the images are captioned with.

        Args:
            prompts: (classes, templates, length) int ids; validation asks by the first template.
            empty: (length,) ids of the empty prompt.
            latent_shape: (channels, height, width).
            steps: of the schedule.
            drop_share: of the images get the empty prompt, so that samples can be guided.
        """
        self.prompts, self.empty, self.drop_share = prompts.long(), empty.long(), drop_share
        self.latent_shape, self.steps = latent_shape, steps

    def losses(self, network: Callable[..., Any], images: Tensor, batch: Batch, seed: int) -> tuple[Tensor, None]:
        count, device = len(images), images.device
        random = stream("denoising", seed)
        # One time step from each of `count` equal parts of the schedule: the loss varies less than with free draws.
        shares = (random.permutation(count) + random.random(count)) / count
        chosen = self.prompts[batch.labels.cpu(), torch.from_numpy(random.integers(0, self.prompts.shape[1], count))]
        ids = torch.where(torch.from_numpy(random.random(count) < self.drop_share)[:, None], self.empty, chosen)
        generator = torch_generator(int(random.integers(2**62)))
        noise = torch.randn((count, *self.latent_shape), generator=generator)
        steps = torch.from_numpy((shares * self.steps).astype(np.int64))
        predicted, velocity, decoded = network(images, *(send(each, device) for each in (noise, steps, ids)))
        losses = (predicted.float() - velocity).square().mean(dim=(1, 2, 3))
        missed = (decoded.float() - images[: len(decoded)]).abs().mean()
        # The decoder learns from its own error, which is no part of the loss that is reported.
        return losses + (missed - missed.detach()), None

    def classifier(self, model: nn.Module) -> nn.Module:
        return ByDenoising(model, self.prompts[:, 0], self.latent_shape)


class ByDenoising(nn.Module):
    """Images → logits: minus the error of the noise under each class's prompt, at a few fixed time steps.

    A quick stand-in for `core.methods.diffusion.diffusion_classifier`, to watch a training by: as many passes for every
    image.
    """

    def __init__(self, model: Any, prompts: Tensor, latent_shape: tuple[int, int, int]) -> None:
        """`prompts`: (classes, length) ids; the noise is drawn once, the same for all images and classes."""
        super().__init__()
        self.model = model
        self.latent_shape = latent_shape
        with torch.inference_mode():
            ids = prompts.to(model.alphas_cumprod.device)
            self.states = model.text_encoder.eval()(ids)[0]
        generator = torch_generator(stream_seed("validation noise"))
        self.noise = torch.randn((len(_VALIDATION_SHARES), *latent_shape), generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 3, side, side) in [−1, 1] → (batch, classes).

        Half the summed squared error is what a step adds to minus the evidence bound, with all steps weighing the same.
        """
        latents, classes = self.model.encode(images), len(self.states)
        repeated = latents.repeat_interleave(classes, dim=0)
        states = self.states.repeat(len(latents), 1, 1)
        total = torch.zeros(len(repeated), device=images.device)
        for share, noise in zip(_VALIDATION_SHARES, self.noise.to(images.device), strict=True):
            step = int(share * len(self.model.alphas_cumprod))
            kept = self.model.alphas_cumprod[step]
            noised = kept.sqrt() * repeated + (1 - kept).sqrt() * noise
            steps = torch.full((len(repeated),), step, device=images.device)
            velocity = self.model.unet(noised, steps, encoder_hidden_states=states).sample.float()
            predicted = kept.sqrt() * velocity + (1 - kept).sqrt() * noised
            total += (predicted - noise).square().mean(dim=(1, 2, 3))
        scale = math.prod(self.latent_shape) / 2 / len(self.noise)
        return -scale * total.unflatten(0, (len(latents), classes))
