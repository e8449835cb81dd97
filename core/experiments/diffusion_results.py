"""What classifying a data set came to: accuracy, cost, other models beside it, and what pruning would save."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from core.experiments.evaluation import accuracy_values
from core.methods.accuracy.confusion import accuracy, class_accuracies, confusion_matrix
from core.methods.accuracy.paired import paired
from core.methods.diffusion.diffusion_classifier import Classification
from core.methods.diffusion.elimination_cost import plan_words, replay_all, replayed_plans, trail
from core.methods.diffusion.sampling_plan import Plan, other_objective
from core.models.denoising_differences import DifferenceCovariance
from core.reports import Progress

# The columns that hold every error of a full grid.
GRID = ("noise_error", "reconstruction_error", "time_steps")
QUANTILES = (0.1, 0.5, 0.9)


def summarise(
    labels: np.ndarray, decided: list[Classification], classifications: list[Classification]
) -> dict[str, Any]:
    """Accuracy and cost; seconds are those of what was really run."""
    said = np.array([classification.predicted for classification in decided])
    other = other_objective(decided[0].objective)
    elsewhere = np.array([classification.order(other)[0] for classification in decided])
    prompts = decided[0].noise_error.shape[1]
    full_grid = prompts * decided[0].steps
    calls = np.array([classification.calls for classification in decided])
    classes = class_accuracies(confusion_matrix(labels, said, prompts))
    return {
        "test": accuracy_values(accuracy(labels, said)),
        "classes": [accuracy_values(right) for right in classes],
        "calls": {**_distribution(calls), "full_grid": full_grid, "saved": full_grid / float(calls.mean())},
        "image_seconds": _distribution(np.array([classification.seconds for classification in classifications])),
        "call_seconds": sum(classification.seconds for classification in classifications)
        / sum(classification.calls for classification in classifications),
        "other_objective": {
            "objective": other,
            **accuracy_values(accuracy(labels, elsewhere)),
            "same_answer": accuracy_values(accuracy(said, elsewhere)),
        },
    }


def _distribution(values: np.ndarray) -> dict[str, float]:
    """Mean, extremes and quantiles."""
    quantiles = {f"quantile_{share:g}": float(np.quantile(values, share)) for share in QUANTILES}
    return {"mean": float(values.mean()), **quantiles, "min": float(values.min()), "max": float(values.max())}


def compared_with(
    name: str, title: str, labels: np.ndarray, decided: list[Classification], said: np.ndarray
) -> dict[str, Any]:
    """Another model on the same images, beside it."""
    found = paired(labels, np.array([classification.predicted for classification in decided]), said)
    return {
        "model": name,
        "title": title,
        **accuracy_values(accuracy(labels, said)),
        "both": found.both,
        "only_first": found.only_first,
        "only_second": found.only_second,
        "neither": found.neither,
        "p_value": found.p_value,
        "difference": found.difference,
    }


def replayed(
    classifications: list[Classification],
    labels: np.ndarray,
    plan: Plan,
    schedule: int,
    steps: int,
    covariance: DifferenceCovariance | None = None,
) -> Generator[Progress, None, list[dict[str, Any]]]:
    """What the plan, other thresholds and stages would have cost, and how often they agree with the full grid."""
    rows = []
    for each in replayed_plans(plan, classifications[0].noise_error.shape[1]):
        yield Progress(step=steps, steps=steps, text=f"replaying: {plan_words(each)}")
        found = replay_all(classifications, labels, each, schedule, covariance)
        rows.append(
            {
                "plan": asdict(each),
                "words": plan_words(each),
                "calls": found.calls,
                "saved": found.saved,
                "same": accuracy_values(found.same),
                "test": accuracy_values(found.right),
            }
        )
    return rows


def result_columns(
    decided: list[Classification], classifications: list[Classification], said: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """A row for each image, in their order: what was predicted by whom, at which cost, and who led when."""
    trails = [trail(classification) for classification in decided]
    other = other_objective(decided[0].objective)
    classes = np.int16 if len(decided[0].order()) < 2**15 else np.int32
    return {
        "predicted": np.array([classification.predicted for classification in decided], dtype=np.int64),
        "other_objective": np.array([classification.order(other)[0] for classification in decided], dtype=np.int64),
        "calls": np.array([classification.calls for classification in decided], dtype=np.int64),
        "seconds": np.array([classification.seconds for classification in classifications]),
        "leader": np.stack([leaders for leaders, _ in trails]).astype(classes),
        "calls_by_sample": np.stack([calls for _, calls in trails]).astype(np.int32),
        "compared": np.stack(said) if said else np.zeros((0, len(decided)), dtype=np.int64),
    }


def grid_columns(classifications: list[Classification]) -> dict[str, np.ndarray]:
    """Every error where no prompt left: (images, samples, prompts), and the (images, samples) time steps."""
    return {key: np.stack([getattr(classification, key) for classification in classifications]) for key in GRID}
