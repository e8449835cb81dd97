"""Runs in processes of their own: killed, stopped, queued, abandoned, and always in a state that says what happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from core.errors import CoreError
from core.launch import control, queue
from core.launch.execute import execute
from core.launch.launcher import LocalLauncher
from core.paths import CHECKOUT
from core.runs.owner import OwnedElsewhereError, Owner, is_alive, is_held, read_owner, this_host, write_owner
from core.runs.status import RunState, eta_seconds, read_state, stored_state, write_state
from core.runs.store import RunFolder
from tests.runs.conftest import make_run, undisturbed, wait_for, wait_until

pytestmark = pytest.mark.usefixtures("cheap")


def kill(folder: RunFolder) -> None:
    """SIGKILL to the worker, and wait until it is gone."""
    owner = read_owner(folder)
    assert owner is not None
    os.kill(owner.pid, signal.SIGKILL)
    # Its last thread lets go of the run a moment after the process counts as dead.
    wait_until(lambda: not is_alive(owner) and not is_held(folder), "killed")


@contextmanager
def patched_owner(folder: RunFolder, owner: Owner) -> Iterator[None]:
    """Another name in `proc.json`; the right one afterwards, since fixtures end whoever is named there."""
    kept = folder.proc.read_bytes()
    try:
        write_owner(folder, owner)
        yield
    finally:
        folder.proc.write_bytes(kept)


@pytest.mark.slow
def test_a_killed_worker_is_interrupted_and_resumes_to_the_same_numbers() -> None:
    run = make_run("killed", steps=60, step_s=0.03)
    queue.submit(run)
    wait_until(lambda: len(run.history()) >= 2, "two epochs")
    kill(run)
    assert stored_state(run).status == "running"
    state = read_state(run)
    assert state.status == "interrupted"
    assert "killed" in state.cause
    assert "Resume" in state.remedy
    assert queue.reconcile() == [run]
    assert stored_state(run).status == "interrupted"
    done = len(run.history())
    control.resume(run)
    assert wait_for(run, "finished", "failed").status == "finished"
    assert 2 <= done < 12
    assert run.history() == undisturbed(steps=60)


@pytest.mark.slow
def test_a_worker_outlives_its_launcher_and_its_terminal(tmp_path: Path) -> None:
    run = make_run("orphan", steps=60, step_s=0.05)
    code = "from core.launch import queue; from core.runs.store import find_run\n"
    code += "queue.submit(find_run('orphan'))\nprint('submitted', flush=True)\nimport time; time.sleep(600)"
    launcher = subprocess.Popen(
        [sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.PIPE, start_new_session=True
    )
    assert launcher.stdout is not None
    assert launcher.stdout.readline() == b"submitted\n"
    wait_until(run.history, "first epoch")
    os.killpg(launcher.pid, signal.SIGINT)  # Ctrl-C in its terminal
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    launcher.stdout.close()
    assert queue.reconcile() == []  # a live run is left alone
    assert wait_for(run, "finished", "interrupted", "failed").status == "finished"


@pytest.mark.slow
def test_launcher_and_worker_killed_together() -> None:
    run = make_run("both", steps=60, step_s=0.03)
    code = "from core.launch import queue; from core.runs.store import find_run\n"
    code += "queue.submit(find_run('both'))\nimport time; time.sleep(600)"
    launcher = subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT)
    wait_until(run.history, "first epoch")
    launcher.kill()
    kill(run)
    launcher.wait()
    assert queue.reconcile() == [run]
    control.resume(run)
    wait_for(run, "finished")
    assert run.history() == undisturbed(steps=60)


def test_stop_from_another_process_saves_first_and_resumes() -> None:
    run = make_run("stopped", steps=400, step_s=0.02)
    queue.submit(run)
    wait_until(run.history, "first epoch")
    code = (
        "from core.launch import control; from core.runs.store import find_run\n"
        "control.request_stop(find_run('stopped'))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=True)
    state = wait_for(run, "stopped", "finished")
    assert state.status == "stopped"
    assert 5 <= state.step < 400
    saved = run.checkpoint.read_text(encoding="utf-8")
    assert f'"step": {state.step},' in saved
    wait_until(lambda: not is_alive(read_owner(run)), "the worker's end")  # type: ignore[arg-type]
    assert run.checkpoint.read_text(encoding="utf-8") == saved
    with pytest.raises(CoreError, match="stopped: there is nothing to stop"):
        control.request_stop(run)


@pytest.mark.slow
@pytest.mark.parametrize(
    "way", ["submitted again", "found queued", pytest.param("second worker", marks=pytest.mark.slow)]
)
def test_whoever_is_refused_leaves_the_live_training_as_it_was(way: str) -> None:
    run = make_run("live", steps=4000, step_s=0.02)
    queue.submit(run)
    wait_until(run.history, "first epoch")
    owner = read_owner(run)
    if way == "submitted again":
        run.state.write_text("{", encoding="utf-8")  # what it says does not matter: the lock does
        with pytest.raises(OwnedElsewhereError, match="is being worked on by process"):
            queue.submit(run)
    elif way == "found queued":
        write_state(run, RunState(status="queued", host=this_host(), queued=1.0))
        assert queue.advance() == []
    else:
        refused = subprocess.run(
            [sys.executable, "-m", "core.launch.worker", str(run.path)], cwd=CHECKOUT, check=False, capture_output=True
        )
        assert refused.returncode == 2
    assert read_owner(run) == owner
    assert owner is not None
    assert is_alive(owner)
    # Its next report says again what it does, and it can be stopped.
    wait_for(run, "running")
    control.request_stop(run)
    assert wait_for(run, "stopped", "interrupted", "failed").status == "stopped"


def test_a_live_training_runs_whatever_its_proc_json_says() -> None:
    run = make_run("unnamed", steps=4000, step_s=0.02)
    queue.submit(run)
    wait_until(run.history, "first epoch")
    owner = read_owner(run)
    assert owner is not None
    with patched_owner(run, replace(owner, birth="another")):
        assert read_state(run).status == "running"
    control.request_stop(run)
    wait_for(run, "stopped")


@pytest.mark.slow
def test_a_worker_that_does_not_listen_is_ended_by_force() -> None:
    run = make_run("deaf", trouble="deaf")
    queue.submit(run)
    wait_until(run.history, "first epoch")
    owner = read_owner(run)
    assert owner is not None
    control.request_stop(run, force=True, grace_s=0.5)
    assert not is_alive(owner)
    state = stored_state(run)
    assert state.status == "stopped"
    assert "by force" in state.cause


def test_no_zombie_stays_behind() -> None:
    run = make_run("short")
    queue.submit(run)
    wait_for(run, "finished")
    owner = read_owner(run)
    assert owner is not None
    wait_until(lambda: not psutil.pid_exists(owner.pid), "collected")


@pytest.mark.slow
def test_one_device_runs_one_after_the_other_without_anybody_looking() -> None:
    first, second, third = (make_run(name, steps=10, step_s=0.05) for name in ("one", "two", "three"))
    for run in (first, second, third):
        queue.submit(run)
    assert [read_state(run).status for run in (first, second, third)] == ["running", "queued", "queued"]
    assert read_state(first).device == "cpu"
    ended = [wait_for(run, "finished") for run in (first, second, third)]
    assert ended[0].ended < ended[1].started < ended[1].ended < ended[2].started  # type: ignore[operator]


@pytest.mark.slow
def test_a_queued_run_stops_at_once_and_the_one_behind_it_goes_on() -> None:
    first, second, third = make_run("one", steps=30, step_s=0.05), make_run("two"), make_run("three")
    for run in (first, second, third):
        queue.submit(run)
    control.request_stop(second)
    assert stored_state(second).status == "stopped"
    wait_for(third, "finished")
    assert read_state(second).started is None
    assert read_state(first).status == "finished"


@pytest.mark.slow
def test_two_processes_that_move_the_queue_start_a_run_once() -> None:
    runs = [make_run(f"run{index}", steps=5) for index in range(3)]
    with queue.queue_lock():
        code = "from core.launch import queue\n"
        code += "print('ready', flush=True); print(len(queue.advance()))"
        movers = [
            subprocess.Popen(
                [sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
            for _ in range(3)
        ]
        for mover in movers:
            assert mover.stdout is not None
            assert mover.stdout.readline() == "ready\n"
        for run in runs:
            queue.write_state(run, queue.RunState(status="queued", queued=time.time(), host=queue.this_host()))
    started = [int(mover.communicate()[0]) for mover in movers]
    for run in runs:
        wait_for(run, "finished")
    assert sum(started) >= 1
    for run in runs:
        assert run.log.read_text(encoding="utf-8").count("---") == 1, run.name


@pytest.mark.slow
def test_a_second_worker_is_refused_and_changes_nothing() -> None:
    run = make_run("owned", steps=400, step_s=0.02)
    queue.submit(run)
    wait_until(run.history, "first epoch")
    owner = read_owner(run)
    second = subprocess.run(
        [sys.executable, "-m", "core.launch.worker", str(run.path)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert second.returncode == 2
    assert owner is not None
    assert f"is being worked on by process {owner.pid}" in second.stderr
    assert read_owner(run) == owner
    assert read_state(run).status == "running"
    with pytest.raises(CoreError, match="still running"):
        control.delete(run)
    with pytest.raises(CoreError, match="running already"):
        control.resume(run)


def test_a_run_that_cannot_start_fails_and_the_queue_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, broken, fine = make_run("gpu", spec={"device": "cuda"}), make_run("broken"), make_run("fine")
    submit = LocalLauncher.submit

    def refuse(self: LocalLauncher, folder: RunFolder, devices: object) -> None:
        if folder.name == "broken":
            raise OSError(12, "Cannot allocate memory")
        submit(self, folder, devices)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalLauncher, "submit", refuse)
    for run in (gpu, broken, fine):
        queue.submit(run)
    assert "no device 'cuda'" in read_state(gpu).cause
    assert "It has cpu" in read_state(gpu).remedy
    assert read_state(broken).status == "failed"
    assert "Cannot allocate memory" in read_state(broken).cause
    wait_for(fine, "finished")


def test_a_broken_installation_is_a_failed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = (tmp_path / "site" / "sitecustomize.py").read_text(encoding="utf-8")
    (tmp_path / "site" / "sitecustomize.py").write_text(
        site + 'sys.modules["core.experiments.spec"] = None\n', encoding="utf-8"
    )
    run = make_run("broken")
    queue.submit(run)
    state = wait_for(run, "failed", "interrupted")
    assert state.status == "failed"
    assert "ModuleNotFoundError" in state.cause
    assert "core.experiments.spec" in state.traceback


TROUBLES = {
    "nan": ("The loss became nan", "learning rate"),
    "missing": ("'nowhere' is not on this machine", "data import"),
    "memory": ("not enough memory", "smaller batch"),
    "full": ("The disk is full", "Free some space, then resume"),
    "locked": ("last.pt cannot be written to", "Make it writable"),
    "bug": ("ZeroDivisionError", "traceback"),
}


def check_trouble(run: RunFolder, trouble: str) -> None:
    """What the run's folder says of its end."""
    cause, remedy = TROUBLES[trouble]
    state = stored_state(run)
    assert state.status == "failed"
    assert cause in state.cause
    assert remedy in state.remedy
    assert "Traceback" in state.traceback
    assert state.step == 8
    assert [line["step"] for line in run.history()] == [5]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_ends_in_a_sentence(trouble: str) -> None:
    run = make_run("troubled", trouble=trouble)
    with pytest.raises(Exception):  # noqa: B017, PT011 — whatever it was; what is said of it is asked below
        list(execute(run))
    check_trouble(run, trouble)


