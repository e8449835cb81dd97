"""How often a sequential t-test removes a prompt that is as good as the others: simulated."""

from __future__ import annotations

import numpy as np

from core.methods.diffusion.sampling_plan import (
    Plan,
    looks_of,
)
from core.seeding import stream

# Numbers that a simulation holds at once.
_SIMULATED = 4_000_000


def false_pruning_rate(
    plan: Plan, *, prompts: int = 2, advantage: float = 0.0, trials: int = 2000, seed: int = 0
) -> float:
    """How often the t-test removes prompt 0 although no other is better, simulated with normal scores.

    The error of the whole family of tests: prompt 0 stands for the right one and may be removed at any look, by
    whichever of the others leads. Looking again and again, and at many prompts, makes this larger than the threshold.

    Args:
        advantage: by how many standard deviations of the paired difference prompt 0 is better than all others.
    """
    from scipy.stats import t as student

    looks = looks_of(plan)
    if prompts < 2 or not looks:
        return 0.0
    critical = {look: float(student.isf(plan.threshold / 2, look - 1)) for look in looks}
    random, lost, done = stream("simulated races", seed), 0, 0
    together = max(1, min(trials, _SIMULATED // (looks[-1] * prompts)))
    while done < trials:
        count = min(together, trials - done)
        lost += _simulated_losses(random, critical, prompts, advantage, count)
        done += count
    return lost / trials


def _simulated_losses(
    random: np.random.Generator, critical: dict[int, float], prompts: int, advantage: float, runs: int
) -> int:
    """Of so many simulated runs, those that prompt 0 had to leave; `critical`: of |t| by look."""
    # The variance of a difference of two is 1.
    scores = random.standard_normal((runs, max(critical), prompts)) * np.sqrt(0.5)
    scores[:, :, 0] -= advantage
    alive, running = np.ones((runs, prompts), dtype=bool), np.ones(runs, dtype=bool)
    leader = np.full(runs, -1)
    total, squares, products = np.zeros((3, runs, prompts))
    lost, before = 0, 0
    for look, largest in critical.items():
        new = scores[:, before:look]
        total, squares = total + new.sum(axis=1), squares + (new**2).sum(axis=1)
        best = np.where(alive, total, np.inf).argmin(axis=1)
        # Products with the leader's scores are summed on where it stayed, and anew where it is another.
        stayed = best == leader
        products[stayed] += _products(new[stayed], best[stayed])
        products[~stayed] = _products(scores[~stayed, :look], best[~stayed])
        rows = np.arange(len(alive))
        mean = (total - total[rows, best][:, None]) / look
        deviations = squares + squares[rows, best][:, None] - 2 * products - look * mean**2
        alive &= ~(mean > largest * np.sqrt(np.maximum(deviations, 0) / (look * (look - 1))))
        lost += int((running & ~alive[:, 0]).sum())
        running &= alive[:, 0] & (alive.sum(axis=1) > 1)
        leader, before = best, look
        if 2 * running.sum() < len(running):  # copying is dear, so that it waits until half of them are decided
            scores, alive, leader = scores[running], alive[running], leader[running]
            total, squares, products, running = total[running], squares[running], products[running], running[running]
        if not len(alive):
            break
    return lost


def _products(scores: np.ndarray, best: np.ndarray) -> np.ndarray:
    """(runs, prompts) sums over the samples of `scores` (runs, samples, prompts) times those of `best` (runs,)."""
    own = np.take_along_axis(scores, best[:, None, None], axis=2)
    return np.asarray((own.transpose(0, 2, 1) @ scores)[:, 0])
