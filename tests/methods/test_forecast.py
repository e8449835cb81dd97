"""The forecast of all samples' sum: against conditioning written out, its rate of errors on data of its own model, its
noise, and what is left of it where nothing was learned or nobody may leave."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError, CoreError
from core.methods.diffusion.diffusion_classifier import replay
from core.methods.diffusion.elimination import Pruned, look
from core.methods.diffusion.forecast import (
    UNINFORMED,
    Forecast,
    _design,
    fitting_covariance,
    learn_covariance,
    smallest_chances,
)
from core.methods.diffusion.sampling_plan import Plan
from core.models.denoising_differences import FILE, DifferenceCovariance, read_covariance, write_covariance
from tests.examples import examples
from tests.methods.test_diffusion_classifier import Rigged, classification

T = 1000


def random_covariance(random: np.random.Generator, stretches: int = 10) -> DifferenceCovariance:
    factors = random.standard_normal((stretches, 2)) + 1
    smooth = factors @ factors.T + 0.1 * np.eye(stretches)
    return DifferenceCovariance(smooth=smooth, noise=random.uniform(0.5, 3.0, stretches), source="drawn")


def of_samples(covariance: DifferenceCovariance, time_steps: np.ndarray) -> np.ndarray:
    """(samples, samples) covariance of a difference."""
    at = time_steps * len(covariance.noise) // T
    return covariance.smooth[np.ix_(at, at)] + np.diag(covariance.noise[at])


def drawn_errors(
    random: np.random.Generator, covariance: DifferenceCovariance, time_steps: np.ndarray, prompts: int
) -> np.ndarray:
    """(samples, prompts) errors of the model itself, with what all prompts share on top."""
    root = np.linalg.cholesky(of_samples(covariance, time_steps) / 2)
    errors = root @ random.standard_normal((len(time_steps), prompts))
    return errors + 5 * random.standard_normal((len(time_steps), 1))


@examples(15)
@given(seed=st.integers(0, 10_000), measured=st.integers(1, 29))
def test_the_forecast_is_the_sum_conditioned_on_what_was_measured(seed: int, measured: int) -> None:
    random = np.random.default_rng(seed)
    covariance, time_steps = random_covariance(random), random.integers(0, T, 30)
    errors = drawn_errors(random, covariance, time_steps, 4)
    forecast = Forecast(time_steps, T, 4, covariance)
    assert sorted(forecast.order) == list(range(30))
    forecast.add(errors[forecast.order[:measured]])
    whole = of_samples(covariance, time_steps)
    known, rest = forecast.order[:measured], forecast.order[measured:]
    weights = np.linalg.solve(whole[np.ix_(known, known)], whole[np.ix_(known, rest)].sum(axis=1))
    for one, other in ((0, 1), (2, 3)):
        difference = errors[known, one] - errors[known, other]
        expected = (difference.sum() + weights @ difference) / 30
        found = forecast.expected[-1, one] - forecast.expected[-1, other]
        assert found == pytest.approx(expected, abs=1e-9)
    left = whole[np.ix_(rest, rest)].sum() - weights @ whole[np.ix_(known, rest)].sum(axis=1)
    at = time_steps * 10 // T
    assert _design(at, covariance).rest[measured - 1] == pytest.approx(left, rel=1e-9)


def test_what_is_measured_next_lowers_the_rest_s_variance_most() -> None:
    random = np.random.default_rng(11)
    covariance, time_steps = random_covariance(random), random.integers(0, T, 12)
    order, whole = Forecast(time_steps, T, 2, covariance).order, of_samples(covariance, time_steps)

    def rest(known: list[int]) -> float:
        left = [place for place in range(12) if place not in known]
        between = whole[np.ix_(known, left)].sum(axis=1)
        return float(whole[np.ix_(left, left)].sum() - between @ np.linalg.solve(whole[np.ix_(known, known)], between))

    for done in range(11):
        known = list(order[:done])
        options = [rest([*known, place]) for place in range(12) if place not in known]
        assert rest([*known, order[done]]) == pytest.approx(min(options), rel=1e-9)


def test_stretches_that_tell_nothing_come_last_and_an_ordered_list_stays_as_it_is() -> None:
    smooth = np.diag([1e-6] * 5 + [1.0] * 5)
    covariance = DifferenceCovariance(smooth=smooth, noise=np.array([1e-6] * 5 + [1.0] * 5))
    time_steps = np.random.default_rng(2).integers(0, T, 60)
    order = Forecast(time_steps, T, 3, covariance).order
    later = time_steps[order] >= 500
    assert not later[later.sum() :].any()
    again = Forecast(time_steps[order], T, 3, covariance).order
    assert again.tolist() == list(range(60))
    assert Forecast(time_steps, T, 3, UNINFORMED).order.tolist() == list(range(60))


@pytest.mark.parametrize(("prompts", "learned"), [(2, True), (6, True), (6, False)])
def test_the_rate_of_other_answers_is_what_was_said_however_many_prompts_and_looks(prompts: int, learned: bool) -> None:
    """Simulated: the family-wise rate is below what was asked for, and is the sum of the chances that were left."""
    random = np.random.default_rng(40 + prompts)
    plan, trials, wrong, said, calls = Plan(samples=40, error_rate=0.2), 400, 0, 0.0, 0
    for _ in range(trials):
        covariance = random_covariance(random) if learned else UNINFORMED
        time_steps = random.integers(0, T, 40)
        # Every picture has a scale of its own.
        unit = 1.0 if learned else 10 ** random.uniform(-4, 4)
        errors = unit * drawn_errors(random, covariance, time_steps, prompts)
        found = replay(errors, errors, time_steps, plan, T, covariance if learned else None)
        wrong += found.predicted != errors.sum(axis=0).argmin()
        given_away = sum(each.p_value or 0.0 for each in found.pruned)
        assert given_away < plan.error_rate
        said += given_away
        calls += found.calls
    spread = (0.2 * 0.8 * trials) ** 0.5
    assert wrong <= 0.2 * trials + 2 * spread
    assert said <= 0.2 * trials
    # Two thirds of the calls at most, so that the rate is not kept by measuring everything.
    assert calls < 0.67 * trials * 40 * prompts
    assert abs(wrong - said) < 4 * max(said, 1.0) ** 0.5


@pytest.mark.parametrize(("spent", "stay"), [(0.0, (0, 2)), (0.04, (0, 2, 4)), (0.0999, (0, 2, 4, 1, 3))])
def test_the_last_rival_gets_what_all_others_left_of_the_rate(spent: float, stay: tuple[int, ...]) -> None:
    """Of 10 %: two leave with 0.5 % each, one with 3 %, below 4.5 %; 6.1 % is more than is left for the last."""
    told = SimpleNamespace(
        measured=9,
        expected=np.array([[0.0, 3.0, 1.0, 4.0, 2.0]]),
        chances=lambda alive: np.array([0.899, 0.061, 0.03, 0.005, 0.005]),
    )
    gone = [Pruned(prompt=5, sample=3, p_value=spent)]
    scores = np.zeros((9, 6))
    alive, leaving = look(Plan(error_rate=0.1), scores, range(5), told, gone)  # type: ignore[arg-type]
    assert alive == stay
    assert {*alive, *(each.prompt for each in leaving)} == {*range(5)}


@examples(10)
@given(seed=st.integers(0, 10_000), freedom=st.floats(3, 60))
def test_chances_are_those_of_draws(seed: int, freedom: float) -> None:
    random = np.random.default_rng(seed)
    expected, deviation = random.normal(0, 1, 5), random.uniform(0.4, 1.2, 5)
    draws = expected + deviation * random.standard_t(freedom, (40_000, 5))
    found = smallest_chances(expected, deviation, freedom)
    assert found.sum() == pytest.approx(1)
    shares = np.bincount(draws.argmin(axis=1), minlength=5) / len(draws)
    np.testing.assert_allclose(found, shares, atol=4 * 0.5 / len(draws) ** 0.5 + 2e-3)


def test_chances_without_any_doubt() -> None:
    assert smallest_chances(np.zeros(4), np.zeros(4), 12).tolist() == pytest.approx([0.25] * 4)
    assert smallest_chances(np.array([0.0, 1.0]), np.zeros(2), 12).tolist() == pytest.approx([1, 0])


@pytest.mark.parametrize("covariance", [None, random_covariance(np.random.default_rng(8))])
def test_at_rate_0_nobody_leaves_and_the_answer_is_the_full_evaluation_s(
    covariance: DifferenceCovariance | None,
) -> None:
    """The same pairs of noise and time step in another order: every error is the full evaluation's, to the last bit."""
    denoise = Rigged([0.3, 0.28, 0.29, 0.31], jitter=0.9)
    full = classification(denoise, Plan(samples=40, pruning="none", seed=7), batch_size=1)
    found = classification(denoise, Plan(samples=40, error_rate=0.0, seed=7), batch_size=1, covariance=covariance)
    order = np.arange(40) if covariance is None else Forecast(full.time_steps, T, 4, covariance).order
    assert (covariance is None) == (order.tolist() == list(range(40)))
    np.testing.assert_array_equal(found.time_steps, full.time_steps[order])
    np.testing.assert_array_equal(found.noise_error, full.noise_error[order])
    assert (found.alive, found.calls, found.pruned) == (full.alive, full.calls, ())


