"""The network at work: errors of noise and reconstruction for pairs of a sample and a prompt, in full batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from core.methods.diffusion.sampling_plan import (
    Plan,
)
from core.seeding import published_stream, torch_generator

# noise predicted for (latents, time steps, prompt indices), all with the same first axis
Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]


_HUBER_DELTA = 1.0


@dataclass
class DenoisingErrors:
    """The network at work: packs (sample, prompt) pairs into full batches and counts.

    `order`: (samples,) which of the drawn samples each one is. Its noise goes with it.
    """

    denoise: Denoiser
    latent: Tensor
    alphas_cumprod: np.ndarray
    plan: Plan
    batch_size: int
    order: np.ndarray
    calls: int = 0
    batches: int = 0
    _noise: dict[int, Tensor] = field(default_factory=dict)

    def measure(
        self,
        samples: np.ndarray,
        which: range,
        prompts: Sequence[int],
        noise_error: np.ndarray,
        reconstruction_error: np.ndarray,
    ) -> None:
        """Fill the rows `which` of both tables for `prompts`; samples outermost."""
        pairs = [(sample, prompt) for sample in which for prompt in prompts]
        self._noise = {sample: self._sample_noise(sample) for sample in which}
        start = 0
        while start < len(pairs):
            batch = pairs[start : start + self.batch_size]
            try:
                noise, reconstruction = self._errors(samples, batch)
            except torch.cuda.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                torch.cuda.empty_cache()
                self.batch_size = max(1, len(batch) // 2)
                continue
            rows, columns = np.asarray(batch).T
            noise_error[rows, columns] = noise
            reconstruction_error[rows, columns] = reconstruction
            self.calls += len(batch)
            self.batches += 1
            start += len(batch)

    def _sample_noise(self, sample: int) -> Tensor:
        # A seed for each sample, drawn on the CPU: the same noise on every device and for every size of batch.
        drawn = int(self.order[sample])
        generator = torch_generator(int(published_stream("noise of a draw", self.plan.seed, drawn).integers(2**62)))
        return torch.randn(self.latent.shape, generator=generator).to(self.latent.device)

    def _errors(self, samples: np.ndarray, batch: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        """(batch,) noise and reconstruction error of each pair."""
        steps = samples[[sample for sample, _ in batch]]
        kept = self.alphas_cumprod[steps]
        signal, noise_scale = self._column(np.sqrt(kept)), self._column(np.sqrt(1 - kept))
        noise = torch.stack([self._noise[sample] for sample, _ in batch])
        noised = signal * self.latent.float() + noise_scale * noise
        device = self.latent.device
        predicted = self.denoise(
            noised, torch.from_numpy(steps).to(device), torch.tensor([prompt for _, prompt in batch], device=device)
        )
        # ẑ − z = −√((1 − ᾱ)/ᾱ) (ε̂ − ε), so one residual serves both.
        residual = predicted.float() - noise
        return self._distance(residual), self._distance(residual * noise_scale / signal)

    def _column(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.latent.device)[:, None, None, None]

    def _distance(self, residual: Tensor) -> np.ndarray:
        flat = residual.flatten(1)
        if self.plan.distance == "l2":
            values = flat.square()
        elif self.plan.distance == "l1":
            values = flat.abs()
        else:
            values = torch.nn.functional.huber_loss(flat, torch.zeros_like(flat), reduction="none", delta=_HUBER_DELTA)
        return values.mean(dim=1).cpu().numpy()
