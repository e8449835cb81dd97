"""A home of their own for the runs of a test, a cheap recipe for their workers, and no process left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.experiments.catalogue import RECIPES
from core.launch import queue
from core.launch.execute import execute
from core.launch.launcher import family
from core.runs.owner import is_alive, read_owner
from core.runs.status import RunState, read_state
from core.runs.store import RunFolder, RunSpec, create_run, list_runs
from tests.runs import counting

# Workers import this before anything else: the counting recipe for a catalogue, and no torch at all.
SITE = """
import sys, types
writer = type("SummaryWriter", (), {"__init__": lambda *a, **k: None, "__getattr__": lambda *a: lambda *a, **k: None})
sys.modules["torch.utils.tensorboard"] = types.SimpleNamespace(SummaryWriter=writer)
catalogue = types.ModuleType("core.launch.recipes")
def find_recipe(name):
    from tests.runs import counting
    return counting.find_recipe(name)
catalogue.find_recipe = find_recipe
sys.modules["core.launch.recipes"] = catalogue
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty VITRINE_HOME whose workers end with the test."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    # Two threads of a tiny network wait for each other: on a busy machine a step then takes 100 ms instead of 2.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(queue, "devices", lambda: ("cpu",))
    yield tmp_path / "home"
    end_all()


@pytest.fixture
def cheap(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, where the recipe "counting" exists, here and in workers."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setitem(RECIPES, "counting", counting.RECIPE)
    return home


def end_all() -> None:
    """Kill what still works on a run of this home, and its family."""
    queue.runs_root().mkdir(parents=True, exist_ok=True)
    with queue.queue_lock():  # nothing new starts meanwhile
        for folder in list_runs():
            owner = read_owner(folder)
            if owner is None or owner.pid == os.getpid() or not is_alive(owner):
                continue  # a test may have written anything there: nobody is ended who is not sure to be the worker
            for process in family(owner):
                with suppress(psutil.Error):
                    process.kill()


def make_run(name: str, **settings: Any) -> RunFolder:
    """A run of the counting recipe; `spec` among the settings goes to the specification."""
    rest = settings.pop("spec", {})
    return create_run(name, RunSpec.of("counting", counting.Config(**settings), **{"device": "cpu", **rest}))


def undisturbed(**settings: Any) -> list[dict[str, Any]]:
    """The metrics of a run that nothing happened to, in this process."""
    whole = make_run("whole", **{**settings, "step_s": 0.0})
    for _ in execute(whole):
        pass
    return whole.history()


def wait_for(folder: RunFolder, *statuses: str, timeout_s: float = 300) -> RunState:
    """The state of the run once it is one of `statuses`."""
    what = f"{folder.name}: {statuses}"
    return wait_until(lambda: (state := read_state(folder)).status in statuses and state, what, timeout_s)


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 300) -> Any:
    """What `condition` returns once it is true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"after {timeout_s} s still not: {what}")
