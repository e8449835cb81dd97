"""The probe: an idle device before and after every call, warm-ups that do not count, who begins changes."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from core import timing
from core.timing import in_turns, seconds_of

CPU = torch.device("cpu")


def test_the_device_is_idle_at_both_ends_of_what_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    clock = iter([10.0, 12.5])
    monkeypatch.setattr(timing, "wait_for", lambda device: events.append("wait"))

    def now() -> float:
        events.append("clock")
        return next(clock)

    monkeypatch.setattr(timing.time, "perf_counter", now)
    assert seconds_of(lambda: events.append("work"), CPU) == 2.5
    assert events == ["wait", "clock", "work", "wait", "clock"]


def test_what_is_compared_takes_turns_and_warm_ups_do_not_count() -> None:
    calls: list[str] = []
    works = {name: (lambda name=name: calls.append(name)) for name in "abc"}
    found = [name for name, seconds in in_turns(works, CPU, rounds=3, warmups=2) if seconds >= 0]
    assert calls[:6] == list("aabbcc")
    assert found == calls[6:] == list("abcbcacab")


def test_nothing_is_called_that_nobody_asked_for() -> None:
    calls: list[int] = []
    list(islice(in_turns({"a": lambda: calls.append(1)}, CPU, rounds=100, warmups=0), 3))
    assert len(calls) == 3
