"""What a state file may look like, and who counts as alive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from core.runs.owner import Owner, birth_of, is_alive, read_owner, this_host, this_process, write_owner
from core.runs.status import STALE_S, STARTING_S, RunState, read_state, status_word, write_state
from core.runs.store import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def running(**rest: object) -> RunState:
    return replace(RunState(status="running", heartbeat=time.time(), host=this_host()), **rest)  # type: ignore[arg-type]


def test_a_state_comes_back_as_it_was_written(run: RunFolder) -> None:
    state = RunState(status="failed", step=3, steps=9, started=1.5, cause="why", remedy="what", traceback="where")
    write_state(run, state)
    assert read_state(run) == state


DAMAGED = ("", "{", "null", "[1]", '"running"', '{"status": 5}', '{"status": "asleep"}', "\x00" * 50)


@pytest.mark.parametrize("text", [*DAMAGED, '{"status": "running", "step": "x"}'])
def test_a_damaged_state_is_interrupted_with_a_cause(run: RunFolder, text: str) -> None:
    run.state.write_text(text, encoding="utf-8")
    run.append_metrics({"step": 7, "steps": 20})
    state = read_state(run)
    assert (state.status, state.step, state.steps) == ("interrupted", 7, 20)
    assert "state.json" in state.cause
    assert "Resume" in state.remedy


def test_what_is_there_tells_the_state_where_none_was_written(run: RunFolder) -> None:
    assert "never started" in read_state(run).cause
    run.append_metrics({"step": 7})
    assert read_state(run).status == "interrupted"
    run.model.mkdir()
    (run.model / "card.json").write_text("{}", encoding="utf-8")
    assert read_state(run).status == "finished"


def test_fields_of_a_newer_version_are_left_out(run: RunFolder) -> None:
    run.state.write_text(json.dumps({"status": "stopped", "step": 4, "mood": "good"}), encoding="utf-8")
    assert read_state(run) == RunState(status="stopped", step=4)


def test_this_process_is_alive_and_one_of_the_same_number_is_not(run: RunFolder) -> None:
    write_owner(run, this_process())
    write_state(run, running())
    assert read_state(run).status == "running"
    write_owner(run, replace(this_process(), birth="another"))
    assert read_state(run).status == "interrupted"


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner(pid=child.pid, birth=birth_of(child.pid), host=this_host())
    assert is_alive(owner)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_alive(owner) is False
    assert child.stdin is not None
    child.stdin.close()
    child.wait()


def test_another_machine_is_trusted_until_it_falls_silent(run: RunFolder) -> None:
    elsewhere = replace(this_process(), host="elsewhere")
    assert is_alive(elsewhere) is None
    write_owner(run, elsewhere)
    write_state(run, running(heartbeat=time.time() - STALE_S / 2))
    assert read_state(run).status == "running"
    write_state(run, running(heartbeat=time.time() - STALE_S - 60))
    state = read_state(run)
    assert state.status == "interrupted"
    assert "Nothing was heard from elsewhere for 11 minutes." in state.cause


def test_a_run_that_is_just_starting_has_no_process_yet(run: RunFolder) -> None:
    write_state(run, running())
    assert read_state(run).status == "running"
    write_state(run, running(heartbeat=time.time() - STARTING_S - 1))
    assert read_state(run).status == "interrupted"


def test_what_another_rank_said_is_the_cause(run: RunFolder) -> None:
    write_owner(run, replace(this_process(), birth="dead"))
    write_state(run, running())
    run.failure.write_text(
        json.dumps({"cause": "GPU 1 is full.", "remedy": "Smaller.", "traceback": "..."}), encoding="utf-8"
    )
    state = read_state(run)
    assert (state.status, state.cause, state.remedy) == ("failed", "GPU 1 is full.", "Smaller.")


@pytest.mark.parametrize("text", ["", "[]", '{"pid": "x"}', "null"])
def test_a_damaged_owner_is_none(run: RunFolder, text: str) -> None:
    run.proc.write_text(text, encoding="utf-8")
    assert read_owner(run) is None


def test_what_was_asked_to_stop_is_stopped_however_its_process_ended(run: RunFolder) -> None:
    write_state(run, RunState(status="running", step=5, steps=20, heartbeat=time.time()))
    write_owner(run, replace(this_process(), birth="dead"))
    assert read_state(run).status == "interrupted"
    run.stop.touch()
    state = read_state(run)
    assert (state.status, status_word(run, state)) == ("stopped", "stopped")
    assert "asked to stop" in state.cause
    write_owner(run, this_process())
    state = read_state(run)
    assert (state.status, status_word(run, state)) == ("running", "stopping")
