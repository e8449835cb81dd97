"""Timings that are positive, counted, in turns and stoppable."""

from __future__ import annotations

import time
from itertools import islice

import numpy as np
import pytest
import torch

from core.methods.precision.timing import Latencies, conditions, interleaved_runs
from core.reports import finish
from core.timing import seconds_of

CPU = torch.device("cpu")


def test_every_run_is_positive_counted_and_reported_in_turns() -> None:
    calls: list[str] = []
    passes = {"a": lambda: calls.append("a"), "b": lambda: (calls.append("b"), time.sleep(0.002))}
    reports: list[object] = []
    found = finish(interleaved_runs(passes, runs=6, warmups=3, device=CPU), reports.append)
    assert {name: len(latencies) for name, latencies in found.items()} == {"a": 6, "b": 6}
    assert all((latencies.milliseconds > 0).all() for latencies in found.values())
    assert found["b"].minimum >= 2 > found["a"].median
    assert calls[:6] == ["a"] * 3 + ["b"] * 3
    rounds = [tuple(calls[start : start + 2]) for start in range(6, 18, 2)]
    assert set(rounds) == {("a", "b"), ("b", "a")}
    assert [(report.done, report.total) for report in reports] == [(done, 12) for done in range(1, 13)]  # type: ignore[attr-defined]


def test_measuring_can_be_stopped_between_two_runs() -> None:
    calls: list[int] = []
    runs = interleaved_runs({"a": lambda: calls.append(1)}, runs=100, warmups=0, device=CPU)
    kept = [report.milliseconds for report in islice(runs, 3)]
    runs.close()
    assert len(kept) == len(calls) == 3


def test_the_summary_is_that_of_numpy_and_the_std_that_of_a_sample() -> None:
    latencies = Latencies(milliseconds=np.array([1.0, 2.0, 3.0, 10.0], dtype=np.float32))
    assert latencies.mean == 4
    assert latencies.median == 2.5
    assert latencies.std == pytest.approx(np.sqrt(50 / 3))
    assert latencies.quartiles == (1.75, 4.75)
    assert latencies.minimum == 1
    assert Latencies(milliseconds=np.ones(1, dtype=np.float32)).std == 0


def test_conditions_say_where() -> None:
    said = conditions(CPU).sentence()
    assert torch.__version__.partition("+")[0] in said
    assert "thread" in said
    assert "TF32" not in said


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_gpu_is_waited_for() -> None:
    gpu = torch.device("cuda")
    matrix = torch.randn(4096, 4096, device=gpu)
    seconds_of(lambda: matrix @ matrix, gpu)
    started = time.perf_counter()
    ten = seconds_of(lambda: [matrix @ matrix for _ in range(10)], gpu)
    assert ten <= time.perf_counter() - started
    assert ten > 5 * seconds_of(lambda: matrix @ matrix, gpu)
    assert "TF32" in conditions(gpu).sentence()
