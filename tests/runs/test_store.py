"""A run folder can be read while it is being written."""

from __future__ import annotations

import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from core.errors import CoreError
from core.files import write_atomically
from core.launch.journal import Losses
from core.reports import Progress
from core.runs.store import RunFolder, RunSpec, code_version, create_run, list_runs


def test_a_half_written_line_is_left_out(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.history() == []
    run.append_metrics({"epoch": 1})
    with run.metrics.open("a", encoding="utf-8") as file:
        file.write('{"epoch": 2')
    assert run.history() == [{"epoch": 1}]


def test_atomic_writes_replace_and_leave_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "state.json"
    write_atomically(target, json.dumps({"epoch": 1}))
    write_atomically(target, b'{"epoch": 2}')
    assert json.loads(target.read_text(encoding="utf-8")) == {"epoch": 2}
    assert [path.name for path in target.parent.iterdir()] == ["state.json"]


def test_only_folders_with_a_spec_are_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    assert list(list_runs()) == []
    (tmp_path / "runs" / "b").mkdir(parents=True)
    write_atomically(RunFolder(tmp_path / "runs" / "a").spec, "{}")
    assert [run.name for run in list_runs()] == ["a"]


def test_damaged_lines_are_left_out_and_truncation_forgets_them(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for step in (5, 10, 15):
        run.append_metrics({"step": step})
    run.metrics.write_bytes(run.metrics.read_bytes().replace(b'{"step": 5}', b"\x00\xff\x00") + b'{"st')
    assert [line["step"] for line in run.history()] == [10, 15]
    run.truncate_metrics(10)
    assert run.metrics.read_text(encoding="utf-8") == '{"step": 10}\n'


def test_a_new_run_says_when_and_from_which_code_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    run = create_run("new", RunSpec(recipe="vit_scratch", config={}))
    assert datetime.fromisoformat(run.read_spec().created).tzinfo is not None
    assert run.read_spec().code_version == code_version()
    with pytest.raises(CoreError, match="named 'new' already"):
        create_run("new", RunSpec(recipe="vit_scratch", config={}))
    for name in ("", "../x", ".hidden", "a/b", "x" * 81):
        with pytest.raises(CoreError, match="cannot name a run"):
            create_run(name, RunSpec(recipe="vit_scratch", config={}))


def test_a_write_that_fails_leaves_the_old_content_and_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "state.json"
    write_atomically(target, "old")

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            super().write(data[:2])
            raise OSError(28, "No space left on device")

    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r", **rest: Full(path, "w") if mode == "wb" else real(path, mode, **rest)
    )
    with pytest.raises(OSError, match="No space left"):
        write_atomically(target, "new content")
    assert target.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_losses_within_epochs_are_few_lines_whose_means_leave_nothing_out(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    losses = Losses(folder)
    for step in range(1, 2001):
        losses.add(Progress(step=step, steps=2000, loss=float(step)))
    lines = [json.loads(line) for line in folder.losses.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == Losses.LINES == 400
    assert lines[0] == {"step": 5, "steps": 2000, "loss": 3.0}  # the mean of 1 to 5
    assert sum(line["loss"] for line in lines) / 400 == 1000.5
