"""Classifications of many images taken together: how right after so many calls, and what eliminating prompts costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.errors import ShapeError
from core.intervals import wilson_interval
from core.methods.accuracy.confusion import Accuracy
from core.methods.diffusion.diffusion_classifier import Classification, replay
from core.methods.diffusion.sampling_plan import Plan
from core.models.denoising_differences import DifferenceCovariance
from core.notebook import Drawn

# p-values under which a prompt is eliminated, from hasty to patient.
THRESHOLDS = (0.2, 0.05, 0.01, 2e-3, 1e-4)
# Shares of answers unlike the full grid's that a forecast may give.
ERROR_RATES = (0.05, 0.015, 2e-3)
MOST_BUDGETS = 60


@dataclass(frozen=True, kw_only=True)
class BudgetCurve(Drawn):
    """How many images are right if every classification is stopped at a budget; all arrays are (budgets,).

    Attributes:
        calls: the most that an image may cost.
        spent: what an image then costs on average: many classifications end before.
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


def trail(classification: Classification) -> tuple[np.ndarray, np.ndarray]:
    """Who led after each sample, and the calls made by then: both (steps,), standing still once it is over."""
    scores = classification.scores()
    # A prompt that is still measured has been in every sample before, so NaN lasts from where it left.
    sums = np.cumsum(scores, axis=0, dtype=np.float64)
    leaders = np.nanargmin(sums, axis=1)
    # By a forecast the winner need not have the smallest sum of those samples that were measured.
    leaders[-1] = classification.predicted
    calls = np.cumsum((~np.isnan(scores)).sum(axis=1))
    rest = classification.steps - len(scores)
    return np.append(leaders, np.full(rest, leaders[-1])), np.append(calls, np.full(rest, calls[-1]))


def budget_curve(labels: np.ndarray, leaders: np.ndarray, calls: np.ndarray) -> BudgetCurve:
    """Accuracy had every classification been stopped before it exceeded a number of calls.

    Args:
        labels: (images,) true classes.
        leaders, calls: (images, samples) from `trail`.
    """
    if leaders.shape != calls.shape or len(leaders) != len(labels) or not len(labels):
        raise ShapeError(f"Got {leaders.shape} leaders and {calls.shape} calls for {labels.shape} labels.")
    first, last = int(calls[:, 0].max()), int(calls.max())
    budgets = np.unique(np.geomspace(first, last, MOST_BUDGETS).round().astype(np.int64))
    # The last sample that the budget allows, for each image and budget.
    samples = np.stack([(calls <= budget).sum(axis=1) - 1 for budget in budgets], axis=1)
    images = np.arange(len(labels))[:, None]
    return BudgetCurve(
        calls=budgets,
        spent=calls[images, samples].mean(axis=0),
        correct=(leaders[images, samples] == labels[:, None]).sum(axis=0),
        images=len(labels),
    )


def replayed_plans(plan: Plan, prompts: int) -> tuple[Plan, ...]:
    """The plan, then its forecast and its t-test at several rates, then stages: half of the prompts, then a quarter."""
    forecasts = [replace(plan, pruning="forecast", error_rate=rate) for rate in ERROR_RATES]
    tests = [replace(plan, pruning="t_test", threshold=threshold) for threshold in THRESHOLDS]
    if plan.sampling == "staged" or plan.pruning == "stages":
        stages = [replace(plan, pruning="stages")]
    elif plan.samples < 4:
        stages = []
    else:
        ends, keeps = (
            (plan.samples // 4, plan.samples // 2, plan.samples),
            (max(1, prompts // 2), max(1, prompts // 4), 1),
        )
        stages = [replace(plan, pruning="stages", stage_samples=ends, stage_keeps=keeps)]
    return tuple(dict.fromkeys((plan, *forecasts, *tests, *stages)))


def replay_all(
    grids: Sequence[Classification],
    labels: np.ndarray,
    plan: Plan,
    steps: int,
    covariance: DifferenceCovariance | None = None,
) -> Replayed:
    """One plan on classifications whose full grid was measured.

    Args:
        grids: unpruned, one an image.
        steps: time steps of the schedule.
        covariance: what was learned of the pipeline, for a forecast.
    """
    found = [
        replay(grid.noise_error, grid.reconstruction_error, grid.time_steps, plan, steps, covariance) for grid in grids
    ]
    unpruned = replace(plan, pruning="none", samples=plan.most_samples)
    whole = [replay(grid.noise_error, grid.reconstruction_error, grid.time_steps, unpruned, steps) for grid in grids]
    said = np.array([classification.predicted for classification in found])
    calls = float(np.mean([classification.calls for classification in found]))
    return Replayed(
        plan=plan,
        calls=calls,
        saved=float(np.mean([classification.calls for classification in whole])) / calls,
        same=Accuracy(
            correct=int((said == [classification.predicted for classification in whole]).sum()), count=len(grids)
        ),
        right=Accuracy(correct=int((said == labels).sum()), count=len(grids)),
    )


def plan_words(plan: Plan) -> str:
    """How a plan prunes, in a few words."""
    if plan.pruning == "none":
        return "no pruning"
    if plan.pruning == "t_test":
        return f"t-test, p < {plan.threshold:g}"
    if plan.pruning == "forecast":
        return f"forecast, at most {100 * plan.error_rate:g} % unlike"
    stages = ", ".join(
        f"{keep} after {sample}" for sample, keep in zip(plan.stage_samples, plan.stage_keeps, strict=True)
    )
    return f"stages: {stages}"
