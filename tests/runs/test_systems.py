"""The branches for Windows, taken on any system: a run outlives its console, and is asked to end by its file STOP."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from core.launch import launcher, queue
from core.launch.launcher import LocalLauncher
from core.runs import processes
from core.runs.owner import this_process, write_owner
from core.runs.processes import ask_to_end, detached, spoken_in_utf8, stop_signals
from tests.runs.conftest import make_run


class Recorded:
    """What would have been started."""

    def __init__(self, *_: object, **given: Any) -> None:
        self.pid = 0
        started.append(given)

    def wait(self) -> int:
        return 0


started: list[dict[str, Any]] = []


@pytest.fixture(autouse=True)
def _nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    started.clear()
    kept = SimpleNamespace(Popen=Recorded, DEVNULL=subprocess.DEVNULL, STDOUT=subprocess.STDOUT)
    for module in (launcher, queue):
        monkeypatch.setattr(module, "subprocess", kept)


def test_a_run_outlives_the_console_that_started_it(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    run = make_run("away")
    LocalLauncher().submit(run, ["cpu"])
    assert started[-1]["start_new_session"] is True
    assert "creationflags" not in started[-1]
    monkeypatch.setattr(processes, "ON_WINDOWS", True)
    LocalLauncher().submit(run, ["cpu"])
    assert "start_new_session" not in started[-1]
    # CREATE_NEW_PROCESS_GROUP: no Ctrl-C from here. CREATE_NO_WINDOW: a console of its own.
    assert started[-1]["creationflags"] == 0x00000200 | 0x08000000
    monkeypatch.setattr(queue, "_waiting", lambda: [run])
    queue.advance_elsewhere()
    assert started[-1]["creationflags"] == detached()["creationflags"]


def test_a_log_is_in_utf8_whatever_the_system_speaks(home: Path) -> None:
    LocalLauncher().submit(make_run("log"), ["cpu"])
    assert started[-1]["env"]["PYTHONIOENCODING"].startswith("utf-8")
    assert spoken_in_utf8({"A": "b"})["A"] == "b"


def test_a_worker_is_asked_by_a_signal_where_that_lets_it_save(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    sent: list[int] = []
    monkeypatch.setattr(psutil.Process, "send_signal", lambda self, number: sent.append(number))
    ask_to_end(psutil.Process())
    assert sent == [signal.SIGTERM]
    monkeypatch.setattr(processes, "ON_WINDOWS", True)
    ask_to_end(psutil.Process())
    assert sent == [signal.SIGTERM]  # there it would end the process without a checkpoint
    killed: list[str] = []
    monkeypatch.setattr(launcher, "family", lambda owner: [])
    monkeypatch.setattr(launcher, "is_alive", lambda owner: not killed.append("asked") and len(killed) < 3)
    run = make_run("asked")
    write_owner(run, this_process())
    LocalLauncher().cancel(run, grace_s=5)
    assert sent == [signal.SIGTERM]


def test_ctrl_break_stops_where_there_is_such_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(stop_signals()) == {signal.SIGTERM, signal.SIGINT}
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    assert stop_signals()[-1] == signal.SIGUSR1
