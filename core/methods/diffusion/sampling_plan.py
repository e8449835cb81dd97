"""What a diffusion classifier computes: which time steps, how many samples, when prompts are compared and leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from core.configs import check_options, option
from core.errors import ConfigError
from core.seeding import stream

Objective = Literal["reconstruction", "noise"]


Distance = Literal["l2", "l1", "huber"]


Sampling = Literal["uniform", "even", "staged"]


Pruning = Literal["forecast", "t_test", "stages", "none"]


# ᾱ below which (1 − ᾱ)/ᾱ times an error leaves float32.
_LEAST_SIGNAL = 1e-30
# A forecast is looked at for the first time after so many samples,
FIRST_FORECAST = 2
# then whenever so many pairs are measured: a pass of fewer takes longer for each.
_PAIRS_OF_A_LOOK = 4


def other_objective(objective: Objective) -> Objective:
    """The one that does not decide: its errors come with the same calls."""
    return "noise" if objective == "reconstruction" else "reconstruction"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the prompts are compared, and when one is eliminated."""

    RENAMED: ClassVar[Mapping[str, str]] = {
        "spread": "sampling", "draws": "samples", "least_draws": "least_samples", "stage_draws": "stage_samples",
    }  # fmt: skip

    # On Stable Diffusion's schedule the two nearly agree. On a cosine schedule, whose ᾱ ends near 0, exp(−7 t/T) leaves
    # the sum to the last steps, where the reconstruction's error is (1 − ᾱ)/ᾱ times the noise's.
    objective: Objective = option(
        "noise",
        "Objective",
        "noise: error of the noise; reconstruction: error of the denoised latent, weighted by exp(−decay · t/T).",
    )
    distance: Distance = option("l2", "Distance", "Of the two, averaged over the latent's numbers.")
    decay: float = option(7.0, "Decay", "k in exp(−k t/T), for the reconstruction error alone.", minimum=0, maximum=50)
    sampling: Sampling = option(
        "uniform", "Time steps", "uniform: drawn at random; even: a regular grid in random order; staged: Li et al.'s."
    )
    # On 300 validation images of CIFAR-10 the bundled pipeline was as often right after 20 samples as after 100. Clark
    # & Jaini look first after 20 and prune below 0.002: 2.4 times fewer calls than all 100 samples for all prompts, and
    # always the same answer; the t-test with these settings: 3.2 times fewer, and the same answer in 99 %. On 301 test
    # images the forecast, chosen on others: 6.0 times fewer, the same answer on 299; the t-test 3.2, on all.
    samples: int = option(100, "Most samples", "Pairs of noise and time step for a prompt.", minimum=1, maximum=10_000)
    pruning: Pruning = option("forecast", "Pruning", "When a prompt is eliminated.")
    error_rate: float = option(
        0.015,
        "Error rate",
        "forecast: share of answers that may differ from those of all samples, by its model.",
        minimum=0,
        maximum=0.5,
    )
    least_samples: int = option(10, "First look", "Samples before the first test.", minimum=2, maximum=10_000)
    look_every: int = option(5, "Look every", "Samples between two tests.", minimum=1, maximum=1000)
    threshold: float = option(0.01, "p-value", "A prompt leaves below it.", minimum=0, maximum=1)
    stage_samples: tuple[int, ...] = option((50, 200), "Stage samples", "After so many samples a stage ends.")
    stage_keeps: tuple[int, ...] = option((5, 1), "Stage keeps", "So many prompts stay after each stage.")
    seed: int = option(0, "Seed", minimum=0)

    def __post_init__(self) -> None:
        check_options(self)
        staged = self.pruning == "stages" or self.sampling == "staged"
        if staged and len(self.stage_samples) != len(self.stage_keeps):
            raise ConfigError(
                f"{len(self.stage_samples)} stages have samples and {len(self.stage_keeps)} have prompts to keep.",
                "Give as many of both.",
            )
        rising = all(0 < a < b for a, b in zip((0.5, *self.stage_samples), (*self.stage_samples, 1e9), strict=True))
        if staged and not (self.stage_samples and rising and min(self.stage_keeps) >= 1):
            raise ConfigError(f"Stages must grow; got {self.stage_samples} samples.", "For example 50,200 keeping 5,1.")

    @property
    def most_samples(self) -> int:
        """Samples for a prompt that stays to the end."""
        return self.stage_samples[-1] if self.sampling == "staged" or self.pruning == "stages" else self.samples


