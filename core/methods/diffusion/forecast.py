"""What all samples of a classification would say, foretold from the first of them.

The full evaluation adds up the errors of `samples` pairs of noise and time step for every prompt; the smallest sum
wins. The difference of two prompts' errors is a noisy, smooth function of the time step, so that some samples tell much
of the sum and some nothing. Model of the difference at sample s, whose time step lies in stretch b(s) of the schedule:

    D_s = θ_b(s) + η_s,   θ ~ N(0, τ² K),   η_s ~ N(0, τ² v_b(s)),

K and v learned on validation images (`learn_covariance`), τ² from the picture at hand. Then the rest R of the sum is
normal given some samples: E R = cᵀθ̂ and Var R = τ² (cᵀP c + Σ_b c_b v_b), with θ̂ and P of the Kalman filter (recursive
least squares) and c_b samples left in stretch b. Always that stretch is measured next that lowers Var R most, by
(c·P_b + v_b)² / (P_bb + v_b), which depends on no error and so is known beforehand (Bayesian quadrature).

Prompts leave, the likeliest losers first, while the chances that they had to end with the smallest sum add up to less
than `error_rate`: of n rivals the unlikeliest leaves when its chance is below (`error_rate` − those that left) / n.
Looking often and at many prompts is accounted for: the chance that an event has, given all that was seen, is right at
whatever moment one stops to look (it is a martingale), and a prompt leaves once. `error_rate` is the family-wise rate
of answers unlike the full evaluation's, so far as the model is right;
`benchmarks/results/diffusion_pruning.json` has what was measured.

Sources: O'Hagan 1991 (Bayes–Hermite quadrature: the design); Kalman 1960; Robbins 1970 (optional stopping of
posteriors). Paired errors and elimination: Clark & Jaini 2023, arXiv:2303.15233. The combination is this project's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import stdtr

from core.errors import ConfigError
from core.finite import require_finite
from core.methods.diffusion.sampling_plan import Plan
from core.models.denoising_differences import DifferenceCovariance

STRETCHES = 10
# τ² of all prompts is 1 before anything is seen, as sure as of 20 numbers; a prompt's own is that of all, as sure as
# of 12. On the bundled pipeline's validation images the prompts' own differ by a third.
_SURE_OF_ALL, _SURE_OF_ONE = 20, 12
# Standard deviations about the leader at which the chances are added up.
_PLACES = np.linspace(-7.0, 5.0, 73)


# As much from one sample to the next as in common, everywhere: samples keep the order in which they are drawn.
UNINFORMED = DifferenceCovariance(smooth=np.ones((1, 1)), noise=np.ones(1), learned=False)


def learn_covariance(noise_error: np.ndarray, time_steps: np.ndarray, steps: int, source: str) -> DifferenceCovariance:
    """Moments of the differences between prompts over images whose full grid was measured.

    Args:
        noise_error: (images, samples, prompts), of validation images.
        time_steps: (images, samples).
        steps: time steps of the schedule.

    Raises:
        ConfigError: fewer than two prompts, or some stretch of the schedule has too few samples to learn from.
    """
    images, samples, prompts = noise_error.shape
    require_finite("The errors", noise_error, "Record the full grid.")
    if prompts < 2 or time_steps.shape != (images, samples):
        raise ConfigError(f"Errors {noise_error.shape} with time steps {time_steps.shape}; expected two prompts.")
    products, pairs = np.zeros((2, STRETCHES, STRETCHES))
    squares, counts = np.zeros((2, STRETCHES))
    for errors, at in zip(noise_error.astype(np.float64), _stretch(time_steps, steps, STRETCHES), strict=True):
        centred = errors - errors.mean(axis=1, keepdims=True)
        # Of a difference of two: twice the variance of one, whose mean over the prompts was taken away.
        covariance = centred @ centred.T * 2 / (prompts - 1)
        own = np.eye(STRETCHES)[at]
        alone = np.diag(np.diag(covariance))
        products += own.T @ (covariance - alone) @ own
        pairs += own.T @ (1 - np.eye(samples)) @ own
        squares += own.T @ np.diag(covariance)
        counts += own.sum(axis=0)
    if pairs.min() < 1 or counts.min() < 1:
        raise ConfigError(
            f"Some tenth of the schedule has no two samples in one of {images} images.", "Use more images or samples."
        )
    values, vectors = np.linalg.eigh(products / pairs)
    smooth = (vectors * np.maximum(values, 0)) @ vectors.T
    total = squares / counts
    noise = np.maximum(total - np.diag(smooth), 0.1 * total)
    if not (noise > 0).all():
        raise ConfigError("The prompts do not differ.", "Use prompts that say different things.")
    return DifferenceCovariance(smooth=smooth, noise=noise, source=source)


def fitting_covariance(known: DifferenceCovariance | None, plan: Plan) -> DifferenceCovariance:
    """`known` where it is about what `plan` compares, the squared error of the noise; else that all tell as much."""
    return known if known is not None and (plan.objective, plan.distance) == ("noise", "l2") else UNINFORMED


class Forecast:
    """The prompts' expected sums, sample by sample.

    Attributes:
        order: (samples,) places in the drawn list, in the order in which they are measured. Of samples that are in this
            order already it is 0, 1, 2, …
        measured: samples so far.
    """

    def __init__(self, time_steps: np.ndarray, steps: int, prompts: int, covariance: DifferenceCovariance) -> None:
        drawn = _stretch(time_steps, steps, len(covariance.noise))
        numbers = (np.asarray(each, dtype=np.float64).tobytes() for each in (covariance.smooth, covariance.noise))
        self._design = _shared_design(drawn.tobytes(), *numbers)
        self.order, self.measured = self._design.order, 0
        self._stretches = drawn[self.order]
        self._left = np.bincount(drawn, minlength=len(covariance.noise)).astype(np.float64)
        self._belief = np.zeros((len(covariance.noise), prompts))
        self._sums, self._energy = np.zeros((2, prompts))
        # Of an unknown pipeline nothing is known of the unit.
        self._common_energy = self._freedom = float(_SURE_OF_ALL) if covariance.learned else 0.0
        self._expected, self._deviation = np.full((2, len(drawn), prompts), np.nan)

    @property
    def expected(self) -> np.ndarray:
        """(measured, prompts) mean error over all samples as it was expected then, less a number that all prompts
        share; NaN where a prompt had left."""
        return self._expected[: self.measured]

    @property
    def deviation(self) -> np.ndarray:
        """(measured, prompts) standard deviation of `expected`."""
        return self._deviation[: self.measured]

    def add(self, scores: np.ndarray) -> None:
        """The errors of the next samples, (new, prompts), in the order of `order`; NaN where a prompt had left."""
        for row in np.asarray(scores, dtype=np.float64):
            self._add(row)

    def _add(self, errors: np.ndarray) -> None:
        """One step of the Kalman filter; what all prompts share is taken away first."""
        now, stretch = self.measured, self._stretches[self.measured]
        there = ~np.isnan(errors)
        centred = errors - errors[there].mean()
        surprise = centred - self._belief[stretch]
        self._belief += np.outer(self._design.gains[now], surprise)
        self._sums += centred
        self._left[stretch] -= 1
        count = int(there.sum())
        if count > 1:
            unit = (surprise - surprise[there].mean()) ** 2 * 2 / self._design.variances[now]
            self._energy += unit * count / (count - 1)
            self._common_energy += float(unit[there].sum())
            self._freedom += count - 1
        common = self._common_energy / self._freedom if self._freedom else 1.0
        scale = (_SURE_OF_ONE * common + self._energy) / (_SURE_OF_ONE + now + 1)
        self._expected[now] = (self._sums + self._left @ self._belief) / len(self.order)
        # Half: a prompt's part of the variance of a difference.
        self._deviation[now] = np.sqrt(self._design.rest[now] * scale / 2) / len(self.order)
        self.measured += 1

    def chances(self, alive: Sequence[int]) -> np.ndarray:
        """(len(alive),) chance of each of them to end with the smallest sum, as it is after the newest sample."""
        which = list(alive)
        freedom = max(1.0, min(_SURE_OF_ONE + self.measured, self._freedom))
        return smallest_chances(self.expected[-1, which], self.deviation[-1, which], freedom)


def smallest_chances(expected: np.ndarray, deviation: np.ndarray, freedom: float) -> np.ndarray:
    """The chance of each of (numbers,) to be the smallest, where they are independent and of Student's t.

    Args:
        expected, deviation: (numbers,) centre and scale; where a scale is 0, the number is known.
    """
    require_finite("What is expected", expected)
    require_finite("Its deviation", deviation)
    scale = np.maximum(deviation, 1e-9 * max(float(np.ptp(expected)), float(deviation.max()), 1e-30))
    places = expected.min() + scale.max() * _PLACES[:, None]
    distances = (places - expected) / scale
    density = (1 + distances**2 / freedom) ** (-(freedom + 1) / 2) / scale
    larger = np.log(np.maximum(stdtr(freedom, -distances), 1e-300))
    chances = (density * np.exp(larger.sum(axis=1, keepdims=True) - larger)).sum(axis=0)
    return np.asarray(chances / chances.sum())


@dataclass(frozen=True, kw_only=True)
class _Design:
    """What is known before any error is: all arrays begin with (samples,), in the order of measuring.

    Attributes:
        order: places in the drawn list.
        gains: (samples, stretches) of the Kalman filter.
        variances: of a sample given those before it, τ² = 1.
        rest: variance of the sum of the samples after it, τ² = 1.
    """

    order: np.ndarray
    gains: np.ndarray
    variances: np.ndarray
    rest: np.ndarray


@lru_cache(maxsize=16)
def _shared_design(stretches: bytes, smooth: bytes, noise: bytes) -> _Design:
    """That of all pictures under one plan and seed: it depends on no error."""
    variances = np.frombuffer(noise)
    covariance = DifferenceCovariance(
        smooth=np.frombuffer(smooth).reshape(len(variances), len(variances)), noise=variances
    )
    return _design(np.frombuffer(stretches, dtype=np.int64), covariance)


def _design(stretches: np.ndarray, covariance: DifferenceCovariance) -> _Design:
    """The order of measuring: always the stretch that tells most of the rest; within it as drawn."""
    smooth, noise = covariance.smooth.copy(), covariance.noise
    queues = [list(np.flatnonzero(stretches == stretch)[::-1]) for stretch in range(len(noise))]
    left = np.array([len(queue) for queue in queues], dtype=np.float64)
    order, gains, variances, rest = [], [], [], []
    for _ in stretches:
        variance = np.diag(smooth) + noise
        told = np.where(left > 0, (smooth @ left + noise) ** 2 / variance, -1.0)
        chosen = int(told.argmax())
        order.append(queues[chosen].pop())
        gain = smooth[chosen] / variance[chosen]
        smooth = smooth - np.outer(gain, smooth[chosen])
        left[chosen] -= 1
        gains.append(gain)
        variances.append(variance[chosen])
        rest.append(max(0.0, float(left @ smooth @ left + left @ noise)))
    return _Design(
        order=np.array(order, dtype=np.int64), gains=np.array(gains), variances=np.array(variances), rest=np.array(rest)
    )


def _stretch(time_steps: np.ndarray, steps: int, stretches: int) -> np.ndarray:
    """In which of equal stretches of the schedule each time step lies."""
    return np.minimum(np.asarray(time_steps, dtype=np.int64) * stretches // steps, stretches - 1)
