"""Shares of things that were counted, in words: with an interval where there are enough, as counts where there are few.

"100 % of 1 pictures, 95 % interval 21 % to 100 %" is true and says nothing: below `FEW` things every sentence gives the
two counts alone.
"""

from __future__ import annotations

from core.intervals import paired_interval, wilson_interval

# Fewer than a handful of things: a share of them moves by a fifth and more with each single one.
FEW = 5


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 picture`, `2 pictures`; `plural` where an s is not enough."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def share(correct: int, count: int, digits: int = 0) -> str:
    """`67%`, or `2 of 3` where there are few."""
    return f"{correct / count:.{digits}%}" if count >= FEW else f"{correct} of {count}"


def share_of(correct: int, count: int, noun: str = "", plural: str = "", digits: int = 0) -> str:
    """`67% of 30 pictures`, or `2 of 3 pictures` where there are few."""
    things = counted(count, noun, plural) if noun else f"{count:,}"
    return f"{correct / count:.{digits}%} of {things}" if count >= FEW else f"{correct} of {things}"


def interval_words(correct: int, count: int, digits: int = 1) -> str:
    """`51.2% to 80.0%`, the 95 % Wilson interval, always within 0 and 100 %; empty where there are few."""
    if count < FEW:
        return ""
    low, high = wilson_interval(correct, count)
    return f"{low:.{digits}%} to {high:.{digits}%}"


def share_with_interval(correct: int, count: int, digits: int = 1) -> str:
    """`66.7% of 30 (95 % interval 51.2% to 80.0%)`, or `2 of 3` where there are few."""
    words = interval_words(correct, count, digits)
    return f"{share_of(correct, count, digits=digits)} (95 % interval {words})" if words else share(correct, count)


def difference_words(only_first: int, only_second: int, count: int) -> str:
    """`+3.3 points (95 % interval -5.0 to +11.2)` of two shares of the same things; where there are few, how many more.

    Args:
        only_first: things that the first gets right and the second does not.
        only_second: the other way round.
    """
    if count < FEW:
        more = only_first - only_second
        return f"{more:+d} of {count}" if more else f"as many of {count}"
    difference, low, high = (100 * value for value in paired_interval(only_first, only_second, count))
    return f"{difference:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})"
