"""Which prompt an image belongs to, by how well a diffusion model denoises the image under each prompt.

The image is noised, the network predicts the noise under every prompt, and the prompt with the smallest expected error
wins. Noise and time step of a draw are the same for all prompts, so that their errors differ by the prompt alone.

Sources: Clark & Jaini 2023, arXiv:2303.15233 (weighted reconstruction error, paired t-test pruning);
Li et al. 2023, arXiv:2303.16203 (noise error, evenly spaced time steps, stages).
Differs from the papers: the t-test is two-sided (Clark & Jaini leave that open) and is looked at every few draws
instead of after each, so that the result does not depend on the size of the batches; time steps count from 0; no draw
is made where the schedule leaves nothing of the image (ᾱ = 0, zero terminal SNR) or adds no noise (ᾱ = 1); evenly
spaced steps reach both ends for every number of them (Li et al.'s code does where the number divides the schedule).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from core.configs import check_options, option
from core.errors import ConfigError, CoreError
from core.finite import require_finite
from core.notebook import Drawn
from core.seeding import published_stream, stream, torch_generator

Objective = Literal["reconstruction", "noise"]
Distance = Literal["l2", "l1", "huber"]
Spread = Literal["uniform", "even", "staged"]
Pruning = Literal["t_test", "stages", "none"]

# noise predicted for (latents, time steps, prompt indices), all with the same first axis
Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]

_HUBER_DELTA = 1.0
# Calls after which a race is reported, if they fill a batch: some seconds of the bundled pipeline on a CPU.
_MOST_UNSEEN = 500
# Numbers that a simulation holds at once.
_SIMULATED = 4_000_000
# ᾱ below which (1 − ᾱ)/ᾱ times an error leaves float32.
_LEAST_SIGNAL = 1e-30


def other_objective(objective: Objective) -> Objective:
    """The one that does not decide: its errors come with the same calls."""
    return "noise" if objective == "reconstruction" else "reconstruction"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the prompts race against each other."""

    # On Stable Diffusion's schedule the two nearly agree. On a cosine schedule, whose ᾱ ends near 0, exp(−7 t/T) leaves
    # the sum to the last steps, where the reconstruction's error is (1 − ᾱ)/ᾱ times the noise's.
    objective: Objective = option(
        "noise",
        "Objective",
        "noise: error of the noise; reconstruction: error of the denoised latent, weighted by exp(−decay · t/T).",
    )
    distance: Distance = option("l2", "Distance", "Of the two, averaged over the latent's numbers.")
    decay: float = option(7.0, "Decay", "k in exp(−k t/T), for the reconstruction error alone.", minimum=0, maximum=50)
    spread: Spread = option(
        "uniform", "Time steps", "uniform: drawn at random; even: a regular grid in random order; staged: Li et al.'s."
    )
    # On 300 validation images of CIFAR-10 the bundled pipeline was as often right after 20 draws as after 100. Clark &
    # Jaini look first after 20 and prune below 0.002: 2.4 times fewer calls than all 100 draws for all prompts, and
    # always the same answer; these settings: 3.2 times fewer, and the same answer in 99 %.
    draws: int = option(100, "Most draws", "Pairs of noise and time step for a prompt.", minimum=1, maximum=10_000)
    pruning: Pruning = option("t_test", "Pruning", "When a prompt leaves the race.")
    least_draws: int = option(10, "First look", "Draws before the first test.", minimum=2, maximum=10_000)
    look_every: int = option(5, "Look every", "Draws between two tests.", minimum=1, maximum=1000)
    threshold: float = option(0.01, "p-value", "A prompt leaves below it.", minimum=0, maximum=1)
    stage_draws: tuple[int, ...] = option((50, 200), "Stage draws", "After so many draws a stage ends.")
    stage_keeps: tuple[int, ...] = option((5, 1), "Stage keeps", "So many prompts stay after each stage.")
    seed: int = option(0, "Seed", minimum=0)

    def __post_init__(self) -> None:
        check_options(self)
        staged = self.pruning == "stages" or self.spread == "staged"
        if staged and len(self.stage_draws) != len(self.stage_keeps):
            raise ConfigError(
                f"{len(self.stage_draws)} stages have draws and {len(self.stage_keeps)} have prompts to keep.",
                "Give as many of both.",
            )
        rising = all(0 < a < b for a, b in zip((0.5, *self.stage_draws), (*self.stage_draws, 1e9), strict=True))
        if staged and not (self.stage_draws and rising and min(self.stage_keeps) >= 1):
            raise ConfigError(f"Stages must grow; got {self.stage_draws} draws.", "For example 50,200 keeping 5,1.")

    @property
    def most_draws(self) -> int:
        """Draws for a prompt that stays to the end."""
        return self.stage_draws[-1] if self.spread == "staged" or self.pruning == "stages" else self.draws


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """A prompt that left the race: after which draw, and with which p-value (None at the end of a stage)."""

    prompt: int
    draw: int
    p_value: float | None


