"""What a shift of domain or of classes leaves of a linear probe on frozen features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ShiftReport:
    """One probe; accuracies in [0, 1] with their 95 % Wilson intervals.

    Attributes:
        shift: covariate: a domain that was left out; semantic: other classes.
        place: the domain or the data set.
        home_accuracy: on images of the domains it learned from; None for other classes.
        ratio: accuracy away / at home, and corrected for chance.
    """

    step: int
    steps: int
    model: str
    shift: Literal["covariate", "semantic"]
    place: str
    classes: int
    test_accuracy: float
    test_low: float
    test_high: float
    test_count: int
    train_count: int
    home_accuracy: float | None = None
    home_low: float | None = None
    home_high: float | None = None
    home_count: int | None = None
    ratio: float | None = None
    corrected: float | None = None
    corrected_low: float | None = None
    corrected_high: float | None = None
    C: float | None = None
    converged: bool = True
