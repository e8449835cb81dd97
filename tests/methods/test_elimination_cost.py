"""Accuracy against calls, counted out by hand; replayed plans cost what they should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ShapeError
from core.methods.accuracy.paired import paired
from core.methods.diffusion.diffusion_classifier import replay
from core.methods.diffusion.elimination_cost import (
    ERROR_RATES,
    THRESHOLDS,
    budget_curve,
    plan_words,
    replay_all,
    replayed_plans,
    trail,
)
from core.methods.diffusion.sampling_plan import Plan
from tests.examples import examples

T = 1000


def grid(
    seed: int, *, prompts: int = 4, samples: int = 60, advantage: float = 0.3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors of a full grid in which prompt 1 is better by `advantage` standard deviations."""
    random = np.random.default_rng(seed)
    noise = random.random((samples, prompts)).astype(np.float32) + 1
    noise[:, 1] -= np.float32(advantage)
    steps = random.integers(0, T, samples)
    return noise, noise * 2, steps


@examples(30)
@given(seed=st.integers(0, 1000), pruning=st.sampled_from(["t_test", "stages", "none", "forecast"]))
def test_a_trail_is_the_classification_had_it_been_stopped(seed: int, pruning: Any) -> None:
    plan = Plan(
        pruning=pruning,
        samples=60,
        least_samples=6,
        look_every=3,
        threshold=0.1,
        stage_samples=(15, 60),
        stage_keeps=(2, 1),
    )
    classification = replay(*grid(seed), plan, T)
    leaders, calls = trail(classification)
    assert leaders.shape == calls.shape == (60,)
    assert (leaders[-1], calls[-1]) == (classification.predicted, classification.calls)
    scores = classification.scores()
    for sample in range(classification.step):
        here = ~np.isnan(scores[sample])
        means = np.where(here, scores[: sample + 1].mean(axis=0, dtype=np.float64), np.inf)
        assert leaders[sample] == means.argmin()
        assert calls[sample] == (~np.isnan(scores[: sample + 1])).sum()
    assert set(leaders[classification.step :]) <= {classification.predicted}


def test_accuracy_against_calls_by_hand() -> None:
    leaders = np.array([[0, 1, 1], [2, 2, 0]])
    calls = np.array([[3, 6, 9], [3, 5, 6]])
    curve = budget_curve(np.array([1, 2]), leaders, calls)
    found = dict(zip(curve.calls.tolist(), zip(curve.correct.tolist(), curve.spent.tolist(), strict=True), strict=True))
    assert found == {3: (1, 3.0), 4: (1, 3.0), 5: (1, 4.0), 6: (1, 6.0), 7: (1, 6.0), 8: (1, 6.0), 9: (1, 7.5)}
    assert curve.accuracy.tolist() == [0.5] * 7
    assert (curve.intervals[:, 0] < 0.5).all()
    assert (curve.intervals[:, 1] > 0.5).all()
    with pytest.raises(ShapeError, match="labels"):
        budget_curve(np.array([1]), leaders, calls)


@examples(20)
@given(seed=st.integers(0, 1000))
def test_the_curve_ends_in_the_classifications_results_and_never_spends_more_than_allowed(seed: int) -> None:
    classifications = [
        replay(*grid(seed + index), Plan(pruning="t_test", samples=60, threshold=0.1), T) for index in range(8)
    ]
    labels = np.random.default_rng(seed).integers(0, 4, 8)
    leaders, calls = (np.stack(each) for each in zip(*map(trail, classifications), strict=True))
    curve = budget_curve(labels, leaders, calls)
    assert (curve.spent <= curve.calls).all()
    assert (np.diff(curve.spent) >= 0).all()
    assert curve.correct[-1] == sum(
        classification.predicted == label for classification, label in zip(classifications, labels, strict=True)
    )
    assert curve.spent[-1] == np.mean([classification.calls for classification in classifications])


def test_patience_costs_calls_and_agrees_more() -> None:
    plan, labels = Plan(pruning="t_test", samples=60, least_samples=5, look_every=5), np.ones(40, dtype=int)
    classifications = [replay(*grid(index, advantage=0.1), Plan(samples=60, pruning="none"), T) for index in range(40)]
    found = {each: replay_all(classifications, labels, each, T) for each in replayed_plans(plan, 4)}
    hasty, patient = (
        next(row for each, row in found.items() if each.pruning == "t_test" and each.threshold == threshold)
        for threshold in (max(THRESHOLDS), min(THRESHOLDS))
    )
    assert hasty.calls < patient.calls <= 240
    assert hasty.saved == pytest.approx(240 / hasty.calls)
    assert hasty.same.value < patient.same.value
    assert hasty.same.count == 40
    whole = replay_all(classifications, labels, Plan(samples=60, pruning="none"), T)
    assert (whole.calls, whole.saved, whole.same.value) == (240, 1, 1)
    assert whole.right.correct == sum(each.predicted == 1 for each in classifications)
    assert 20 < whole.right.correct <= 40, "class 1 has the advantage"
    (stages,) = (row for each, row in found.items() if each.pruning == "stages")
    assert stages.calls == 15 * 4 + 15 * 2 + 30 * 1 or stages.calls == 15 * 4 + 15 * 2


def test_plans_are_replayed_once_and_named() -> None:
    plans = replayed_plans(Plan(), 10)
    assert len(set(plans)) == len(plans) == len(THRESHOLDS) + len(ERROR_RATES) + 1, "the default rate is among them"
    assert plans[0] == Plan()
    assert plan_words(plans[0]) == "forecast, at most 1.5 % unlike"
    assert "t-test, p < 0.01" in map(plan_words, plans)
    assert plan_words(plans[-1]) == "stages: 5 after 25, 2 after 50, 1 after 100"
    assert plan_words(Plan(pruning="none")) == "no pruning"
    own = Plan(pruning="stages")
    assert [each for each in replayed_plans(own, 10) if each.pruning == "stages"] == [own]
    assert all(each.most_samples <= 3 for each in replayed_plans(Plan(samples=3), 10))


def test_two_classifiers_on_the_same_images() -> None:
    labels = np.array([0, 1, 2, 3, 4, 5])
    found = paired(labels, np.array([0, 1, 2, 0, 0, 0]), np.array([0, 0, 0, 3, 0, 0]))
    assert (found.both, found.only_first, found.only_second, found.neither) == (1, 2, 1, 2)
    assert found.p_value == 1
    assert found.sentence("Denoising", "CLIP").startswith(
        "CLIP is right on 1 image on which Denoising is wrong, and wrong on 2 on which Denoising is right: p = 1 "
    )
    with pytest.raises(ShapeError, match="answers"):
        paired(labels, labels[:2], labels)
