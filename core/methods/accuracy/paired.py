"""Two classifiers on the same images: who is right where the other is wrong, and whether that can be chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import ShapeError
from core.intervals import mcnemar_p_value, paired_interval
from core.shares import counted, difference_words


@dataclass(frozen=True, kw_only=True)
class Paired:
    """How many images both, one or neither of two classifiers gets right."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def count(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def p_value(self) -> float:
        """Of the exact McNemar test that both are equally good."""
        return mcnemar_p_value(self.only_first, self.only_second)

    @property
    def difference(self) -> tuple[float, float, float]:
        """Accuracy of the first minus that of the second, with its 95 % interval, as fractions."""
        return paired_interval(self.only_first, self.only_second, self.count)

    def sentence(self, first: str, second: str) -> str:
        """The comparison as the pages say it; `first` and `second` are the classifiers' names."""
        p = self.p_value
        chance = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
        return (
            f"{second} is right on {counted(self.only_second, 'image')} on which {first} is wrong, and wrong on "
            f"{self.only_first:,} on which {first} is right: {chance} (exact McNemar test). Both are right on "
            f"{self.both:,}, neither on {self.neither:,}. Difference: "
            f"{difference_words(self.only_first, self.only_second, self.count)}."
        )


def paired(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> Paired:
    """Compare two (images,) answers with the (images,) truth.

    Raises:
        ShapeError: they are not of the same images.
    """
    if not labels.shape == first.shape == second.shape:
        raise ShapeError(f"Got {first.shape} and {second.shape} answers for {labels.shape} labels.", "Give one each.")
    one, other = first == labels, second == labels
    return Paired(
        both=int((one & other).sum()),
        only_first=int((one & ~other).sum()),
        only_second=int((~one & other).sum()),
        neither=int((~one & ~other).sum()),
    )
