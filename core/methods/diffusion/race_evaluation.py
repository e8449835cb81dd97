"""Races over many images taken together: how right one would have been after so many calls, and what pruning costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.errors import ShapeError
from core.intervals import wilson_interval
from core.methods.accuracy.confusion import Accuracy
from core.methods.diffusion.diffusion_classifier import Plan, Race, replay
from core.notebook import Drawn

# p-values under which a prompt may leave the race, from hasty to patient.
THRESHOLDS = (0.2, 0.05, 0.01, 2e-3, 1e-4)
MOST_BUDGETS = 60


@dataclass(frozen=True, kw_only=True)
class BudgetCurve(Drawn):
    """How many images are right if every race is stopped at a budget; all arrays are (budgets,).

    Attributes:
        calls: the most that an image may cost.
        spent: what an image then costs on average: many races end before.
        correct: right answers among `images`.
    """

    calls: np.ndarray
    spent: np.ndarray
    correct: np.ndarray
    images: int

    @property
    def accuracy(self) -> np.ndarray:
        return self.correct / self.images

    @property
    def intervals(self) -> np.ndarray:
        """(budgets, 2) both ends of the 95 % Wilson interval."""
        return np.array([wilson_interval(int(correct), self.images) for correct in self.correct])


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What one plan would have cost, and whether its answers are those of the full grid.

    Attributes:
        calls: on average for an image.
        saved: calls of the full grid as a multiple of `calls`.
        same: images with the answer that the full grid gives under the plan's objective.
        right: images with the true answer.
    """

    plan: Plan
    calls: float
    saved: float
    same: Accuracy
    right: Accuracy


def trail(race: Race) -> tuple[np.ndarray, np.ndarray]:
    """Who led after each draw, and the calls made by then: both (steps,), standing still once the race is over."""
    scores = race.scores()
    # A prompt that is still measured has been in every draw before, so NaN lasts from where it left.
    sums = np.cumsum(scores, axis=0, dtype=np.float64)
    leaders = np.nanargmin(sums, axis=1)
    calls = np.cumsum((~np.isnan(scores)).sum(axis=1))
    rest = race.steps - len(scores)
    return np.append(leaders, np.full(rest, leaders[-1])), np.append(calls, np.full(rest, calls[-1]))


def budget_curve(labels: np.ndarray, leaders: np.ndarray, calls: np.ndarray) -> BudgetCurve:
    """Accuracy had every race been stopped before it exceeded a number of calls.

    Args:
        labels: (images,) true classes.
        leaders, calls: (images, draws) from `trail`.
    """
    if leaders.shape != calls.shape or len(leaders) != len(labels) or not len(labels):
        raise ShapeError(f"Got {leaders.shape} leaders and {calls.shape} calls for {labels.shape} labels.")
    first, last = int(calls[:, 0].max()), int(calls.max())
    budgets = np.unique(np.geomspace(first, last, MOST_BUDGETS).round().astype(np.int64))
    # The last draw that the budget allows, for each image and budget.
    draws = np.stack([(calls <= budget).sum(axis=1) - 1 for budget in budgets], axis=1)
    images = np.arange(len(labels))[:, None]
    return BudgetCurve(
        calls=budgets,
        spent=calls[images, draws].mean(axis=0),
        correct=(leaders[images, draws] == labels[:, None]).sum(axis=0),
        images=len(labels),
    )


def replayed_plans(plan: Plan, prompts: int) -> tuple[Plan, ...]:
    """The plan itself, then its t-test at several thresholds, then stages: half of the prompts, then a quarter."""
    tests = [replace(plan, pruning="t_test", threshold=threshold) for threshold in THRESHOLDS]
    if plan.spread == "staged" or plan.pruning == "stages":
        stages = [replace(plan, pruning="stages")]
    elif plan.draws < 4:
        stages = []
    else:
        ends, keeps = (plan.draws // 4, plan.draws // 2, plan.draws), (max(1, prompts // 2), max(1, prompts // 4), 1)
        stages = [replace(plan, pruning="stages", stage_draws=ends, stage_keeps=keeps)]
    return tuple(dict.fromkeys((plan, *tests, *stages)))


def replay_all(grids: Sequence[Race], labels: np.ndarray, plan: Plan, steps: int) -> Replayed:
    """One plan on races whose full grid was measured.

    Args:
        grids: unpruned, one an image.
        steps: time steps of the schedule.
    """
    found = [replay(grid.noise_error, grid.reconstruction_error, grid.time_steps, plan, steps) for grid in grids]
    unpruned = replace(plan, pruning="none", draws=plan.most_draws)
    whole = [replay(grid.noise_error, grid.reconstruction_error, grid.time_steps, unpruned, steps) for grid in grids]
    said = np.array([race.winner for race in found])
    calls = float(np.mean([race.calls for race in found]))
    return Replayed(
        plan=plan,
        calls=calls,
        saved=float(np.mean([race.calls for race in whole])) / calls,
        same=Accuracy(correct=int((said == [race.winner for race in whole]).sum()), count=len(grids)),
        right=Accuracy(correct=int((said == labels).sum()), count=len(grids)),
    )


def plan_words(plan: Plan) -> str:
    """How a plan prunes, in a few words."""
    if plan.pruning == "none":
        return "no pruning"
    if plan.pruning == "t_test":
        return f"t-test, p < {plan.threshold:g}"
    stages = ", ".join(f"{keep} after {draw}" for draw, keep in zip(plan.stage_draws, plan.stage_keeps, strict=True))
    return f"stages: {stages}"
