"""How well a model names the same things under different conditions, with what chance alone would do.

Every accuracy has a count and a 95 % interval. Where each condition shows the same things, conditions are compared
thing by thing, which tells much smaller differences apart than two separate accuracies do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.data.condition_sets import ConditionSet
from core.errors import ConfigError
from core.intervals import paired_interval, wilson_interval
from core.notebook import Drawn
from core.shares import counted, share


@dataclass(frozen=True, kw_only=True)
class ConditionAccuracy:
    """One condition; accuracies and their ends in [0, 1].

    Attributes:
        compared: things that were shown in the first condition, too; 0 where the things are others.
        difference: accuracy on those minus the first condition's on the same, with its 95 % interval.
        only_here, only_first: of those, the things named right in one of the two alone.
        reference: what the user gave to compare with, such as a child's accuracy; None where nothing was given.
    """

    condition: str
    correct: int
    count: int
    interval: tuple[float, float]
    compared: int
    difference: tuple[float, float, float]
    only_here: int = 0
    only_first: int = 0
    reference: float | None = None

    @property
    def accuracy(self) -> float:
        """Share that was named right; 0 where nothing was shown."""
        return self.correct / self.count if self.count else 0.0

    def sentence(self) -> str:
        """The comparison with the reference in words; empty without one."""
        if self.reference is None or not self.count:
            return ""
        low, high = self.interval
        if low <= self.reference <= high:
            few = f"{counted(self.count, 'image')} cannot tell"
            return f"{self.condition}: {self.reference:.1%} lies within the interval; {few}."
        side = "above" if self.accuracy > self.reference else "below"
        return (
            f"{self.condition}: {share(self.correct, self.count, 1)} is {side} the {self.reference:.1%} to compare "
            "with, by more than chance explains."
        )


@dataclass(frozen=True, kw_only=True)
class ConditionResult(Drawn):
    """All conditions.

    Attributes:
        table: (conditions, categories, 2) int64: right and shown.
        chance: 1 / categories.
    """

    rows: tuple[ConditionAccuracy, ...]
    categories: tuple[str, ...]
    table: np.ndarray
    chance: float


def accuracy_by_condition(
    predicted: np.ndarray,
    labels: np.ndarray,
    conditions: np.ndarray,
    things: np.ndarray,
    *,
    names: Sequence[str],
    categories: Sequence[str],
    references: Sequence[float | None] = (),
) -> ConditionResult:
    """Accuracies of predictions that were made on several conditions.

    Args:
        predicted, labels: (pictures,) indices into `categories`.
        conditions: (pictures,) indices into `names`.
        things: (pictures,) the same number where the same thing is shown.
        references: one a condition in [0, 1], or None.
    """
    right = predicted == labels
    table = np.zeros((len(names), len(categories), 2), dtype=np.int64)
    np.add.at(table, (conditions, labels), np.stack([right, np.ones_like(right)], axis=1).astype(np.int64))
    given = [*references, *[None] * (len(names) - len(references))]
    first = dict(zip(things[conditions == 0].tolist(), right[conditions == 0].tolist(), strict=True))
    rows = []
    for index, name in enumerate(names):
        here = conditions == index
        pairs = [(bool(hit), first[thing]) for hit, thing in zip(right[here], things[here].tolist(), strict=True)
                 if thing in first and index]  # fmt: skip
        only_here, only_first = (sum(hit and not other for hit, other in pairs),
                                 sum(other and not hit for hit, other in pairs))  # fmt: skip
        correct, count = int(right[here].sum()), int(here.sum())
        rows.append(
            ConditionAccuracy(
                condition=name,
                correct=correct,
                count=count,
                interval=wilson_interval(correct, count),
                compared=len(pairs),
                difference=paired_interval(only_here, only_first, len(pairs)),
                only_here=only_here,
                only_first=only_first,
                reference=given[index],
            )
        )
    return ConditionResult(rows=tuple(rows), categories=tuple(categories), table=table, chance=1 / len(categories))


def tally(
    found: ConditionSet, kept: np.ndarray, predicted: np.ndarray, references: Sequence[float | None] = ()
) -> ConditionResult:
    """The same for a set of which the pictures `kept` could be shown.

    Args:
        kept: (pictures,) indices into `found.pictures`.
        predicted: (pictures,) indices into `found.categories`.
    """
    pictures = [found.pictures[index] for index in kept]
    labels, conditions, things = (
        np.array([getattr(each, name) for each in pictures], dtype=np.int64)
        for name in ("category", "condition", "thing")
    )
    return accuracy_by_condition(
        predicted,
        labels,
        conditions,
        things,
        names=found.conditions,
        categories=found.categories,
        references=references,
    )


def parse_references(text: str, conditions: Sequence[str]) -> tuple[float | None, ...]:
    """What a user typed to compare with: per cent by name ("Blurred: 69.1, Edges 80"), or in order ("100, 54.2").

    A dash leaves one out.

    Raises:
        ConfigError: a number is none or no per cent, or a name is no condition.
    """
    found: dict[str, float] = {}
    parts = [part.strip() for part in re.split(r"[,;/\n]", text) if part.strip()]
    for place, part in enumerate(parts):
        match = re.fullmatch(r"(?:(?P<name>.*?[^\d\s.:=-])\s*[:=]?\s*)?(?P<value>-|–|\d+(?:\.\d+)?)\s*%?", part)
        if match is None:
            raise ConfigError(f"{part!r} is no reference value.", "Write per cent: 100, 54.2 or Blurred: 69.1.")
        name = _match(match["name"], conditions) if match["name"] else _at(place, conditions, part)
        if match["value"] in "-–":
            continue
        value = float(match["value"])
        if value > 100:
            raise ConfigError(f"{part!r} is more than 100 %.", "Write per cent between 0 and 100.")
        found[name] = value / 100
    return tuple(found.get(name) for name in conditions)


def _match(name: str, conditions: Sequence[str]) -> str:
    for each in conditions:
        if each.casefold() == name.strip().casefold():
            return each
    raise ConfigError(f"{name.strip()!r} is no condition here.", f"Conditions are: {', '.join(conditions)}.")


def _at(place: int, conditions: Sequence[str], part: str) -> str:
    if place >= len(conditions):
        raise ConfigError(f"{part!r} is one value too many.", f"There are {len(conditions)} conditions.")
    return conditions[place]