@dataclass(frozen=True, kw_only=True)
class Race(Drawn):
    """Where the race is.

    Attributes:
        noise_error: (draws, prompts) distance between the noise and its prediction; NaN where not computed.
        reconstruction_error: the same of the latent and its reconstruction, not yet weighted.
        time_steps: (draws,) of the draws so far.
        weights: (draws,) of the reconstruction error.
        objective: which of the two decides.
        alive: prompts still in the race, the best first.
        pruned: the others, in the order in which they left.
        calls: evaluations of the network, one for each latent that it saw.
        batches: forward passes.
        seconds: spent so far, all included.
        steps: draws of a prompt that stays to the end.
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
        """Draws so far."""
        return len(self.time_steps)

    @property
    def winner(self) -> int:
        return self.alive[0]

    @property
    def draws(self) -> np.ndarray:
        """(prompts,) draws that each took part in."""
        return (~np.isnan(self.noise_error)).sum(axis=0)

    def scores(self, objective: Objective | None = None) -> np.ndarray:
        """(draws, prompts) what is averaged and compared; NaN where a prompt had left."""
        if (objective or self.objective) == "noise":
            return self.noise_error
        return self.reconstruction_error * self.weights[:, None]

    def order(self, objective: Objective | None = None) -> tuple[int, ...]:
        """All prompts, the best first: those alive by their mean score, then the last to leave.

        Under the other objective, whose race was not run: by the mean over the draws that all prompts took part in.
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
    begin: Race | None = None,
) -> Generator[Race, None, Race]:
    """Race `prompts` against each other; yields after every look and returns the last state.

    Args:
        denoise: predicts the noise in (batch, channels, height, width) latents at (batch,) time steps under (batch,)
            prompt indices. A prediction of another kind is converted by its adapter.
        latent: (channels, height, width), scaled as the network wants it.
        prompts: how many.
        alphas_cumprod: (time steps,) ᾱ of the schedule, float64; all arithmetic but the network's own is fp32 or finer.
            Only its `usable_steps` are drawn.
        batch_size: latents in a forward pass. It never changes the result; running out of GPU memory halves it.
        begin: a race of the same plan, prompts and latent that was stopped, to go on with.

    Raises:
        ConfigError: there is no prompt, `begin` is another race, or no time step mixes image and noise.
        CoreError: the network gives no numbers.
    """
    if prompts < 1:
        raise ConfigError("There is no prompt to compare.", "Give at least one label.")
    require_finite("The latent", latent)
    began = time.perf_counter()
    usable = usable_steps(alphas_cumprod)
    if not len(usable):
        raise ConfigError("No time step of the schedule mixes image and noise.", "Check the scheduler's betas.")
    draws = usable[draw_time_steps(plan, len(usable))]
    bench = _Bench(denoise, latent, np.asarray(alphas_cumprod, dtype=np.float64), plan, batch_size)
    noise_error = np.full((len(draws), prompts), np.nan, dtype=np.float32)
    reconstruction_error = noise_error.copy()
    weights = _weights(plan, draws, len(alphas_cumprod))
    alive: tuple[int, ...] = tuple(range(prompts))
    pruned: list[Pruned] = []
    done, spent = 0, 0.0
    if begin is not None:
        done, spent = begin.step, begin.seconds
        if begin.scores().shape[1] != prompts or not np.array_equal(begin.time_steps, draws[:done]):
            raise ConfigError("The race to go on with is of another plan or other prompts.", "Begin anew.")
        noise_error[:done], reconstruction_error[:done] = begin.noise_error, begin.reconstruction_error
        alive, pruned = begin.alive, list(begin.pruned)
        bench.calls, bench.batches = begin.calls, begin.batches

    def race(finished: bool) -> Race:
        return Race(
            noise_error=noise_error[:done].copy(),
            reconstruction_error=reconstruction_error[:done].copy(),
            time_steps=draws[:done],
            weights=weights[:done],
            objective=plan.objective,
            alive=alive,
            pruned=tuple(pruned),
            calls=bench.calls,
            batches=bench.batches,
            seconds=spent + time.perf_counter() - began,
            steps=len(draws),
            finished=finished,
        )

    while done < len(draws) and (len(alive) > 1 or not done):
        until = _next_report(plan, done, len(draws), max(1, max(_MOST_UNSEEN, bench.batch_size) // len(alive)))
        bench.measure(draws, range(done, until), sorted(alive), noise_error, reconstruction_error)
        measured = noise_error[done:until, list(alive)], reconstruction_error[done:until, list(alive)]
        if not all(np.isfinite(errors).all() for errors in measured):
            raise CoreError("The network's predictions are not numbers.", "Compute in fp32.")
        done = until
        scores = noise_error if plan.objective == "noise" else reconstruction_error * weights[:, None]
        alive, leaving = _look(plan, scores[:done], alive)
        pruned += leaving
        yield race(finished=done == len(draws) or len(alive) == 1)
    return race(finished=True)


def replay(
    noise_error: np.ndarray, reconstruction_error: np.ndarray, time_steps: np.ndarray, plan: Plan, steps: int
) -> Race:
    """The race that `plan` would have run, from errors that were measured before: no network is asked.

    Errors of the full grid serve any objective, decay, pruning and lesser number of draws. Distance, seed and time
    steps are those that were recorded, whatever `plan` says of them.

    Args:
        noise_error, reconstruction_error: (draws, prompts); numbers at least where the race will look.
        time_steps: (draws,) of the draws.
        steps: time steps of the schedule.

    Returns:
        The last state. Its `calls` are those that the plan needs; it took no batches and no time.

    Raises:
        ConfigError: the plan looks where nothing was measured.
    """
    most, prompts = plan.most_draws, noise_error.shape[1]
    weights = _weights(plan, time_steps, steps)
    scores = noise_error if plan.objective == "noise" else reconstruction_error * weights[:, None]
    seen = np.zeros((min(most, len(scores)), prompts), dtype=bool)
    alive: tuple[int, ...] = tuple(range(prompts))
    pruned: list[Pruned] = []
    done = 0
    while done < most and (len(alive) > 1 or not done):
        until = _next_look(plan, done, most)
        if len(scores) < until or np.isnan(scores[done:until, list(alive)]).any():
            raise ConfigError(
                f"The plan goes to draw {until}, but not every prompt that is left was measured until there.",
                "Replay fewer draws, or record the full grid.",
            )
        seen[done:until, list(alive)] = True
        done = until
        alive, leaving = _look(plan, np.where(seen[:done], scores[:done], np.nan), alive)
        pruned += leaving
    nothing = np.float32(np.nan)
    return Race(
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


def usable_steps(alphas_cumprod: np.ndarray) -> np.ndarray:
    """Indices (steps,) of the time steps at which there are both image and noise, in float32: 0 < ᾱ < 1.

    At ᾱ = 0 the network sees noise alone: ẑ = (z_t − √(1 − ᾱ) ε̂)/√ᾱ is not defined, and no error says anything about
    the image. At ᾱ = 1 there is no noise to predict.
    """
    kept = np.asarray(alphas_cumprod, dtype=np.float32)
    return np.flatnonzero((kept > _LEAST_SIGNAL) & (kept < 1))


def draw_time_steps(plan: Plan, steps: int) -> np.ndarray:
    """(draws,) int64 of `steps` time steps, in the order in which they are used.

    Every stage of "staged" ends with as many draws as it says, spread over the whole schedule: a stage takes steps that
    lie evenly among those of the final grid that are left. For stages that divide it, such as 50 and 500 of 1,000,
    these are the repository's.
    """
    random = stream("time steps", plan.seed)
    if plan.spread == "uniform":
        return random.integers(0, steps, plan.most_draws)
    if plan.spread == "even":
        return random.permutation(_even(steps, plan.most_draws))
    left, chosen = _even(steps, plan.most_draws), np.empty(0, dtype=np.int64)
    for count in plan.stage_draws:
        places = _even(len(left), count - len(chosen))
        chosen, left = np.append(chosen, left[places]), np.delete(left, places)
    return chosen


def paired_p_value(differences: np.ndarray) -> float:
    """Two-sided p-value of the paired t-test that `differences` (draws,) have mean zero.

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


def excess_error(race: Race) -> tuple[np.ndarray, np.ndarray]:
    """By how much each prompt's error is above the leader's, after every draw.

    Returns:
        mean: (draws, prompts) of the paired differences so far, as shares of the leader's mean error; NaN after a
            prompt has left.
        half_width: (draws, prompts) of the 95 % interval of that mean by Student's t, which knows nothing of the leader
            having been chosen by the same draws; NaN for the first draw.
    """
    from scipy.stats import t as student

    scores = race.scores().astype(np.float64)
    differences = scores - scores[:, [race.winner]]
    counts = np.arange(1, len(scores) + 1, dtype=np.float64)[:, None]
    mean = np.cumsum(differences, axis=0) / counts
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.maximum(np.cumsum(differences**2, axis=0) / counts - mean**2, 0) * counts / (counts - 1)
        half_width = student.ppf(0.975, counts - 1) * np.sqrt(variance / counts)
    unit = max(float(scores[:, race.winner].mean()), 1e-12)
    return mean / unit, half_width / unit


def looks_of(plan: Plan) -> list[int]:
    """After how many draws the t-test is looked at; empty for other prunings."""
    looks, done = [], 0
    while done < plan.most_draws:
        done = _next_look(plan, done, plan.most_draws)
        looks.append(done)
    return [look for look in looks if look >= plan.least_draws] if plan.pruning == "t_test" else []


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
    random: np.random.Generator, critical: dict[int, float], prompts: int, advantage: float, races: int
) -> int:
    """Of so many simulated races, those that prompt 0 had to leave; `critical`: of |t| by look."""
    # The variance of a difference of two is 1.
    scores = random.standard_normal((races, max(critical), prompts)) * np.sqrt(0.5)
    scores[:, :, 0] -= advantage
    alive, racing = np.ones((races, prompts), dtype=bool), np.ones(races, dtype=bool)
    leader = np.full(races, -1)
    total, squares, products = np.zeros((3, races, prompts))
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
        spread = squares + squares[rows, best][:, None] - 2 * products - look * mean**2
        alive &= ~(mean > largest * np.sqrt(np.maximum(spread, 0) / (look * (look - 1))))
        lost += int((racing & ~alive[:, 0]).sum())
        racing &= alive[:, 0] & (alive.sum(axis=1) > 1)
        leader, before = best, look
        if 2 * racing.sum() < len(racing):  # copying is dear, so that it waits until half of them are decided
            scores, alive, leader = scores[racing], alive[racing], leader[racing]
            total, squares, products, racing = total[racing], squares[racing], products[racing], racing[racing]
        if not len(alive):
            break
    return lost


def _products(scores: np.ndarray, best: np.ndarray) -> np.ndarray:
    """(races, prompts) sums over the draws of `scores` (races, draws, prompts) times those of `best` (races,)."""
    own = np.take_along_axis(scores, best[:, None, None], axis=2)
    return np.asarray((own.transpose(0, 2, 1) @ scores)[:, 0])


@dataclass
class _Bench:
    """The network at work: packs (draw, prompt) pairs into full batches and counts."""

    denoise: Denoiser
    latent: Tensor
    alphas_cumprod: np.ndarray
    plan: Plan
    batch_size: int
    calls: int = 0
    batches: int = 0
    _noise: dict[int, Tensor] = field(default_factory=dict)

    def measure(
        self,
        draws: np.ndarray,
        which: range,
        prompts: Sequence[int],
        noise_error: np.ndarray,
        reconstruction_error: np.ndarray,
    ) -> None:
        """Fill the rows `which` of both tables for `prompts`; draws outermost."""
        pairs = [(draw, prompt) for draw in which for prompt in prompts]
        self._noise = {draw: self._draw_noise(draw) for draw in which}
        start = 0
        while start < len(pairs):
            batch = pairs[start : start + self.batch_size]
            try:
                noise, reconstruction = self._errors(draws, batch)
            except torch.cuda.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                torch.cuda.empty_cache()
                self.batch_size = max(1, len(batch) // 2)
                continue
            rows, columns = np.asarray(batch).T
            noise_error[rows, columns] = noise
            reconstruction_error[rows, columns] = reconstruction
            self.calls += len(batch)
            self.batches += 1
            start += len(batch)

    def _draw_noise(self, draw: int) -> Tensor:
        # A seed for each draw, drawn on the CPU: the same noise on every device and for every size of batch.
        generator = torch_generator(int(published_stream("noise of a draw", self.plan.seed, draw).integers(2**62)))
        return torch.randn(self.latent.shape, generator=generator).to(self.latent.device)

    def _errors(self, draws: np.ndarray, batch: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        """(batch,) noise and reconstruction error of each pair."""
        steps = draws[[draw for draw, _ in batch]]
        kept = self.alphas_cumprod[steps]
        signal, spread = self._column(np.sqrt(kept)), self._column(np.sqrt(1 - kept))
        noise = torch.stack([self._noise[draw] for draw, _ in batch])
        noised = signal * self.latent.float() + spread * noise
        device = self.latent.device
        predicted = self.denoise(
            noised, torch.from_numpy(steps).to(device), torch.tensor([prompt for _, prompt in batch], device=device)
        )
        # ẑ − z = −√((1 − ᾱ)/ᾱ) (ε̂ − ε), so one residual serves both.
        residual = predicted.float() - noise
        return self._distance(residual), self._distance(residual * spread / signal)

    def _column(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.latent.device)[:, None, None, None]

    def _distance(self, residual: Tensor) -> np.ndarray:
        flat = residual.flatten(1)
        if self.plan.distance == "l2":
            values = flat.square()
        elif self.plan.distance == "l1":
            values = flat.abs()
        else:
            values = torch.nn.functional.huber_loss(flat, torch.zeros_like(flat), reduction="none", delta=_HUBER_DELTA)
        return values.mean(dim=1).cpu().numpy()


def _even(steps: int, count: int) -> np.ndarray:
    """`count` evenly spaced of `steps`, the middles of as many equal parts: both ends are half a stride away.

    Where `count` divides `steps` this is range(stride // 2, steps, stride). More than there are steps repeat evenly.
    """
    return (2 * np.arange(count, dtype=np.int64) + 1) * steps // (2 * count)


def _weights(plan: Plan, time_steps: np.ndarray, steps: int) -> np.ndarray:
    """(draws,) of the reconstruction error, of a schedule with so many `steps`."""
    return np.exp(-plan.decay * time_steps / steps).astype(np.float32)


def _look(plan: Plan, scores: np.ndarray, alive: Sequence[int]) -> tuple[tuple[int, ...], list[Pruned]]:
    """Compare the prompts after the draws `scores` (draws, prompts): who stays, the best first, and who leaves."""
    ranked = _ranking(scores, alive)
    leaving = _leaving(plan, scores, ranked, len(scores))
    gone = {each.prompt for each in leaving}
    return tuple(each for each in ranked if each not in gone), leaving


def _next_look(plan: Plan, done: int, most: int) -> int:
    """After how many draws the prompts are compared next."""
    if plan.pruning == "stages":
        ends = [end for end in plan.stage_draws if end > done]
        # Looking more often than the stages end changes nothing but what the viewer sees.
        return min(most, done + plan.look_every, *ends)
    if plan.pruning == "t_test" and done < plan.least_draws:
        return min(most, plan.least_draws)
    return min(most, done + plan.look_every)


def _next_report(plan: Plan, done: int, most: int, patience: int) -> int:
    """The next look, or after `patience` draws where nothing can be decided yet: many prompts make a look long."""
    until = _next_look(plan, done, most)
    tested = plan.pruning == "t_test" and done >= plan.least_draws
    return until if tested else min(until, done + patience)


def _ranking(scores: np.ndarray, among: Sequence[int]) -> tuple[int, ...]:
    """`among`, the smallest mean score first; all of them have been in every draw."""
    means = np.nanmean(scores[:, list(among)], axis=0, dtype=np.float64)
    return tuple(among[index] for index in np.lexsort((np.asarray(among), means)))


def _leaving(plan: Plan, scores: np.ndarray, alive: tuple[int, ...], done: int) -> list[Pruned]:
    """Who leaves now, the worst last; `alive` is ranked."""
    if plan.pruning == "stages":
        keeps = dict(zip(plan.stage_draws, plan.stage_keeps, strict=True)).get(done)
        return [Pruned(prompt=each, draw=done, p_value=None) for each in reversed(alive[keeps:])] if keeps else []
    if plan.pruning == "none" or done < plan.least_draws:
        return []
    best, *others = alive
    values = [(each, paired_p_value(scores[:, each] - scores[:, best])) for each in others]
    return [Pruned(prompt=each, draw=done, p_value=value) for each, value in reversed(values) if value < plan.threshold]
