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
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from core.errors import ConfigError, CoreError
from core.finite import require_finite
from core.methods.diffusion.denoising_error import Denoiser, DenoisingErrors
from core.methods.diffusion.sampling_plan import (
    Objective,
    Plan,
    next_look,
    next_report,
    reconstruction_weights,
    sample_time_steps,
    usable_steps,
)
from core.notebook import Drawn

# Calls after which a classification is reported, if they fill a batch: some seconds of the bundled pipeline on a CPU.
_MOST_UNSEEN = 500


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """A prompt that was eliminated: after which sample, and with which p-value (None at the end of a stage)."""

    prompt: int
    sample: int
    p_value: float | None


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
        return _ranking(scores[~np.isnan(scores).any(axis=1)], range(scores.shape[1]))


def classify(
    denoise: Denoiser,
    latent: Tensor,
    prompts: int,
    alphas_cumprod: np.ndarray,
    plan: Plan,
    *,
    batch_size: int = 64,
    begin: Classification | None = None,
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
    bench = DenoisingErrors(denoise, latent, np.asarray(alphas_cumprod, dtype=np.float64), plan, batch_size)
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
        )

    while done < len(samples) and (len(alive) > 1 or not done):
        until = next_report(plan, done, len(samples), max(1, max(_MOST_UNSEEN, bench.batch_size) // len(alive)))
        bench.measure(samples, range(done, until), sorted(alive), noise_error, reconstruction_error)
        measured = noise_error[done:until, list(alive)], reconstruction_error[done:until, list(alive)]
        if not all(np.isfinite(errors).all() for errors in measured):
            raise CoreError("The network's predictions are not numbers.", "Compute in fp32.")
        done = until
        scores = noise_error if plan.objective == "noise" else reconstruction_error * weights[:, None]
        alive, leaving = _look(plan, scores[:done], alive)
        pruned += leaving
        yield classification(finished=done == len(samples) or len(alive) == 1)
    return classification(finished=True)


def replay(
    noise_error: np.ndarray, reconstruction_error: np.ndarray, time_steps: np.ndarray, plan: Plan, steps: int
) -> Classification:
    """The classification that `plan` would have run, from errors that were measured before: no network is asked.

    Errors of the full grid serve any objective, decay, pruning and lesser number of samples. Distance, seed and time
    steps are those that were recorded, whatever `plan` says of them.

    Args:
        noise_error, reconstruction_error: (samples, prompts); numbers at least where the classification will look.
        time_steps: (samples,) of the samples.
        steps: time steps of the schedule.

    Returns:
        The last state. Its `calls` are those that the plan needs; it took no batches and no time.

    Raises:
        ConfigError: the plan looks where nothing was measured.
    """
    most, prompts = plan.most_samples, noise_error.shape[1]
    weights = reconstruction_weights(plan, time_steps, steps)
    scores = noise_error if plan.objective == "noise" else reconstruction_error * weights[:, None]
    seen = np.zeros((min(most, len(scores)), prompts), dtype=bool)
    alive: tuple[int, ...] = tuple(range(prompts))
    pruned: list[Pruned] = []
    done = 0
    while done < most and (len(alive) > 1 or not done):
        until = next_look(plan, done, most)
        if len(scores) < until or np.isnan(scores[done:until, list(alive)]).any():
            raise ConfigError(
                f"The plan goes to sample {until}, but not every prompt that is left was measured until there.",
                "Replay fewer samples, or record the full grid.",
            )
        seen[done:until, list(alive)] = True
        done = until
        alive, leaving = _look(plan, np.where(seen[:done], scores[:done], np.nan), alive)
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
    )


def paired_p_value(differences: np.ndarray) -> float:
    """Two-sided p-value of the paired t-test that `differences` (samples,) have mean zero.

    Identical scores give 1 (the statistic would be 0/0), a constant difference 0.
    """
    from scipy.stats import t as student

    require_finite("The differences", differences)
    count, mean = len(differences), float(np.mean(differences, dtype=np.float64))
    deviation = float(np.std(differences, ddof=1, dtype=np.float64)) if count > 1 else np.nan
    if count < 2 or (deviation == 0 and mean == 0):
        return 1.0
    if deviation == 0:
        return 0.0
    return float(2 * student.sf(abs(mean) / (deviation / np.sqrt(count)), count - 1))


def excess_error(classification: Classification) -> tuple[np.ndarray, np.ndarray]:
    """By how much each prompt's error is above the leader's, after every sample.

    Returns:
        mean: (samples, prompts) of the paired differences so far, as shares of the leader's mean error; NaN after a
            prompt has left.
        half_width: (samples, prompts) of the 95 % interval of that mean by Student's t, which knows nothing of the
            leader having been chosen by the same samples; NaN for the first sample.
    """
    from scipy.stats import t as student

    scores = classification.scores().astype(np.float64)
    differences = scores - scores[:, [classification.predicted]]
    counts = np.arange(1, len(scores) + 1, dtype=np.float64)[:, None]
    mean = np.cumsum(differences, axis=0) / counts
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.maximum(np.cumsum(differences**2, axis=0) / counts - mean**2, 0) * counts / (counts - 1)
        half_width = student.ppf(0.975, counts - 1) * np.sqrt(variance / counts)
    unit = max(float(scores[:, classification.predicted].mean()), 1e-12)
    return mean / unit, half_width / unit


def _look(plan: Plan, scores: np.ndarray, alive: Sequence[int]) -> tuple[tuple[int, ...], list[Pruned]]:
    """Compare the prompts after the samples `scores` (samples, prompts): who stays, the best first, and who leaves."""
    ranked = _ranking(scores, alive)
    leaving = _leaving(plan, scores, ranked, len(scores))
    gone = {each.prompt for each in leaving}
    return tuple(each for each in ranked if each not in gone), leaving


def _ranking(scores: np.ndarray, among: Sequence[int]) -> tuple[int, ...]:
    """`among`, the smallest mean score first; all of them have been in every sample."""
    means = np.nanmean(scores[:, list(among)], axis=0, dtype=np.float64)
    return tuple(among[index] for index in np.lexsort((np.asarray(among), means)))


def _leaving(plan: Plan, scores: np.ndarray, alive: tuple[int, ...], done: int) -> list[Pruned]:
    """Who leaves now, the worst last; `alive` is ranked."""
    if plan.pruning == "stages":
        keeps = dict(zip(plan.stage_samples, plan.stage_keeps, strict=True)).get(done)
        return [Pruned(prompt=each, sample=done, p_value=None) for each in reversed(alive[keeps:])] if keeps else []
    if plan.pruning == "none" or done < plan.least_samples:
        return []
    best, *others = alive
    values = [(each, paired_p_value(scores[:, each] - scores[:, best])) for each in others]
    return [
        Pruned(prompt=each, sample=done, p_value=value) for each, value in reversed(values) if value < plan.threshold
    ]