def test_other_errors_than_those_learned_are_not_foretold_by_it() -> None:
    known = random_covariance(np.random.default_rng(1))
    assert fitting_covariance(known, Plan()) is known
    for plan in (Plan(objective="reconstruction"), Plan(distance="l1")):
        assert fitting_covariance(known, plan) is UNINFORMED
    assert fitting_covariance(None, Plan()) is UNINFORMED


def test_the_covariance_is_learned_from_full_grids_and_kept_in_a_file(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    true = random_covariance(random)
    time_steps = random.integers(0, T, (400, 60))
    errors = np.stack([drawn_errors(random, true, each, 6) for each in time_steps]).astype(np.float32)
    found = learn_covariance(errors, time_steps, T, "here")
    scale = np.sqrt(np.outer(np.diag(true.smooth), np.diag(true.smooth)))
    np.testing.assert_allclose(found.smooth / scale, true.smooth / scale, atol=0.15)
    np.testing.assert_allclose(found.noise, true.noise, rtol=0.1)
    write_covariance(tmp_path / FILE, found)
    read = read_covariance(tmp_path)
    assert read is not None
    np.testing.assert_allclose(read.smooth, found.smooth, rtol=1e-3)
    np.testing.assert_allclose(read.noise, found.noise, rtol=1e-3)
    assert (read.source, read.learned) == ("here", True)
    with pytest.raises(ConfigError, match="tenth of the schedule"):
        learn_covariance(errors[:1, :3], time_steps[:1, :3], T, "")
    with pytest.raises(ConfigError, match="two prompts"):
        learn_covariance(errors[..., :1], time_steps, T, "")


@pytest.mark.parametrize("text", ["{", "{}", '{"source": "", "smooth": [[1.0]], "noise": [1.0, 2.0]}'])
def test_a_damaged_file_is_a_sentence(tmp_path: Path, text: str) -> None:
    assert read_covariance(tmp_path) is None
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(CoreError, match="earn it anew"):
        read_covariance(tmp_path)
