"""Runs as jobs of a real Slurm: `.ci/run` starts one with `slurm_up.sh`. Its `sacct` is a stand-in; the rest is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from core.errors import CoreError
from core.launch import control, queue, slurm
from core.launch.slurm import SlurmLauncher, job_of
from core.runs.owner import read_owner
from core.runs.status import read_state
from core.runs.store import RunFolder
from tests.runs.conftest import make_run, wait_for, wait_until


def has_slurm() -> bool:
    """Whether a controller answers."""
    if shutil.which("sinfo") is None or "SLURM_CONF" not in os.environ:
        return False
    asked = subprocess.run(["timeout", "5", "sinfo", "--noheader"], capture_output=True, check=False)
    return asked.returncode == 0 and bool(asked.stdout.strip())


needs_slurm = pytest.mark.skipif(not has_slurm(), reason="no Slurm: start one with tests/runs/slurm_up.sh")


@pytest.fixture
def cluster(cheap: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home whose jobs are cancelled with the test, and with them all others: one test at a time has the cluster."""
    monkeypatch.setattr(queue, "ASK_EVERY_S", 0)
    with FileLock(os.environ["SLURM_CONF"] + ".lock"):
        yield cheap
        subprocess.run(["scancel", "--user=root"], check=False)
        asked = ["squeue", "--noheader"]
        wait_until(
            lambda: not subprocess.run(asked, capture_output=True, text=True, encoding="utf-8").stdout.strip(),
            "an empty Slurm",
        )


def job(name: str, **settings: Any) -> RunFolder:
    """A run for the cluster; `options` among the settings goes to Slurm."""
    options = {"partition": "debug", "cpus": 1, "memory_gb": 0.2, "timeout_min": 60, **settings.pop("options", {})}
    return make_run(name, **settings, spec={"launcher": "slurm", "launcher_options": options})


def state_in_slurm(run: RunFolder) -> str:
    owner = read_owner(run)
    assert owner is not None
    command = ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={owner.job}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout.strip()


def begun(run: RunFolder, epochs: int = 1) -> bool:
    """Whether it has come that far; a job that will not is no reason to wait."""
    state, job_state = read_state(run), state_in_slurm(run)
    assert state.status in ("queued", "running"), state
    assert job_state in ("PENDING", "CONFIGURING", "RUNNING"), f"{job_state}; {state}"
    return len(run.history()) >= epochs


@pytest.mark.slurm
@needs_slurm
def test_a_job_from_submit_to_finished(cluster: Path) -> None:
    run = job("plain", steps=20)
    queue.submit(run)
    state = read_state(run)
    assert state.status == "queued"
    assert "waiting in Slurm, job" in state.text
    assert wait_for(run, "finished", "failed").cause == ""
    owner = read_owner(run)
    assert owner is not None
    assert owner.pid
    assert wait_until(lambda: job_of(run).done(force_check=True), "submitit sees the end")
    assert job_of(run).result() == 0
    wait_until(lambda: state_in_slurm(run) == "COMPLETED", "completed")
    assert len(run.history()) == 4


@pytest.mark.slurm
@needs_slurm
def test_a_failed_run_is_a_failed_job(cluster: Path) -> None:
    run = job("nan", trouble="nan")
    queue.submit(run)
    assert "The loss became nan" in wait_for(run, "failed", "finished", "interrupted").cause
    wait_until(lambda: state_in_slurm(run) == "FAILED", "Slurm counts it as failed")


@pytest.mark.slurm
@needs_slurm
def test_waiting_and_running_jobs_stop(cluster: Path) -> None:
    running = job("running", steps=4000, step_s=0.02, options={"cpus": 4})
    waiting = job("waiting", options={"cpus": 4})
    queue.submit(running)
    wait_until(lambda: begun(running), "first epoch")
    queue.submit(waiting)
    assert state_in_slurm(waiting) == "PENDING"
    assert queue.advance() == []  # neither takes a device of this machine
    assert read_state(waiting).status == "queued"
    control.request_stop(waiting)
    assert read_state(waiting).status == "stopped"
    wait_until(lambda: state_in_slurm(waiting) == "CANCELLED", "cancelled")
    control.request_stop(running)
    state = wait_for(running, "stopped", "failed")
    assert state.status == "stopped"
    assert f'"step": {state.step},' in running.checkpoint.read_text(encoding="utf-8")
    wait_until(lambda: state_in_slurm(running) == "COMPLETED", "completed")
    control.resume(running)
    wait_until(lambda: read_state(running).status == "running", "running again")
    assert read_state(running).step >= state.step


