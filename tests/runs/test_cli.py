"""Runs from the command line, in the foreground and behind it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from core.cli.main import app
from core.errors import CoreError, UnknownNameError
from core.paths import CHECKOUT, runs_root
from core.runs.status import read_state
from core.runs.store import RunFolder, find_run
from tests.runs.conftest import make_run, wait_for, wait_until

pytestmark = pytest.mark.usefixtures("cheap")
call = CliRunner().invoke


@pytest.mark.slow
def test_from_train_in_the_background_to_delete() -> None:
    queued = call(
        app, ["train", "counting", "--name", "a", "--set", "steps=400", "--set", "step_s=0.02", "--background"]
    )
    assert queued.exit_code == 0, queued.exception
    run = find_run("a")
    assert run.read_spec().overrides == ("steps=400", "step_s=0.02")
    assert run.read_spec().created
    wait_until(run.history, "first epoch")
    wait_until(lambda: "left" in call(app, ["runs", "list"]).output, "an estimate")
    listed = call(app, ["runs", "list"]).output
    assert "running" in listed
    assert "/400 steps" in listed
    assert "val " in listed
    assert isinstance(call(app, ["runs", "delete", "a", "--yes"]).exception, CoreError)
    assert call(app, ["runs", "stop", "a"]).exit_code == 0
    wait_for(run, "stopped")
    cloned = call(app, ["runs", "clone", "a", "b", "--set", "steps=10", "--set", "step_s=0"])
    assert cloned.exit_code == 0, cloned.exception
    clone = find_run("b")
    assert clone.read_spec().parent == "a"
    assert clone.read_spec().overrides == ("steps=10",)
    wait_for(clone, "finished")
    assert "epoch 2/2" in call(app, ["runs", "log", "b", "--follow"]).output
    assert call(app, ["runs", "show", "b"]).output.count("train_loss") == 2
    assert isinstance(call(app, ["runs", "resume", "b"]).exception, CoreError)
    assert call(app, ["runs", "delete", "b", "--yes"]).exit_code == 0
    assert not clone.path.exists()
    assert call(app, ["runs", "resume", "a"]).exit_code == 0
    assert wait_for(run, "running").status == "running"


@pytest.mark.slow
def test_ctrl_c_in_the_foreground_saves_and_the_same_command_continues() -> None:
    arguments = ["train", "counting", "--name", "here", "--device", "cpu", "--set", "steps=40", "--set", "step_s=0.05"]
    process = subprocess.Popen(
        [sys.executable, "-m", "core", *arguments],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    run = RunFolder(runs_root() / "here")
    wait_until(run.history, "first epoch")
    os.kill(process.pid, signal.SIGINT)
    said, errors = process.communicate()
    assert process.returncode == 130
    assert "epoch 1/8" in said
    state = read_state(run)
    assert state.status == "stopped"
    assert f"Stopped at step {state.step} of 40; the same command continues." in errors
    other = call(app, [*arguments[:-1], "step_s=0.01"])
    assert "other settings" in str(other.exception)
    again = call(app, arguments)
    assert again.exit_code == 0, again.exception
    assert "epoch 1/8" not in again.output
    assert [line["epoch"] for line in run.history()] == list(range(1, 9))
    assert "finished already" in str(call(app, arguments).exception)


def test_a_failure_is_a_sentence_in_the_list() -> None:
    failed = call(app, ["train", "counting", "--name", "bad", "--set", "trouble=nan"])
    assert "The loss became nan" in str(failed.exception)
    assert "failed" in call(app, ["runs", "list"]).output
    assert "The loss became nan" in call(app, ["runs", "list"]).output
    assert "remedy: Lower the learning rate" in call(app, ["runs", "show", "bad"]).output


def test_names_and_options_that_do_not_exist() -> None:
    for command in ("show", "stop", "resume", "log"):
        assert isinstance(call(app, ["runs", command, "nobody"]).exception, UnknownNameError)
    make_run("taken")
    assert "named 'taken' already" in str(call(app, ["runs", "clone", "taken", "taken"]).exception)
    assert "steps" in str(call(app, ["runs", "clone", "taken", "new", "--set", "stpes=3"]).exception)
    refused = call(app, ["train", "counting", "--name", "x", "--launcher", "ray"])
    assert "Choose local or slurm" in str(refused.exception)
