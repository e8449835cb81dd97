"""Disks that are full or read-only: a small one is mounted for the test, which only root may do."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.cli.main import app
from core.errors import CoreError
from core.launch import control, queue
from core.runs.owner import is_alive, read_owner
from core.runs.status import read_state
from core.runs.store import RunFolder, list_runs
from tests.runs.conftest import end_all, make_run, undisturbed, wait_for, wait_until


@pytest.fixture
def disk(cheap: Path, tmp_path: Path) -> Iterator[Path]:
    """VITRINE_HOME on a disk of 2 MiB."""
    cheap.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(cheap)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk, and not in every container")
    yield cheap
    subprocess.run(["mount", "-o", "remount,rw", str(cheap)], check=True)
    end_all()
    subprocess.run(["umount", "--lazy", str(cheap)], check=True)


def fill(disk: Path) -> None:
    """Leave no byte free."""
    with (disk / "ballast").open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


@pytest.mark.slow
def test_a_checkpoint_too_large_for_the_disk(disk: Path) -> None:
    run, beside = make_run("large", ballast_kib=4000), make_run("beside")
    queue.submit(run)
    queue.submit(beside)
    state = wait_for(run, "failed", "interrupted", "finished")
    assert state.status == "failed"
    assert "The disk is full" in state.cause
    assert not list(run.path.rglob("*.part"))
    wait_for(beside, "finished")


@pytest.mark.slow
def test_a_disk_without_a_byte_left_and_the_same_numbers_once_there_is_room(disk: Path) -> None:
    run = make_run("full", steps=60, step_s=0.03)
    queue.submit(run)
    wait_until(run.history, "first epoch")
    fill(disk)
    state = wait_for(run, "failed", "interrupted", "finished")
    assert state.status == "failed"
    assert "The disk is full" in state.cause
    assert "Free some space" in state.remedy
    wait_until(lambda: not is_alive(read_owner(run)), "the worker's end")  # type: ignore[arg-type]
    (disk / "ballast").unlink()
    control.resume(run)
    assert wait_for(run, "finished", "failed").status == "finished"
    assert run.history() == undisturbed(steps=60)


@pytest.mark.slow
def test_a_read_only_disk_is_listed_and_refuses_in_a_sentence(disk: Path) -> None:
    stopped, running = make_run("stopped"), make_run("running", steps=400, step_s=0.02)
    queue.submit(running)
    wait_until(running.history, "first epoch")
    owner = read_owner(running)
    assert owner is not None
    os.kill(owner.pid, signal.SIGKILL)  # its open log would forbid the remounting
    remount = ["mount", "-o", "remount,ro", str(disk)]
    wait_until(lambda: subprocess.run(remount, capture_output=True, check=False).returncode == 0, "read-only")
    assert [run.name for run in list_runs()] == ["running", "stopped"]
    state = read_state(running)  # nothing could be written, and still it does not claim to run
    assert state.status == "interrupted"
    assert queue.reconcile() == []
    assert queue.advance() == []
    for action in (control.resume, control.delete, queue.submit):
        with pytest.raises(CoreError, match="cannot be written to") as caught:
            action(stopped)
        assert "writable" in caught.value.remedy
    listed = CliRunner().invoke(app, ["runs", "list"])
    assert "interrupted" in listed.output
    assert listed.output.count("\n") == 2
    failed = CliRunner().invoke(app, ["train", "counting", "--name", "stopped"])
    assert isinstance(failed.exception, CoreError)
    assert "cannot be written to" in str(failed.exception)
    failed = CliRunner().invoke(app, ["train", "counting", "--name", "new"])
    assert "No run can be created" in str(failed.exception)


def test_one_read_only_folder_among_writable_ones(disk: Path) -> None:
    locked, fine = make_run("locked"), make_run("fine")
    bind = [
        ["mount", "--bind", str(locked.path), str(locked.path)],
        ["mount", "-o", "remount,bind,ro", str(locked.path)],
    ]
    for command in bind:
        subprocess.run(command, check=True)
    try:
        with pytest.raises(CoreError, match="'locked' cannot be written to"):
            queue.submit(locked)
        queue.submit(fine)
        wait_for(fine, "finished")
        assert read_state(RunFolder(locked.path)).cause == "It was created but never started."
    finally:
        subprocess.run(["umount", str(locked.path)], check=True)
