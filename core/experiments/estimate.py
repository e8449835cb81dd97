"""How long a run would take on this machine: measured over a few of its own steps, then thrown away."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from core.device import device_title
from core.errors import CoreError
from core.experiments.run_precision import read_precision
from core.experiments.spec import Recipe
from core.files import write_atomically
from core.reports import roughly
from core.runs.store import RunFolder, RunSpec

# The first steps pay for compilation, caches and the first touch of memory.
WARM_UP = 2


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How far the measurement is: `share` in [0, 1], at a step of the run's steps."""

    step: int
    steps: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a probe measured.

    Attributes:
        step_seconds: median time between two steps, after the first ones.
        steps: how many the whole run has.
        total_seconds: `step_seconds` for all of them; preparation, validation and the final test come on top.
        measured_steps: how many times went into the median.
        images_per_second: batch size over `step_seconds`, where the config has a batch size.
        device: where it ran, in words.
        precision: in what, and why, as a sentence; empty where the recipe has no choice.
        finished: the probe reached the run's end, so `total_seconds` is what it took, all included.
    """

    step_seconds: float
    steps: int
    total_seconds: float
    measured_steps: int
    images_per_second: float | None
    device: str
    finished: bool = False
    precision: str = ""

    def sentence(self) -> str:
        """The estimate in words, with what it rests on."""
        if self.finished:
            whole = f"{self.total_seconds:.1f} s on this machine ({self.device}): the probe ran it to its end."
            return f"{whole} {self.precision}".rstrip()
        rate = f", {self.images_per_second:,.0f} images/s" if self.images_per_second else ""
        return (
            f"About {roughly(self.total_seconds)} of training on this machine ({self.device}; measured just now over "
            f"{self.measured_steps} steps: {self.step_seconds * 1000:.0f} ms each{rate}). "
            f"Preparation and validation come on top. {self.precision}"
        ).rstrip()


def estimate(
    recipe: Recipe,
    config: Any,
    *,
    device: str = "auto",
    least_steps: int = 5,
    seconds: float = 4.0,
    most_seconds: float = 120.0,
) -> Iterator[Probe | Estimate]:
    """Run the recipe in a folder of its own for at least `least_steps` and `seconds`; the last item is the `Estimate`.

    Raises:
        CoreError: the recipe refuses its config, or one step takes longer than `most_seconds`.
    """
    with tempfile.TemporaryDirectory(prefix="vitrine-estimate-", ignore_cleanup_errors=True) as temporary:
        folder = RunFolder(Path(temporary) / "estimate")
        spec = RunSpec.of(recipe.name, config, device=device)
        write_atomically(folder.spec, json.dumps(asdict(spec)) + "\n")
        began = time.perf_counter()
        moments: list[tuple[int, float]] = []
        steps, finished = 0, True
        reports = recipe.run(config, folder)
        for report in reports:
            now = time.perf_counter()
            steps = report.steps
            # An epoch's report repeats the step of the last `Progress`; its time is validation's.
            if not moments or report.step > moments[-1][0]:
                moments.append((report.step, now))
            measured = len(moments) - 1 - WARM_UP
            since = now - moments[min(WARM_UP, len(moments) - 1)][1]
            share = min(1.0, max(0.0, min(measured / least_steps, since / seconds)))
            yield Probe(step=report.step, steps=report.steps, share=share)
            if (measured >= least_steps and since >= seconds) or (measured >= 1 and now - began > most_seconds):
                finished = False
                break
        reports.close()  # type: ignore[attr-defined]
        found = _summary(config, moments, steps, time.perf_counter() - began, device, finished)
        settled = read_precision(folder)
        yield replace(found, precision=settled.sentence() if settled else "")


def batch_size(config: Any) -> int | None:
    """The first field of that name in the config or its sections."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == "batch_size":
            return int(value)
        if dataclasses.is_dataclass(value) and (inner := batch_size(value)) is not None:
            return inner
    return None


def _summary(
    config: Any, moments: list[tuple[int, float]], steps: int, elapsed: float, device: str, finished: bool
) -> Estimate:
    if len(moments) < 2:
        raise CoreError("The run ended before two steps could be timed.", "There is nothing to estimate: launch it.")
    kept = moments[WARM_UP:] if len(moments) > WARM_UP + 1 else moments
    times = [(later - earlier) / (step - before) for (before, earlier), (step, later) in pairwise(kept)]
    step_seconds = median(times)
    size = batch_size(config)
    return Estimate(
        step_seconds=step_seconds,
        steps=steps,
        total_seconds=elapsed if finished else step_seconds * steps,
        measured_steps=len(times),
        images_per_second=size / step_seconds if size else None,
        device=device_title(device),
        finished=finished,
    )
