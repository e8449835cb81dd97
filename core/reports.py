"""What a long computation says while it runs; whoever consumes the generator writes, draws or stops."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is, between two reports that carry numbers; it is shown and then forgotten.

    Everything else that an experiment yields is a frozen dataclass with `step` and `steps` too, and becomes one line
    of the run's metrics.

    Attributes:
        step: steps done.
        steps: steps in all.
        text: what is going on, where a count does not say it.
    """

    step: int
    steps: int
    text: str = ""


def shifted(progress: Generator[Progress, None, Result], done: int, steps: int) -> Generator[Progress, None, Result]:
    """The same generator, its steps counted within a longer computation of `steps`, of which `done` are behind it."""
    while True:
        try:
            report = next(progress)
        except StopIteration as end:
            return end.value
        yield Progress(step=done + report.step, steps=steps, text=report.text)


def as_values(report: Any) -> dict[str, Any]:
    """A report as one flat line of metrics: what it has in `extras`, by name, stands beside its other fields."""
    values = asdict(report)
    return values | values.pop("extras", {})


def as_line(report: Any) -> str:
    """A report as one line of a log or a terminal; accuracies, which are fractions, in per cent."""
    values = as_values(report)
    unit = "epoch" if "epochs" in values else "step"
    parts = [f"{unit} {values[unit]}/{values[unit + 's']}"]
    for name, value in values.items():
        if name in ("step", "steps", "epoch", "epochs") or value is None or value == "":
            continue
        if isinstance(value, float):
            parts.append(f"{name} {value:.1%}" if "accuracy" in name else f"{name} {value:.4g}")
        elif isinstance(value, int | str):
            parts.append(f"{name} {value}")
    return "  ".join(parts)


def as_duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def roughly(seconds: float) -> str:
    """Seconds in the one or two units that matter: 38 s, 12 min, 3 h 20 min, 2 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest and hours < 10 else f"{hours} h"
    return f"{round(hours / 24)} days"
