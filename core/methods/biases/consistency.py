"""Whether two models fail on the same images, beyond what their accuracies alone would make them.

Source: Geirhos, Meding & Wichmann 2020, arXiv:2006.16736, equations 1–3: Cohen's κ of right and wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import ShapeError
from core.methods.accuracy.paired import Paired
from core.methods.biases.ratios import DRAWS, Estimate
from core.seeding import stream


@dataclass(frozen=True, kw_only=True)
class ErrorConsistency:
    """How alike two models' errors are.

    Attributes:
        observed: share of images on which both are right or both are wrong.
        expected: the same of two models of these accuracies that err independently.
        kappa: (observed − expected) / (1 − expected): 1 for the same errors, 0 for independent ones; None where both
            are right, or wrong, on every image.
    """

    observed: float
    expected: float
    kappa: Estimate
    paired: Paired


def error_consistency(found: Paired, *, seed: int = 0, draws: int = DRAWS) -> ErrorConsistency:
    """κ of two models on the same images, with the interval of images drawn anew with replacement.

    Raises:
        ShapeError: there are no images.
    """
    if not found.count:
        raise ShapeError("There are no images to compare.", "Give the answers to at least one image.")
    shares = np.array([found.both, found.only_first, found.only_second, found.neither]) / found.count
    drawn = stream("images of a consistency", seed).multinomial(found.count, shares, size=draws) / found.count
    observed, expected = _agreement(shares[None])
    value = _kappa(observed, expected)
    kappas = _kappa(*_agreement(drawn))
    kappas = kappas[np.isfinite(kappas)]
    estimate = Estimate(value=None)
    if np.isfinite(value[0]):
        estimate = Estimate(value=float(value[0]))
        # As with ratios: an interval only where nearly every draw has a value.
        if len(kappas) >= 0.975 * draws:
            low, high = np.quantile(kappas, (0.025, 0.975))
            estimate = Estimate(value=float(value[0]), low=float(low), high=float(high))
    return ErrorConsistency(observed=float(observed[0]), expected=float(expected[0]), kappa=estimate, paired=found)


def _agreement(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(draws, 4) shares of both, only first, only second, neither → observed and expected agreement."""
    first, second = shares[:, 0] + shares[:, 1], shares[:, 0] + shares[:, 2]
    return shares[:, 0] + shares[:, 3], first * second + (1 - first) * (1 - second)


def _kappa(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """NaN where no disagreement could be expected: then there is nothing to be consistent in."""
    room = 1 - expected
    return np.where(room > 1e-12, (observed - expected) / np.where(room > 1e-12, room, 1), np.nan)
