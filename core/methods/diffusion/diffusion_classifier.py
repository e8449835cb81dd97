"""Which prompt an image belongs to, by how well a diffusion model denoises the image under each prompt.

The image is noised, the network predicts the noise under every prompt, and the prompt with the smallest expected error
wins. Noise and time step of a sample are the same for all prompts, so that their errors differ by the prompt alone.

Sources: Clark & Jaini 2023, arXiv:2303.15233 (weighted reconstruction error, paired t-test pruning);
Li et al. 2023, arXiv:2303.16203 (noise error, evenly spaced time steps, stages).
Differs from the papers: the t-test is two-sided (Clark & Jaini leave that open) and is looked at every few samples
instead of after each, so that the result does not depend on the size of the batches; time steps count from 0; no sample
is taken where the schedule leaves nothing of the image (ᾱ = 0, zero terminal SNR) or adds no noise (ᾱ = 1); evenly
spaced steps reach both ends for every number of them (Li et al.'s code does where the number divides the schedule).
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from core.errors import ConfigError, CoreError
from core.finite import require_finite
from core.methods.diffusion.denoising_error import Denoiser, DenoisingErrors
from core.methods.diffusion.elimination import Pruned, look, ranking
from core.methods.diffusion.forecast import Forecast, fitting_covariance
from core.methods.diffusion.sampling_plan import (
    Objective,
    Plan,
    next_look,
    next_report,
    reconstruction_weights,
    sample_time_steps,
    usable_steps,
)
from core.models.denoising_differences import DifferenceCovariance
from core.notebook import Drawn

# Calls after which a classification is reported, if they fill a batch: some seconds of the bundled pipeline on a CPU.
_MOST_UNSEEN = 500


@dataclass(frozen=True, kw_only=True)
class Classification(Drawn):
    """Where the classification is.

    Attributes:
        noise_error: (samples, prompts) distance between the noise and its prediction; NaN where not computed.
        reconstruction_error: the same of the latent and its reconstruction, not yet weighted.
        time_steps: (samples,) of the samples so far.
        weights: (samples,) of the reconstruction error.
        objective: which of the two decides.
        alive: prompts not yet eliminated, the best first.
        pruned: the others, in the order in which they left.
        calls: evaluations of the network, one for each latent that it saw.
        batches: forward passes.
        seconds: spent so far, all included.
        steps: samples of a prompt that stays to the end.
        finished: nothing is left to do.
        planned: (steps,) time steps of all samples in the order of use, also of those that were not reached.
        expected, deviation: (samples, prompts) of the foretold mean error over all samples, where prompts leave by it.
    """

    noise_error: np.ndarray
    reconstruction_error: np.ndarray
    time_steps: np.ndarray
    weights: np.ndarray
    objective: Objective
    alive: tuple[int, ...]
    pruned: tuple[Pruned, ...]
    calls: int
    batches: int
    seconds: float
    steps: int
    finished: bool = False
    planned: np.ndarray | None = None
    expected: np.ndarray | None = None
    deviation: np.ndarray | None = None

    @property
    def step(self) -> int:
        """Samples so far."""
        return len(self.time_steps)

    @property
    def predicted(self) -> int:
        return self.alive[0]

    @property
    def samples(self) -> np.ndarray:
        """(prompts,) samples that each took part in."""
        return (~np.isnan(self.noise_error)).sum(axis=0)

    def scores(self, objective: Objective | None = None) -> np.ndarray:
        """(samples, prompts) what is averaged and compared; NaN where a prompt had left."""
        if (objective or self.objective) == "noise":
            return self.noise_error
        return self.reconstruction_error * self.weights[:, None]

    def order(self, objective: Objective | None = None) -> tuple[int, ...]:
        """All prompts, the best first: those alive by their mean score, then the last to leave.

        Under the other objective, which nothing was decided by: by the mean over the samples that all prompts took part
        in.
        """
        if objective in (None, self.objective):
            return (*self.alive, *(each.prompt for each in reversed(self.pruned)))
        scores = self.scores(objective)
        return ranking(scores[~np.isnan(scores).any(axis=1)], range(scores.shape[1]))


def classify(
    denoise: Denoiser,
    latent: Tensor,
    prompts: int,
    alphas_cumprod: np.ndarray,
    plan: Plan,
    *,
    batch_size: int = 64,
    begin: Classification | None = None,
    covariance: DifferenceCovariance | None = None,
) -> Generator[Classification, None, Classification]:
    """Compare `prompts` sample by sample and eliminate the worst; yields after every look and returns the last state.

    Args:
        denoise: predicts the noise in (batch, channels, height, width) latents at (batch,) time steps under (batch,)
            prompt indices. A prediction of another kind is converted by its adapter.
        latent: (channels, height, width), scaled as the network wants it.
        prompts: how many.
        alphas_cumprod: (time steps,) ᾱ of the schedule, float64; all arithmetic but the network's own is fp32 or finer.
            Only its `usable_steps` are drawn.
        batch_size: latents in a forward pass. It never changes the result; running out of GPU memory halves it.
        begin: a classification of the same plan, prompts and latent that was stopped, to go on with.
        covariance: what was learned of the pipeline, for a forecast of its noise error; without it all samples are
            taken to tell as much.

    Raises:
        ConfigError: there is no prompt, `begin` is another classification, or no time step mixes image and noise.
        CoreError: the network gives no numbers.
    """
    if prompts < 1:
        raise ConfigError("There is no prompt to compare.", "Give at least one label.")
    require_finite("The latent", latent)
    began = time.perf_counter()
    usable = usable_steps(alphas_cumprod)
    if not len(usable):
        raise ConfigError("No time step of the schedule mixes image and noise.", "Check the scheduler's betas.")
    samples = usable[sample_time_steps(plan, len(usable))]
    forecast = _forecast(plan, samples, len(alphas_cumprod), prompts, covariance)
    order = np.arange(len(samples)) if forecast is None else forecast.order
    samples = samples[order]
    bench = DenoisingErrors(denoise, latent, np.asarray(alphas_cumprod, dtype=np.float64), plan, batch_size, order)
    noise_error = np.full((len(samples), prompts), np.nan, dtype=np.float32)
    reconstruction_error = noise_error.copy()
    weights = reconstruction_weights(plan, samples, len(alphas_cumprod))
    alive: tuple[int, ...] = tuple(range(prompts))
    pruned: list[Pruned] = []
    done, spent = 0, 0.0
    if begin is not None:
        done, spent = begin.step, begin.seconds
        if begin.scores().shape[1] != prompts or not np.array_equal(begin.time_steps, samples[:done]):
            raise ConfigError("The classification to go on with is of another plan or other prompts.", "Begin anew.")
        noise_error[:done], reconstruction_error[:done] = begin.noise_error, begin.reconstruction_error
        alive, pruned = begin.alive, list(begin.pruned)
        bench.calls, bench.batches = begin.calls, begin.batches
        if forecast is not None:
            forecast.add(begin.scores())

    def classification(finished: bool) -> Classification:
        return Classification(
            noise_error=noise_error[:done].copy(),
            reconstruction_error=reconstruction_error[:done].copy(),
            time_steps=samples[:done],
            weights=weights[:done],
            objective=plan.objective,
            alive=alive,
            pruned=tuple(pruned),
            calls=bench.calls,
            batches=bench.batches,
            seconds=spent + time.perf_counter() - began,
            steps=len(samples),
            finished=finished,
            planned=samples,
            **_told(forecast),
        )

    while done < len(samples) and (len(alive) > 1 or not done):
        patience = max(1, max(_MOST_UNSEEN, bench.batch_size) // len(alive))
        until = next_report(plan, done, len(samples), patience, len(alive))
        bench.measure(samples, range(done, until), sorted(alive), noise_error, reconstruction_error)
        measured = noise_error[done:until, list(alive)], reconstruction_error[done:until, list(alive)]
        if not all(np.isfinite(errors).all() for errors in measured):
            raise CoreError("The network's predictions are not numbers.", "Compute in fp32.")
        scores = noise_error if plan.objective == "noise" else reconstruction_error * weights[:, None]
        if forecast is not None:
            forecast.add(scores[done:until])
        done = until
        alive, leaving = look(plan, scores[:done], alive, forecast, pruned)
        pruned += leaving
        yield classification(finished=done == len(samples) or len(alive) == 1)
    return classification(finished=True)


def replay(
    noise_error: np.ndarray,
    reconstruction_error: np.ndarray,
    time_steps: np.ndarray,
    plan: Plan,
    steps: int,
    covariance: DifferenceCovariance | None = None,
) -> Classification:
    """The classification that `plan` would have run, from errors that were measured before: no network is asked.

    Errors of the full grid serve any objective, decay, pruning and lesser number of samples. Distance, seed and time
    steps are those that were recorded, whatever `plan` says of them.

    Args:
        noise_error, reconstruction_error: (samples, prompts); numbers at least where the classification will look.
        time_steps: (samples,) of the samples; a forecast needs those that were not reached too (`planned`).
        steps: time steps of the schedule.
        covariance: as for `classify`.

    Returns:
        The last state. Its `calls` are those that the plan needs; it took no batches and no time.

    Raises:
        ConfigError: the plan looks where nothing was measured.
    """
    most, prompts = plan.most_samples, noise_error.shape[1]
    time_steps = time_steps[:most]
    forecast = _forecast(plan, time_steps, steps, prompts, covariance)
    if forecast is not None:
        missing = [(0, max(0, len(time_steps) - len(noise_error))), (0, 0)]
        noise_error, reconstruction_error = (
            np.pad(errors[: len(time_steps)], missing, constant_values=np.nan)[forecast.order]
            for errors in (noise_error, reconstruction_error)
        )
        time_steps = time_steps[forecast.order]
    noise_error, reconstruction_error = noise_error[:most], reconstruction_error[:most]
    weights = reconstruction_weights(plan, time_steps[: len(noise_error)], steps)
    scores = noise_error if plan.objective == "noise" else reconstruction_error * weights[:, None]
    seen = np.zeros((min(most, len(scores)), prompts), dtype=bool)
    alive: tuple[int, ...] = tuple(range(prompts))
    pruned: list[Pruned] = []
    done = 0
    while done < most and (len(alive) > 1 or not done):
        until = next_look(plan, done, most, len(alive))
        if len(scores) < until or np.isnan(scores[done:until, list(alive)]).any():
            raise ConfigError(
                f"The plan goes to sample {until}, but not every prompt that is left was measured until there.",
                "Replay fewer samples, or record the full grid.",
            )
        seen[done:until, list(alive)] = True
        known = np.where(seen[:until], scores[:until], np.nan)
        if forecast is not None:
            forecast.add(known[done:])
        done = until
        alive, leaving = look(plan, known, alive, forecast, pruned)
        pruned += leaving
    nothing = np.float32(np.nan)
    return Classification(
        noise_error=np.where(seen[:done], noise_error[:done], nothing),
        reconstruction_error=np.where(seen[:done], reconstruction_error[:done], nothing),
        time_steps=time_steps[:done],
        weights=weights[:done],
        objective=plan.objective,
        alive=alive,
        pruned=tuple(pruned),
        calls=int(seen.sum()),
        batches=0,
        seconds=0.0,
        steps=most,
        finished=True,
        planned=time_steps,
        **_told(forecast),
    )


def excess_error(classification: Classification) -> tuple[np.ndarray, np.ndarray]:
    """By how much each prompt's error is above the leader's, after every sample.

    Where prompts leave by a forecast, it is what was foretold of the mean over all samples: those that tell most come
    first, and what they say alone would be too much.

    Returns:
        mean: (samples, prompts) of the paired differences so far, as shares of the leader's mean error; NaN after a
            prompt has left.
        half_width: (samples, prompts) of the 95 % interval of that mean by Student's t, which knows nothing of the
            leader having been chosen by the same samples; NaN for the first sample. Of a forecast, 1.96 deviations.
    """
    from scipy.stats import t as student

    scores = classification.scores().astype(np.float64)
    leader = [classification.predicted]
    unit = max(float(scores[:, leader].mean()), 1e-12)
    if classification.expected is not None and classification.deviation is not None:
        mean = classification.expected - classification.expected[:, leader]
        half_width = 1.96 * np.hypot(classification.deviation, classification.deviation[:, leader])
        return mean / unit, half_width / unit
    differences = scores - scores[:, leader]
    counts = np.arange(1, len(scores) + 1, dtype=np.float64)[:, None]
    mean = np.cumsum(differences, axis=0) / counts
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.maximum(np.cumsum(differences**2, axis=0) / counts - mean**2, 0) * counts / (counts - 1)
        half_width = student.ppf(0.975, counts - 1) * np.sqrt(variance / counts)
    return mean / unit, half_width / unit


def _forecast(
    plan: Plan, time_steps: np.ndarray, steps: int, prompts: int, covariance: DifferenceCovariance | None
) -> Forecast | None:
    """A forecast of samples in the order in which they are drawn, where prompts leave by it."""
    if plan.pruning != "forecast":
        return None
    return Forecast(time_steps, steps, prompts, fitting_covariance(covariance, plan))


def _told(forecast: Forecast | None) -> dict[str, Any]:
    """What a classification tells of it so far."""
    if forecast is None:
        return {}
    return {"expected": forecast.expected.copy(), "deviation": forecast.deviation.copy()}
