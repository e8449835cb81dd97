"""Who starts next: the oldest that waits, which smaller runs behind it cannot push back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.launch import queue
from core.runs.owner import this_host
from core.runs.status import RunState, write_state
from core.runs.store import RunFolder, RunSpec, create_run


@pytest.fixture(autouse=True)
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[str, ...]]]:
    """A machine with two GPUs on which nothing really starts: who would, and on what."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.setattr(queue, "devices", lambda: ("cuda:0", "cuda:1", "cpu"))
    found: list[tuple[str, tuple[str, ...]]] = []

    def start(folder: RunFolder, chosen: Any) -> bool:
        found.append((folder.name, tuple(chosen)))
        return True

    monkeypatch.setattr(queue, "_start", start)
    return found


def waiting(name: str, since: float, **spec: Any) -> None:
    run = create_run(name, RunSpec(recipe="counting", config={}, **spec))
    write_state(run, RunState(status="queued", queued=since, host=this_host()))


def busy(monkeypatch: pytest.MonkeyPatch, *devices: str) -> None:
    monkeypatch.setattr(queue, "_running", lambda: [RunState(status="running", device=each) for each in devices])


def test_a_run_that_needs_both_gpus_is_not_starved_by_smaller_ones(
    started: list[tuple[str, tuple[str, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting("a-small", 2, device="cuda")
    waiting("wide", 1, device="cuda", processes=2)
    waiting("on-cpu", 3, device="cpu")
    busy(monkeypatch, "cuda:0")
    queue.advance()
    assert started == [("on-cpu", ("cpu",))]  # the free GPU is kept for the wide run, the CPU is none of its business
    started.clear()
    busy(monkeypatch, "cpu")
    queue.advance()
    assert started == [("wide", ("cuda:0", "cuda:1"))]


def test_the_oldest_starts_first_whatever_it_is_called(
    started: list[tuple[str, tuple[str, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, since in (("a", 3), ("b", 1), ("c", 2)):
        waiting(name, since, device="cuda")
    busy(monkeypatch, "cpu")
    queue.advance()
    assert started == [("b", ("cuda:0",)), ("c", ("cuda:1",))]
