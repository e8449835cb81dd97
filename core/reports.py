"""What a long computation says while it runs; whoever consumes the generator writes, draws or stops."""

from __future__ import annotations

from dataclasses import dataclass


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
