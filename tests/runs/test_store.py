"""A run folder can be read while it is being written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.runs.store import RunFolder, list_runs, write_atomically


def test_a_half_written_line_is_left_out(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.history() == []
    run.append_metrics({"epoch": 1})
    with run.metrics.open("a") as file:
        file.write('{"epoch": 2')
    assert run.history() == [{"epoch": 1}]


def test_atomic_writes_replace_and_leave_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "state.json"
    write_atomically(target, json.dumps({"epoch": 1}))
    write_atomically(target, b'{"epoch": 2}')
    assert json.loads(target.read_text()) == {"epoch": 2}
    assert [path.name for path in target.parent.iterdir()] == ["state.json"]


def test_only_folders_with_a_spec_are_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    assert list(list_runs()) == []
    (tmp_path / "runs" / "b").mkdir(parents=True)
    write_atomically(RunFolder(tmp_path / "runs" / "a").spec, "{}")
    assert [run.name for run in list_runs()] == ["a"]
