"""What was measured of models on data sets: one accuracy with its interval, and a table of them."""

from __future__ import annotations

from dataclasses import dataclass

POOLINGS = {"class_token": "class token", "mean": "mean of the patches", "embedding": "embedding"}


@dataclass(frozen=True, kw_only=True)
class MeasuredAccuracy:
    """One model on one data set.

    Attributes:
        model: its title.
        dataset: the data set's title.
        protocol: how the model came to its answers: trained, new head, linear probe, zero-shot and so on.
        accuracy: in [0, 1], over `count` images, with its 95 % interval `low` to `high`.
        split: which images these were.
        pooling: of a linear probe, key of `POOLINGS`; else empty.
        train_count: images that the head or probe learned from, where that is known.
        source: the run that measured it, or the bundled model or file.

    Raises:
        ValueError: a number is none that an accuracy can be.
    """

    model: str
    dataset: str
    protocol: str
    accuracy: float
    low: float
    high: float
    count: int
    split: str
    source: str
    pooling: str = ""
    train_count: int | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.low <= self.accuracy <= self.high <= 1 and type(self.count) is int and self.count > 0):
            raise ValueError(f"{self.accuracy} ({self.low} to {self.high}) of {self.count} images is no accuracy")

    @property
    def row(self) -> str:
        """What the line of the table is called."""
        pooling = f" on {POOLINGS.get(self.pooling, self.pooling)}" if self.pooling in ("class_token", "mean") else ""
        return f"{self.model} · {self.protocol}{pooling}"


@dataclass(frozen=True, kw_only=True)
class AccuracyTable:
    """Everything that was found.

    Attributes:
        found: the newest runs first, then what is bundled.
        unreadable: names of runs whose result is damaged.
    """

    found: tuple[MeasuredAccuracy, ...]
    unreadable: tuple[str, ...] = ()

    @property
    def cells(self) -> dict[tuple[str, str], MeasuredAccuracy]:
        """(row, data set) → the measurement on the most images; of equally many the newest."""
        best: dict[tuple[str, str], MeasuredAccuracy] = {}
        for each in self.found:
            place = each.row, each.dataset
            if place not in best or each.count > best[place].count:
                best[place] = each
        return best

    @property
    def probes(self) -> tuple[MeasuredAccuracy, ...]:
        """The cells that are linear probes."""
        return tuple(each for each in self.cells.values() if each.protocol == "linear probe")
