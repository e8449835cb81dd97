"""The classification of the prompts: oracles and identities of both papers' classifiers, on rigged denoisers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from core.errors import ConfigError, CoreError
from core.methods.diffusion.diffusion_classifier import (
    Classification,
    classify,
    excess_error,
    replay,
)
from core.methods.diffusion.elimination import paired_p_value
from core.methods.diffusion.false_pruning import _simulated_losses, false_pruning_rate
from core.methods.diffusion.sampling_plan import Plan, looks_of, sample_time_steps
from core.models.denoising_differences import DifferenceCovariance
from core.reports import finish

T = 1000
# Stable Diffusion's schedule: linear in the square roots of beta.
ALPHAS = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, T) ** 2)
LATENT = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(5))


class Rigged:
    """Knows the latent, so it knows the noise; each prompt adds an error of its own size, and noise that all share."""

    def __init__(self, sizes: list[float], latent: Tensor = LATENT, jitter: float = 0.0) -> None:
        self.sizes, self.latent, self.jitter = torch.tensor(sizes), latent, jitter
        self.batches: list[int] = []

    def __call__(self, noised: Tensor, steps: Tensor, prompts: Tensor) -> Tensor:
        self.batches.append(len(noised))
        kept = torch.from_numpy(ALPHAS).float()[steps][:, None, None, None]
        noise = (noised - kept.sqrt() * self.latent) / (1 - kept).sqrt()
        # An error that depends on the input alone, as a network's does.
        error = torch.sin(37 * noise + prompts[:, None, None, None])
        size = self.sizes[prompts] * (1 + self.jitter * torch.sin(1e3 * noise.flatten(1).mean(1) + 2.0 * prompts))
        return noise + size[:, None, None, None] * error


def classification(
    denoise: Rigged,
    plan: Plan,
    prompts: int | None = None,
    batch_size: int = 16,
    covariance: DifferenceCovariance | None = None,
) -> Classification:
    prompts = prompts or len(denoise.sizes)
    return finish(
        classify(denoise, denoise.latent, prompts, ALPHAS, plan, batch_size=batch_size, covariance=covariance)
    )


PLANS = [
    Plan(objective=objective, distance=distance, sampling=sampling, pruning=pruning, samples=40, stage_samples=(10, 40))
    for objective in ("reconstruction", "noise")
    for distance in ("l2", "l1", "huber")
    for sampling in ("uniform", "even", "staged")
    for pruning in ("forecast", "t_test", "stages", "none")
]


@pytest.mark.parametrize(
    "plan", PLANS, ids=lambda plan: f"{plan.objective}-{plan.distance}-{plan.sampling}-{plan.pruning}"
)
def test_the_prompt_that_denoises_best_wins_under_every_plan(plan: Plan) -> None:
    result = classification(Rigged([0.3, 0.25, 0.1, 0.4, 0.2, 0.35, 0.3], jitter=0.3), plan)
    assert result.predicted == 2
    assert result.finished
    assert sorted(result.order()) == list(range(7))
    assert result.order("noise")[0] == result.order("reconstruction")[0] == 2


def test_the_two_errors_are_one_residual() -> None:
    """‖z − ẑ‖² = ((1 − ᾱ)/ᾱ) ‖ε − ε̂‖², checked against the reconstruction written out."""
    denoise = Rigged([0.2, 0.7], jitter=0.5)
    plan = Plan(objective="reconstruction", pruning="none", samples=30)
    result = classification(denoise, plan)
    kept = ALPHAS[result.time_steps][:, None]
    np.testing.assert_allclose(result.reconstruction_error, result.noise_error * (1 - kept) / kept, rtol=1e-4)
    np.testing.assert_allclose(
        result.scores(), result.reconstruction_error * np.exp(-7 * result.time_steps / T)[:, None], rtol=1e-5
    )


def test_oracle() -> None:
    """ALGORITHMS §4: ᾱ = .64, z = (1, −.5, .25, 2), ε̂ − ε = (−.1, .2, .1, −.1): summed errors .07 and .039375."""
    noise, predicted = np.array([0.3, -1.2, 0.8, 0.1]), np.array([0.2, -1.0, 0.9, 0.0])
    latent = torch.tensor([1.0, -0.5, 0.25, 2.0])[:, None, None]

    def denoise(noised: Tensor, steps: Tensor, prompts: Tensor) -> Tensor:
        drawn = (noised - 0.8 * latent) / 0.6
        return drawn + torch.from_numpy(predicted - noise).float()[:, None, None]

    result = finish(classify(denoise, latent, 1, np.array([0.64]), Plan(samples=1)))
    np.testing.assert_allclose(result.noise_error, [[0.07 / 4]], rtol=1e-4)
    np.testing.assert_allclose(result.reconstruction_error, [[0.039375 / 4]], rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(5)), st.sampled_from(["forecast", "t_test", "stages", "none"]))
def test_the_order_of_the_prompts_does_not_matter(order: list[int], pruning: str) -> None:
    plan = Plan(pruning=pruning, samples=40, stage_samples=(10, 40), stage_keeps=(2, 1))  # type: ignore[arg-type]
    sizes = [0.3, 0.1, 0.25, 0.5, 0.15]

    class Permuted(Rigged):
        def __call__(self, noised: Tensor, steps: Tensor, prompts: Tensor) -> Tensor:
            return super().__call__(noised, steps, torch.tensor(order)[prompts])

    plain, permuted = classification(Rigged(sizes, jitter=0.4), plan), classification(Permuted(sizes, jitter=0.4), plan)
    assert [order[each] for each in permuted.order()] == list(plain.order())
    assert permuted.calls == plain.calls


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 300))
def test_the_size_of_the_batches_never_changes_the_result(batch_size: int) -> None:
    sizes = [0.3, 0.28, 0.26, 0.5]
    plan = Plan(samples=60)
    reference, other = (classification(Rigged(sizes, jitter=0.5), plan, batch_size=size) for size in (7, batch_size))
    assert other.order() == reference.order()
    assert other.pruned == reference.pruned
    assert other.calls == reference.calls
    np.testing.assert_allclose(other.noise_error, reference.noise_error, rtol=1e-4, equal_nan=True)


def test_a_constant_per_draw_never_changes_a_decision() -> None:
    """Shared noise: what a sample adds to all prompts alike cancels in the paired test."""
    result = classification(Rigged([0.3, 0.29, 0.31], jitter=0.6), Plan(samples=100, pruning="none"))
    scores = result.scores()
    shifted = scores + 10 * np.random.default_rng(0).random((100, 1)).astype(np.float32)
    assert np.argmin(shifted.mean(axis=0)) == result.predicted
    for other in range(3):
        plain = paired_p_value(scores[:, other] - scores[:, result.predicted])
        moved = paired_p_value(shifted[:, other] - shifted[:, result.predicted])
        assert moved == pytest.approx(plain, rel=1e-2, abs=1e-6)


def test_the_same_seed_gives_the_same_classification_and_another_another() -> None:
    one, same, other = (
        classification(Rigged([0.3, 0.29], jitter=0.5), Plan(samples=30, pruning="none", seed=seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.noise_error, same.noise_error)
    assert not np.array_equal(one.time_steps, other.time_steps)


def test_pruned_and_unpruned_agree_where_the_margin_is_large() -> None:
    sizes = [0.5, 0.2, 0.45, 0.55, 0.4, 0.6, 0.5, 0.45, 0.5, 0.55]
    pruned, whole = (
        classification(Rigged(sizes, jitter=0.3), Plan(samples=100, pruning=each)) for each in ("t_test", "none")
    )
    assert pruned.predicted == whole.predicted == 1
    assert whole.calls == 1000
    assert pruned.calls < 1000 / 3
    assert all(each.p_value is not None and each.p_value < 0.01 for each in pruned.pruned)


@pytest.mark.parametrize(
    ("classes", "samples", "keeps", "calls"),
    # ALGORITHMS §4, from the repository's own scripts: CIFAR-10, Pets, STL-10.
    [(10, (50, 500), (5, 1), 2750), (37, (25, 250), (5, 1), 2050), (10, (100, 500), (5, 1), 3000)],
)
def test_stages_cost_what_li_et_al_s_do(classes: int, samples: tuple, keeps: tuple, calls: int) -> None:
    plan = Plan(pruning="stages", sampling="staged", stage_samples=samples, stage_keeps=keeps, objective="noise")
    result = classification(Rigged([0.2 + 0.01 * index for index in range(classes)]), plan, batch_size=512)
    assert result.calls == calls
    assert result.predicted == 0


def test_the_stages_time_steps_are_the_repository_s() -> None:
    plan = Plan(pruning="stages", sampling="staged", stage_samples=(50, 500))
    steps = sample_time_steps(plan, T)
    assert steps[:50].tolist() == list(range(11, 1000, 20))
    assert sorted(steps.tolist()) == list(range(1, 1000, 2))


def test_every_call_is_counted_and_batches_are_full() -> None:
    denoise = Rigged([0.3, 0.2, 0.4])
    result = classification(denoise, Plan(samples=40, pruning="none", look_every=20), batch_size=16)
    assert sum(denoise.batches) == result.calls == 120
    assert len(denoise.batches) == result.batches
    assert denoise.batches == [16, 16, 16, 12] * 2


def test_running_out_of_memory_halves_the_batch_and_goes_on() -> None:
    class Small(Rigged):
        def __call__(self, noised: Tensor, steps: Tensor, prompts: Tensor) -> Tensor:
            if len(noised) > 5:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
            return super().__call__(noised, steps, prompts)

    plan = Plan(samples=30, pruning="none")
    small, large = (
        classification(Small([0.3, 0.2]), plan, batch_size=64),
        classification(Rigged([0.3, 0.2]), plan, batch_size=64),
    )
    np.testing.assert_allclose(small.noise_error, large.noise_error, rtol=1e-4)
    assert small.calls == large.calls


def test_p_values() -> None:
    random = np.random.default_rng(0)
    a, b = random.random((2, 30))
    assert paired_p_value(a - b) == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert paired_p_value(np.zeros(30)) == 1
    assert paired_p_value(np.full(30, 0.25)) == 0
    assert paired_p_value(np.array([1.0])) == 1


def test_looking_again_and_again_inflates_the_error() -> None:
    """ALGORITHMS §4: a nominal .002 becomes some percent when one looks at every few samples. Four equal prompts."""
    often = Plan(pruning="t_test", samples=200, look_every=4, least_samples=20, threshold=2e-3)
    rate = false_pruning_rate(often, prompts=4, trials=200)
    # Simulated ten times as often: 2.2 % for this plan, 0.55 % for two looks.
    assert 0.005 <= rate < 0.06
    assert false_pruning_rate(dataclasses.replace(often, look_every=180), prompts=4, trials=200) < rate
    assert false_pruning_rate(dataclasses.replace(often, samples=60), advantage=1.0, trials=100) == 0


def test_one_prompt_alone_is_measured_once_and_wins() -> None:
    result = classification(Rigged([0.3]), Plan(samples=100))
    assert (result.predicted, result.order(), result.calls) == (0, (0,), 4)
    assert result.finished


def test_identical_prompts_are_never_told_apart() -> None:
    class Same(Rigged):
        def __call__(self, noised: Tensor, steps: Tensor, prompts: Tensor) -> Tensor:
            return super().__call__(noised, steps, torch.zeros_like(prompts))

    result = classification(Same([0.3, 0.3, 0.3]), Plan(samples=60))
    assert result.alive == (0, 1, 2)
    assert not result.pruned


def test_the_classification_is_reported_as_it_runs_and_can_be_left() -> None:
    denoise = Rigged([0.3, 0.29, 0.28], jitter=1.0)
    reports = classify(denoise, LATENT, 3, ALPHAS, Plan(samples=100, pruning="none"))
    first, second = next(reports), next(reports)
    assert (first.step, second.step, first.steps) == (5, 10, 100)
    np.testing.assert_array_equal(first.noise_error, second.noise_error[:5])
    reports.close()
    assert sum(denoise.batches) == second.calls == 30


@pytest.mark.parametrize("pruning", ["t_test", "stages", "none"])
def test_many_prompts_are_reported_before_anything_is_decided(pruning: str) -> None:
    denoise = Rigged([0.2, *[0.3] * 399], jitter=0.5)
    plan = Plan(samples=20, pruning=pruning, stage_samples=(10, 20), stage_keeps=(5, 1))  # type: ignore[arg-type]
    reports = list(classify(denoise, LATENT, 400, ALPHAS, plan, batch_size=256))
    assert [each.step for each in reports[:10]] == list(range(1, 11))
    assert all(not each.pruned for each in reports[:9])
    last = reports[-1]
    again = replay(last.noise_error, last.reconstruction_error, last.time_steps, plan, T)
    assert (again.calls, again.alive, again.pruned) == (last.calls, last.alive, last.pruned)


def test_no_prompt_and_crooked_stages_are_refused() -> None:
    with pytest.raises(ConfigError, match="no prompt"):
        classification(Rigged([0.1]), Plan(), prompts=-1)
    with pytest.raises(ConfigError, match="as many"):
        Plan(pruning="stages", stage_samples=(10, 20), stage_keeps=(1,))
    with pytest.raises(ConfigError, match="grow"):
        Plan(pruning="stages", stage_samples=(20, 10), stage_keeps=(2, 1))
    with pytest.raises(ConfigError, match="least_samples"):
        Plan(least_samples=1)


@given(stop_after=st.integers(1, 6), batch_size=st.integers(1, 40), pruning=st.sampled_from(["forecast", "t_test"]))
@settings(max_examples=12, deadline=None)
def test_a_classification_that_was_stopped_goes_on_to_the_same_end(
    stop_after: int, batch_size: int, pruning: str
) -> None:
    plan = Plan(pruning=pruning, samples=60, look_every=7, threshold=0.05, error_rate=0.2)  # type: ignore[arg-type]
    denoise = Rigged([0.3, 0.28, 0.27, 0.5], jitter=0.9)
    whole = classification(denoise, plan)
    running = classify(denoise, denoise.latent, 4, ALPHAS, plan, batch_size=batch_size)
    stopped = next(running)
    for _ in range(stop_after - 1):
        stopped = next(running, stopped)
    again = finish(classify(denoise, denoise.latent, 4, ALPHAS, plan, batch_size=batch_size, begin=stopped))
    np.testing.assert_array_equal(again.noise_error, whole.noise_error)
    assert (again.alive, again.pruned, again.calls, again.finished) == (whole.alive, whole.pruned, whole.calls, True)


def test_another_classification_is_not_gone_on_with() -> None:
    denoise = Rigged([0.3, 0.4])
    first = next(classify(denoise, LATENT, 2, ALPHAS, Plan(samples=30)))
    with pytest.raises(ConfigError, match="another plan"):
        finish(classify(denoise, LATENT, 2, ALPHAS, Plan(samples=30, seed=1), begin=first))
    with pytest.raises(ConfigError, match="other prompts"):
        finish(classify(denoise, LATENT, 1, ALPHAS, Plan(samples=30), begin=first))


def test_the_excess_is_the_paired_mean_with_students_interval() -> None:
    found = classification(Rigged([0.2, 0.21, 0.3], jitter=0.9), Plan(samples=50, pruning="none"))
    mean, half_width = excess_error(found)
    scores = found.scores().astype(float)
    for samples in (2, 17, 50):
        for prompt in range(3):
            differences = (scores[:samples, prompt] - scores[:samples, found.predicted]) / scores[
                :, found.predicted
            ].mean()
            assert mean[samples - 1, prompt] == pytest.approx(differences.mean(), abs=1e-9)
            if prompt != found.predicted:
                low, high = stats.t.interval(0.95, samples - 1, loc=differences.mean(), scale=stats.sem(differences))
                assert half_width[samples - 1, prompt] == pytest.approx((high - low) / 2, rel=1e-6)
    assert (mean[:, found.predicted] == 0).all()


PRUNINGS = ("forecast", "t_test", "stages", "none")


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.floats(0.2, 0.4), min_size=2, max_size=6),
    objective=st.sampled_from(["noise", "reconstruction"]),
    pruning=st.sampled_from(PRUNINGS),
    sampling=st.sampled_from(["uniform", "even", "staged"]),
    threshold=st.sampled_from([0.5, 0.05, 2e-3]),
    look_every=st.integers(1, 9),
    decay=st.sampled_from([0.0, 7.0]),
)
@pytest.mark.slow
def test_a_replay_of_the_full_grid_is_the_classification_that_was_really_pruned(
    sizes: list[float], objective: Any, pruning: Any, sampling: Any, threshold: float, look_every: int, decay: float
) -> None:
    plan = Plan(
        objective=objective, pruning=pruning, sampling=sampling, threshold=threshold, look_every=look_every,
        decay=decay,
        samples=40, least_samples=10, stage_samples=(12, 40), stage_keeps=(2, 1),
    )  # fmt: skip
    # One pair a pass: then a pair's error does not depend on who else was in its batch, to the last bit.
    denoise = Rigged(sizes, jitter=0.9)
    grid = classification(denoise, dataclasses.replace(plan, pruning="none"), batch_size=1)
    pruned = classification(denoise, plan, batch_size=1)
    found = replay(grid.noise_error, grid.reconstruction_error, grid.time_steps, plan, T)
    for name in ("alive", "pruned", "calls", "steps", "finished", "objective"):
        assert getattr(found, name) == getattr(pruned, name), name
    for name in ("noise_error", "reconstruction_error", "time_steps", "weights"):
        np.testing.assert_array_equal(getattr(found, name), getattr(pruned, name))
    assert found.order() == pruned.order()
    # What a pruned classification recorded is enough to replay itself.
    assert pruned.planned is not None
    again = replay(pruned.noise_error, pruned.reconstruction_error, pruned.planned, plan, T)
    assert (again.alive, again.pruned, again.calls) == (pruned.alive, pruned.pruned, pruned.calls)


def test_nothing_is_replayed_that_was_not_measured() -> None:
    pruned = classification(Rigged([0.5, 0.2, 0.45, 0.3], jitter=0.3), Plan(pruning="t_test", samples=60))
    assert pruned.pruned
    measured = (pruned.noise_error, pruned.reconstruction_error, pruned.time_steps)
    before = [each.copy() for each in measured]
    with pytest.raises(ConfigError, match="measured until there"):
        replay(*measured, Plan(samples=60, pruning="none"), T)
    with pytest.raises(ConfigError, match="measured until there"):
        replay(*(each[:15] for each in measured), Plan(pruning="t_test", samples=60), T)
    for old, new in zip(before, measured, strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_network_that_gives_no_numbers_is_said_at_once() -> None:
    with pytest.raises(CoreError, match="not numbers"):
        classification(Rigged([0.2, float("nan"), 0.3]), Plan(samples=30))


def test_draws_count_how_long_each_prompt_took_part() -> None:
    found = classification(Rigged([0.2, 0.21, 0.6], jitter=0.9), Plan(pruning="t_test", samples=60, threshold=0.05))
    left = {each.prompt: each.sample for each in found.pruned}
    assert left
    assert list(found.samples) == [left.get(prompt, found.step) for prompt in range(3)]


@pytest.mark.parametrize("steps", [1000, 999])
def test_evenly_spaced_steps_reach_both_ends_for_every_number_of_them(steps: int) -> None:
    for count in range(1, steps + 1):
        drawn = np.sort(sample_time_steps(Plan(sampling="even", samples=count), steps))
        stride = steps / count
        assert len(drawn) == len(set(drawn.tolist())) == count
        gaps = np.diff(drawn)
        assert not len(gaps) or (gaps.min() >= np.floor(stride) and gaps.max() <= np.ceil(stride))
        assert drawn[0] <= stride / 2
        assert steps - 1 - drawn[-1] <= stride / 2, count
        if steps % count == 0:  # as in the repository
            assert drawn.tolist() == list(range(int(stride) // 2, steps, int(stride)))


def test_more_draws_than_steps_repeat_them_evenly() -> None:
    drawn = sample_time_steps(Plan(sampling="even", samples=1500), T)
    counts = np.bincount(drawn, minlength=T)
    assert (counts.min(), counts.max(), counts[:500].sum()) == (1, 2, 750)


@pytest.mark.parametrize("ends", [(50, 500), (50, 200, 500), (7, 120), (3, 4, 600), (333,), (10, 1500)])
def test_every_stage_ends_with_draws_from_all_of_the_schedule(ends: tuple[int, ...]) -> None:
    steps = sample_time_steps(
        Plan(pruning="stages", sampling="staged", stage_samples=ends, stage_keeps=(1,) * len(ends)), T
    )
    assert len(steps) == ends[-1]
    for begin, end in zip((0, *ends), ends, strict=False):
        added = np.sort(steps[begin:end])
        # Where few are left, their places are not the schedule's to choose.
        slack = 2 * T / ends[-1] + T / len(added)
        assert added[0] <= slack
        assert T - 1 - added[-1] <= slack
    assert steps[: ends[0]].max() + T / ends[0] + T / ends[-1] >= T - 1


class AtTheEnd(Rigged):
    """The same under another schedule."""

    def __init__(self, sizes: list[float], alphas: np.ndarray, **rest: Any) -> None:
        super().__init__(sizes, **rest)
        self.alphas, self.seen = torch.from_numpy(alphas).float(), set[int]()

    def __call__(self, noised: Tensor, steps: Tensor, prompts: Tensor) -> Tensor:
        self.seen |= set(steps.tolist())
        kept = self.alphas[steps][:, None, None, None]
        noise = (noised - kept.sqrt() * self.latent) / (1 - kept).sqrt()
        size = self.sizes[prompts] * (1 + self.jitter * torch.sin(1e3 * noise.flatten(1).mean(1) + 2.0 * prompts))
        return noise + size[:, None, None, None] * torch.sin(37 * noise + prompts[:, None, None, None])


@pytest.mark.parametrize("objective", ["reconstruction", "noise"])
@pytest.mark.parametrize("sampling", ["uniform", "even"])
def test_steps_without_any_signal_are_left_out_of_the_classification(objective: Any, sampling: Any) -> None:
    """Zero terminal SNR: at ᾱ = 0 the reconstruction is 0/0, all prompts were infinitely bad and the first one won."""
    alphas = ALPHAS[::50].copy()  # 20 steps, so that the last one would be drawn again and again
    alphas[-1], alphas[0] = 0.0, 1.0
    denoise = AtTheEnd([0.3, 0.25, 0.1, 0.4], alphas, jitter=0.3)
    plan = Plan(objective=objective, sampling=sampling, samples=60, pruning="none", decay=0.0)
    found = finish(classify(denoise, LATENT, 4, alphas, plan))
    assert found.predicted == 2
    assert denoise.seen == set(range(1, 19))
    for errors in (found.noise_error, found.reconstruction_error, found.weights, *excess_error(found)[:1]):
        assert np.isfinite(errors).all()
    with pytest.raises(ConfigError, match="mixes image and noise"):
        finish(classify(denoise, LATENT, 4, np.array([1.0, 0.0]), plan))


def test_the_price_of_pruning_grows_with_the_prompts_and_is_that_of_the_classification_itself() -> None:
    plan = Plan(pruning="t_test")
    two, ten = (false_pruning_rate(plan, prompts=prompts, trials=4000) for prompts in (2, 10))
    # 20,000 classifications each: 2.8 % and 16.2 %.
    assert 0.018 < two < 0.038
    assert 0.13 < ten < 0.19
    assert looks_of(plan) == list(range(10, 101, 5))
    assert looks_of(Plan(pruning="none")) == looks_of(Plan(pruning="t_test", samples=5)) == []
    # The simulation decides as the classification does, look by look, on the same scores.
    random = np.random.default_rng(3)
    alone = Plan(pruning="t_test", samples=30, least_samples=10, look_every=10, threshold=0.2)
    lost = 0
    for _ in range(40):
        scores = (random.standard_normal((1, 30, 3)) * np.sqrt(0.5))[0]
        found = replay(scores, scores, np.zeros(30, np.int64), alone, T)
        lost += 0 in {each.prompt for each in found.pruned}
    random = np.random.default_rng(3)
    simulated = sum(
        _simulated_losses(random, {look: stats.t.isf(0.1, look - 1) for look in (10, 20, 30)}, 3, 0.0, 1)
        for _ in range(40)
    )
    assert simulated == lost > 0