def usable_steps(alphas_cumprod: np.ndarray) -> np.ndarray:
    """Indices (steps,) of the time steps at which there are both image and noise, in float32: 0 < ᾱ < 1.

    At ᾱ = 0 the network sees noise alone: ẑ = (z_t − √(1 − ᾱ) ε̂)/√ᾱ is not defined, and no error says anything about
    the image. At ᾱ = 1 there is no noise to predict.
    """
    kept = np.asarray(alphas_cumprod, dtype=np.float32)
    return np.flatnonzero((kept > _LEAST_SIGNAL) & (kept < 1))


def sample_time_steps(plan: Plan, steps: int) -> np.ndarray:
    """(samples,) int64 of `steps` time steps, in the order in which they are used.

    Every stage of "staged" ends with as many samples as it says, spread over the whole schedule: a stage takes steps
    that lie evenly among those of the final grid that are left. For stages that divide it, such as 50 and 500 of 1,000,
    these are the repository's.
    """
    random = stream("time steps", plan.seed)
    if plan.sampling == "uniform":
        return random.integers(0, steps, plan.most_samples)
    if plan.sampling == "even":
        return random.permutation(_even(steps, plan.most_samples))
    left, chosen = _even(steps, plan.most_samples), np.empty(0, dtype=np.int64)
    for count in plan.stage_samples:
        places = _even(len(left), count - len(chosen))
        chosen, left = np.append(chosen, left[places]), np.delete(left, places)
    return chosen


def looks_of(plan: Plan) -> list[int]:
    """After how many samples the t-test is looked at; empty for other prunings."""
    looks, done = [], 0
    while done < plan.most_samples:
        done = next_look(plan, done, plan.most_samples, 1)
        looks.append(done)
    return [look for look in looks if look >= plan.least_samples] if plan.pruning == "t_test" else []


def _even(steps: int, count: int) -> np.ndarray:
    """`count` evenly spaced of `steps`, the middles of as many equal parts: both ends are half a stride away.

    Where `count` divides `steps` this is range(stride // 2, steps, stride). More than there are steps repeat evenly.
    """
    return (2 * np.arange(count, dtype=np.int64) + 1) * steps // (2 * count)


def reconstruction_weights(plan: Plan, time_steps: np.ndarray, steps: int) -> np.ndarray:
    """(samples,) of the reconstruction error, of a schedule with so many `steps`."""
    return np.exp(-plan.decay * time_steps / steps).astype(np.float32)


def next_look(plan: Plan, done: int, most: int, alive: int) -> int:
    """After how many samples the prompts are compared next, of which so many are left."""
    if plan.pruning == "forecast":
        return min(most, max(FIRST_FORECAST, done + -(-_PAIRS_OF_A_LOOK // alive)))
    if plan.pruning == "stages":
        ends = [end for end in plan.stage_samples if end > done]
        # Looking more often than the stages end changes nothing but what the viewer sees.
        return min(most, done + plan.look_every, *ends)
    if plan.pruning == "t_test" and done < plan.least_samples:
        return min(most, plan.least_samples)
    return min(most, done + plan.look_every)


def next_report(plan: Plan, done: int, most: int, patience: int, alive: int) -> int:
    """The next look, or after `patience` samples where nothing can be decided yet: many prompts make a look long."""
    until = next_look(plan, done, most, alive)
    first = {"t_test": plan.least_samples, "forecast": FIRST_FORECAST}.get(plan.pruning, most)
    tested = done >= first
    return until if tested else min(until, done + patience)