@pytest.mark.slurm
@needs_slurm
def test_a_job_that_does_not_listen_is_cancelled(cluster: Path) -> None:
    run = job("deaf", trouble="deaf")
    queue.submit(run)
    wait_until(lambda: begun(run), "first epoch")
    control.request_stop(run, force=True, grace_s=1)
    wait_until(lambda: state_in_slurm(run) == "CANCELLED", "cancelled")
    wait_until(lambda: queue.reconcile() or read_state(run).status != "running", "a terminal state")
    assert read_state(run).status in ("stopped", "interrupted")
    assert read_state(run).cause


@pytest.mark.slurm
@needs_slurm
def test_a_waiting_job_that_somebody_else_cancelled_is_interrupted(cluster: Path) -> None:
    blocker = subprocess.run(
        ["sbatch", "--parsable", "-c4", "-o/dev/null", "--wrap=sleep 60"],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    run = job("waiting", options={"cpus": 4})
    queue.submit(run)
    owner = read_owner(run)
    assert owner is not None
    assert queue.reconcile() == []
    subprocess.run(["scancel", owner.job], check=True)
    wait_until(lambda: queue.reconcile() == [run], "noticed")
    state = read_state(run)
    assert state.status == "interrupted"
    assert f"Slurm job {owner.job} has ended" in state.cause
    subprocess.run(["scancel", blocker.stdout.strip()], check=True)
    control.resume(run)
    wait_for(run, "finished")


@pytest.mark.slurm
@needs_slurm
def test_a_preempted_job_comes_back_and_continues_with_the_same_numbers(cluster: Path) -> None:
    run = job("low", steps=150, step_s=0.05)
    queue.submit(run)
    wait_until(lambda: begun(run, epochs=3), "three epochs")
    before = read_owner(run)
    # Higher priority, all processors.
    important = ["sbatch", "--parsable", "-phigh", "-c4", "-o/dev/null", "--wrap=sleep 3"]
    subprocess.run(important, capture_output=True, check=True)
    state = wait_for(run, "queued", "failed", "stopped", "interrupted", "finished")
    assert state.status == "queued", state
    wait_until(lambda: "preempted" in read_state(run).text, "requeued")
    saved = run.checkpoint.read_text(encoding="utf-8")
    assert f'"step": {state.step},' in saved
    assert 15 <= state.step < 150
    queue.reconcile()
    assert read_state(run).status == "queued"
    assert wait_for(run, "running", "failed", timeout_s=120).status == "running"
    after = read_owner(run)
    assert before is not None
    assert after is not None
    assert (before.job, before.pid) != (after.job, after.pid)
    assert before.job == after.job
    assert wait_for(run, "finished", "failed", "interrupted", timeout_s=120).cause == ""
    whole = make_run("whole", steps=150)
    queue.submit(whole)
    wait_for(whole, "finished")
    assert run.history() == whole.history()
    assert run.log.read_text(encoding="utf-8").count("---") == 2


@pytest.mark.slurm
@needs_slurm
def test_what_slurm_refuses_is_a_failed_run_with_its_words(cluster: Path) -> None:
    greedy, unknown = job("greedy", options={"memory_gb": 10_000}), job("unknown", options={"colour": "red"})
    queue.submit(greedy)
    queue.submit(unknown)
    assert "Slurm refused the job" in read_state(greedy).cause
    assert read_state(greedy).remedy
    assert "no option colour" in read_state(unknown).cause


def test_without_submitit_or_slurm_it_says_what_is_missing(cheap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm.shutil, "which", lambda _: None)
    run = job("nowhere")
    queue.submit(run)
    state = read_state(run)
    assert state.status == "failed"
    assert "no Slurm" in state.cause
    assert "launcher local" in state.remedy
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(CoreError, match="pip install submitit"):
        SlurmLauncher().submit(run)
    assert SlurmLauncher().poll(run) == "gone"
    with pytest.raises(CoreError, match="is no Slurm job"):
        job_of(run)
