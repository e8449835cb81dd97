"""How far a measured proportion can be trusted."""

from __future__ import annotations

import math


def wilson_interval(correct: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The score interval of a proportion (Wilson 1927), sensible at 0 and 1 too; 95 % by default."""
    if count == 0:
        return 0.0, 1.0
    share, correction = correct / count, z * z / count
    centre = (share + correction / 2) / (1 + correction)
    half = z * math.sqrt(share * (1 - share) / count + correction / (4 * count)) / (1 + correction)
    # Rounding must push neither the ends out of [0, 1] nor the share out of its interval.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def paired_interval(only_first: int, only_second: int, count: int, z: float = 1.959964) -> tuple[float, float, float]:
    """The difference of two proportions measured on the same `count` items, with its interval; 95 % by default.

    The adjusted Wald interval of Bonett & Price 2012 (J. Educ. Behav. Stat. 37:479), which keeps its coverage when the
    two hardly differ.

    Args:
        only_first: items that the first gets right and the second does not.
        only_second: the other way round.

    Returns:
        First minus second, its lower and its upper end, as fractions.
    """
    if count == 0:
        return 0.0, -1.0, 1.0
    first, second = (only_first + 1) / (count + 2), (only_second + 1) / (count + 2)
    half = z * math.sqrt((first + second - (first - second) ** 2) / (count + 2))
    middle = first - second
    return (only_first - only_second) / count, max(-1.0, middle - half), min(1.0, middle + half)


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Two-sided p-value that two proportions measured on the same items are equal: McNemar's test, exact.

    Of the items that only one gets right, either is the one with probability 1/2; no such items give 1.
    """
    discordant = only_first + only_second
    tail = sum(math.comb(discordant, count) for count in range(min(only_first, only_second) + 1))
    # Whole numbers until the last division: 2 ** -5000 would be 0.
    return min(1.0, 2 * tail / 2**discordant) if discordant else 1.0