@pytest.mark.slow
def test_trouble_of_a_worker_leaves_the_run_beside_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "devices", lambda: ("mps", "cpu"))
    beside = make_run("beside", steps=30, step_s=0.03, spec={"device": "mps"})
    run = make_run("troubled", trouble="full")
    queue.submit(beside)
    queue.submit(run)
    wait_for(run, "failed", "interrupted", "finished")
    check_trouble(run, "full")
    wait_until(lambda: not is_alive(read_owner(run)), "the worker's end")  # type: ignore[arg-type]
    assert TROUBLES["full"][0] in run.log.read_text(encoding="utf-8")
    assert wait_for(beside, "finished", "failed", "interrupted").status == "finished"


def test_the_remaining_time_is_known_while_it_runs() -> None:
    run = make_run("eta", steps=100, step_s=0.05)
    assert eta_seconds(run) is None
    queue.submit(run)
    seconds = wait_until(lambda: eta_seconds(run), "an estimate")
    left = 100 - read_state(run).step
    assert 0.04 * (left - 30) < seconds < 0.2 * (left + 30)


def test_a_run_that_died_before_anybody_wrote_it_down_can_be_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(LocalLauncher, "submit", lambda _, folder, devices: started.append(folder.name))
    run = make_run("dead")
    write_owner(run, Owner(pid=2**22 + 1, birth="long ago", host=this_host()))
    write_state(run, RunState(status="running", heartbeat=time.time(), host=this_host()))
    (run.path / ".lock").touch()  # it was held once
    control.resume(run)  # which holds it meanwhile, and must not take itself for somebody else
    assert started == ["dead"]
