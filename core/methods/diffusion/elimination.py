"""Which prompts leave a classification, at one look at what has been measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.finite import require_finite
from core.methods.diffusion.forecast import Forecast
from core.methods.diffusion.sampling_plan import FIRST_FORECAST, Plan


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """A prompt that was eliminated: after which sample, and with which p-value or, where it was foretold, which chance
    of winning (None at the end of a stage)."""

    prompt: int
    sample: int
    p_value: float | None


def look(
    plan: Plan, scores: np.ndarray, alive: Sequence[int], forecast: Forecast | None, gone: Sequence[Pruned]
) -> tuple[tuple[int, ...], list[Pruned]]:
    """Compare the prompts after the samples `scores` (samples, prompts): who stays, the best first, and who leaves.

    `gone`: those that left earlier.
    """
    if forecast is None:
        ranked = ranking(scores, alive)
        leaving = _leaving(plan, scores, ranked, len(scores))
    else:
        expected = forecast.expected[-1].tolist()
        ranked = tuple(sorted(alive, key=lambda prompt: (expected[prompt], prompt)))
        leaving = _hopeless(plan, forecast, ranked, sum(each.p_value or 0.0 for each in gone))
    left = {each.prompt for each in leaving}
    return tuple(each for each in ranked if each not in left), leaving


def _hopeless(plan: Plan, forecast: Forecast, alive: tuple[int, ...], spent: float) -> list[Pruned]:
    """Who is too unlikely to win, the worst first; `alive` is ranked.

    What those that left have `spent` of the error rate is gone; who stays shares the rest, so that the last rival gets
    what all others left of it.
    """
    done = forecast.measured
    if done < FIRST_FORECAST or len(alive) < 2:
        return []
    rivals = sorted(zip(forecast.chances(alive)[1:].tolist(), reversed(range(len(alive) - 1)), alive[1:], strict=True))
    leaving: list[Pruned] = []
    for number, (chance, _, prompt) in enumerate(rivals):
        if chance >= (plan.error_rate - spent) / (len(rivals) - number):
            break
        leaving.append(Pruned(prompt=prompt, sample=done, p_value=chance))
        spent += chance
    return leaving


def ranking(scores: np.ndarray, among: Sequence[int]) -> tuple[int, ...]:
    """`among`, the smallest mean score first; all of them have been in every sample."""
    means = np.nanmean(scores[:, list(among)], axis=0, dtype=np.float64)
    return tuple(among[index] for index in np.lexsort((np.asarray(among), means)))


def _leaving(plan: Plan, scores: np.ndarray, alive: tuple[int, ...], done: int) -> list[Pruned]:
    """Who leaves now, the worst first; `alive` is ranked."""
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
