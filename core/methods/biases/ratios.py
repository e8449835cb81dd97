"""What is left of an accuracy once images were manipulated: the drop, and two ratios with their intervals.

The plain ratio has a floor that is not 0: of ten classes .9 → .45 and .2 → .1 are both .5, and the second model is at
chance. The corrected ratio counts from chance: .4375 and 0. Both say how robust a model is to a manipulation, not what
it prefers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core.errors import ShapeError
from core.intervals import wilson_interval
from core.methods.accuracy.confusion import Accuracy
from core.methods.accuracy.paired import Paired
from core.seeding import stream

DRAWS = 10_000
# 95 %.
_ENDS = (0.025, 0.975)
# More draws than this without a value, and the end of the interval is none either.
_UNDEFINED = 0.025


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval; None for what is not defined, such as a ratio to nothing."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def words(self, digits: int = 2) -> str:
        """`0.44 (0.40 to 0.48)`; `undefined` where it is."""
        if self.value is None:
            return "undefined"
        if self.low is None or self.high is None:
            return f"{self.value:.{digits}f} (no interval)"
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


@dataclass(frozen=True, kw_only=True)
class AccuracyRatio:
    """The accuracy of one model on changed images beside that on the original ones.

    Attributes:
        classes: that the model chose among; chance is 1 / classes.
        ratio: changed / original, as course reports publish it.
        corrected: (changed − chance) / (original − chance): 1 where nothing is lost, 0 at chance.
        drop: changed − original, in [-1, 1].
        paired: how the same images fared, where they are the same; None for two sets of images.
    """

    original: Accuracy
    changed: Accuracy
    classes: int
    ratio: Estimate
    corrected: Estimate
    drop: Estimate
    paired: Paired | None = None

    @property
    def chance(self) -> float:
        return 1 / self.classes

    def values(self) -> dict[str, Any]:
        """As results hold it."""
        found: dict[str, Any] = {"classes": self.classes, "chance": self.chance, "same_images": self.paired is not None}
        for name in ("original", "changed"):
            each: Accuracy = getattr(self, name)
            low, high = each.interval
            found[name] = {
                "accuracy": each.value, "low": low, "high": high, "correct": each.correct, "count": each.count,
            }  # fmt: skip
        for name in ("ratio", "corrected", "drop"):
            estimate: Estimate = getattr(self, name)
            found[name] = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
        return found | ({"p_value": self.paired.p_value, **asdict(self.paired)} if self.paired else {})


def same_images_ratio(paired: Paired, classes: int, *, seed: int = 0, draws: int = DRAWS) -> AccuracyRatio:
    """The ratio where each image was shown as it is (the first of `paired`) and changed (the second).

    Images are drawn anew with replacement, both answers together: far narrower than two separate samples would be.
    """
    counts = np.array([paired.both, paired.only_first, paired.only_second, paired.neither])
    original = Accuracy(correct=paired.both + paired.only_first, count=paired.count)
    changed = Accuracy(correct=paired.both + paired.only_second, count=paired.count)
    _require_images(original, changed)
    drawn = stream("images of a ratio", seed).multinomial(paired.count, counts / paired.count, size=draws)
    before, after = (drawn[:, [0, column]].sum(axis=1) / paired.count for column in (1, 2))
    difference, low, high = paired.difference
    drop = Estimate(value=-difference, low=-high, high=-low)
    return _ratio(original, changed, classes, before, after, drop, paired)


def two_sets_ratio(
    original: Accuracy, changed: Accuracy, classes: int, *, seed: int = 0, draws: int = DRAWS
) -> AccuracyRatio:
    """The ratio where the changed images are others than the original ones: both are drawn anew, each by itself."""
    _require_images(original, changed)
    random = stream("two sets of a ratio", seed)
    before, after = (random.binomial(each.count, each.value, size=draws) / each.count for each in (original, changed))
    low, high = np.quantile(after - before, _ENDS)
    drop = Estimate(value=changed.value - original.value, low=float(low), high=float(high))
    return _ratio(original, changed, classes, before, after, drop, None)


def _require_images(*accuracies: Accuracy) -> None:
    if not all(each.count for each in accuracies):
        raise ShapeError("There are no images to compare.", "Give both accuracies of at least one image.")


def _ratio(
    original: Accuracy,
    changed: Accuracy,
    classes: int,
    before: np.ndarray,
    after: np.ndarray,
    drop: Estimate,
    paired: Paired | None,
) -> AccuracyRatio:
    """Both ratios of what was drawn; `before` and `after` are (draws,) accuracies."""
    if changed.correct in (0, changed.count):
        # Drawn from images that are all alike, an accuracy never varies; how sure it is, Wilson says.
        after = np.where(np.arange(len(after)) % 2, *wilson_interval(changed.correct, changed.count))
    plain, corrected = (
        _estimate(original.value - floor, changed.value - floor, before - floor, after - floor)
        for floor in (0.0, 1 / classes)
    )
    return AccuracyRatio(
        original=original,
        changed=changed,
        classes=classes,
        ratio=plain,
        corrected=corrected,
        drop=drop,
        paired=paired,
    )


def _estimate(original: float, changed: float, before: np.ndarray, after: np.ndarray) -> Estimate:
    # A model that is no better than chance on the originals has nothing to lose: 1e-12 is rounding.
    if original <= 1e-12:
        return Estimate(value=None)
    defined = before > 1e-12
    value = 0.0 if abs(changed) < 1e-12 else changed / original
    if 1 - defined.mean() > _UNDEFINED:
        return Estimate(value=value)
    low, high = np.quantile(after[defined] / before[defined], _ENDS)
    return Estimate(value=value, low=min(value, float(low)), high=max(value, float(high)))
