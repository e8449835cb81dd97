"""What a long computation says while it runs; whoever consumes the generator writes, draws or stops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")

EVERY_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is, between two reports that carry numbers; it is shown and then forgotten.

    Everything else that an experiment yields is a frozen dataclass with `step` and `steps` too, and becomes one line
    of the run's metrics.

    Attributes:
        step: steps done.
        steps: steps in all.
        text: what is going on, where a count does not say it.
        loss: mean training loss of the steps that were looked at since the last report that had one, where something
            is trained.
    """

    step: int
    steps: int
    text: str = ""
    loss: float | None = None


class OnProgress(Protocol):
    """Who is told how far a long computation is that is no generator; may raise, which cancels it."""

    def __call__(self, share: float, text: str, /) -> None:
        """`share` of the work is done, in [0, 1], and `text` is going on."""


def silent(share: float, text: str, /) -> None:
    """Nobody is told."""


def told(on_progress: OnProgress) -> Callable[[Progress], None]:
    """What makes the reports of a generator known to `on_progress`."""
    return lambda report: on_progress(report.step / max(1, report.steps), report.text)


def finish(progress: Generator[Any, None, Any], consume: Callable[[Any], object] = lambda report: None) -> Any:
    """Run a generator that returns a result to its end; `consume` sees what it yields."""
    while True:
        try:
            consume(next(progress))
        except StopIteration as end:
            return end.value


def shifted(progress: Generator[Progress, None, Result], done: int, steps: int) -> Generator[Progress, None, Result]:
    """The same generator, its steps counted within a longer computation of `steps`, of which `done` are behind it."""
    return (
        yield from _retold(progress, lambda report: Progress(step=done + report.step, steps=steps, text=report.text))
    )


def still(progress: Generator[Progress, None, Result], step: int, steps: int) -> Generator[Progress, None, Result]:
    """The same generator where its steps are none of the whole computation's, which stands at `step`."""
    return (yield from _retold(progress, lambda report: Progress(step=step, steps=steps, text=report.text)))


def _retold(
    progress: Generator[Progress, None, Result], tell: Callable[[Progress], Progress]
) -> Generator[Progress, None, Result]:
    while True:
        try:
            report = next(progress)
        except StopIteration as end:
            return end.value
        yield tell(report)


def as_values(report: Any) -> dict[str, Any]:
    """A report as one flat line of metrics: what it has in `extras`, by name, stands beside its other fields."""
    values = asdict(report)
    return values | values.pop("extras", {})


def watched(work: Callable[[], Result], report: Progress) -> Generator[Progress, None, Result]:
    """What `work` returns, computed in a thread while `report` is said a few times a second: so it can be stopped.

    For what does not come back for long, such as a fit of scikit-learn. Closed early, this leaves `work` to end by
    itself, unheard: it must change nothing that is still used then.
    """
    found: list[Result] = []
    problems: list[BaseException] = []

    def compute() -> None:
        try:
            found.append(work())
        except BaseException as error:
            problems.append(error)

    # A daemon: the process of a run that was stopped must not wait for it.
    thread = threading.Thread(target=compute, daemon=True, name="watched")
    thread.start()
    thread.join(EVERY_S)
    while thread.is_alive():
        yield report
        thread.join(EVERY_S)
    if problems:
        raise problems[0]
    return found[0]


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
