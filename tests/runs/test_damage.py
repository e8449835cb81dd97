"""Whatever lies in the files of one run, the others are listed, started and drawn, and that one says what is wrong."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from core.cli.main import app
from core.errors import CoreError
from core.figures.curves import metric_names, plot_learning_curves, plot_metric
from core.launch import queue
from core.launch.launcher import LocalLauncher
from core.runs.owner import Owner, read_owner
from core.runs.status import RunState, eta_seconds, read_failure, read_state, stored_state, write_state
from core.runs.store import RunFolder, RunSpec, create_run, list_runs
from core.runs.studies import list_studies, read_study
from pages.runs.run_panel import metrics_table, missing_sentence
from pages.shared.run_views import all_views, comparable, differing
from tests.examples import examples
from tests.runs import counting

FILES = ("spec.json", "state.json", "proc.json", "metrics.jsonl", "failure.json", "model/card.json")
ODD = (None, True, -1, 10**400, 1e300, "", "\ud800", "running", [], {}, [[1]], float("nan"), float("inf"))
KEYS = [
    *(field.name for kind in (RunSpec, RunState, Owner) for field in fields(kind)),
    *("epoch", "val_accuracy", "train_loss", "images_per_second", "seconds", "val_count", "cause", "metrics"),
    *("test_accuracy", "test_interval_95", "history", "classes", "title"),
]
anything = st.recursive(
    st.sampled_from(ODD) | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITRINE_HOME", name)
        patch.setattr(queue, "devices", lambda: ("cpu",))
        patch.setattr(LocalLauncher, "submit", lambda *_: None)
        yield Path(name)


def look_at_everything() -> dict[str, RunState]:
    """All that lists and draws runs; what it raises, it raises for every run."""
    queue.advance()
    states = {}
    for folder in list_runs():
        states[folder.name] = read_state(folder)
        stored_state(folder), eta_seconds(folder), read_failure(folder), read_owner(folder)
        with suppress(CoreError):  # with its remedy, and nothing else
            folder.read_spec()
    views = all_views()
    curves = [view.curve() for view in views]
    plot_learning_curves(curves, "accuracy")
    for name in metric_names(curves)[:3]:
        plot_metric(curves, name)
    for view in views:
        assert 0 <= view.share <= 1
        json.dumps([view.best, view.val_count, view.eta, view.state.cause]).encode()
    metrics_table(views), differing(views), comparable("counting", {}, views), missing_sentence(["gone"], views)
    listed = CliRunner().invoke(app, ["runs", "list"])
    assert listed.exception is None, listed.exception
    return states


def a_run(home: Path, name: str) -> RunFolder:
    folder = RunFolder(home / "runs" / name)
    if not folder.spec.is_file():
        create_run(name, RunSpec.of("counting", counting.Config(), device="cpu"))
    return folder


def check(home: Path, file: str, data: bytes) -> None:
    sound, hurt = a_run(home, "sound"), a_run(home, "hurt")
    write_state(sound, RunState(status="finished", step=7, steps=7))
    for each in FILES:
        path = hurt.path / each
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
    hurt.spec.write_bytes(sound.spec.read_bytes())
    write_state(hurt, RunState(status="running" if file == "proc.json" else "stopped", step=1, steps=2))
    (hurt.path / file).write_bytes(data)
    states = look_at_everything()
    assert set(states) == {"sound", "hurt"}
    assert states["sound"] == RunState(status="finished", step=7, steps=7)


@pytest.mark.slow
@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from(FILES), values=anything)
@example("metrics.jsonl", {"step": None})
@example("metrics.jsonl", {"step": 3, "val_accuracy": [1], "images_per_second": "many"})
@example("state.json", {"status": "running", "step": 10**400, "steps": 3})
@example("state.json", {"status": "stopped", "ended": 1e300, "text": "\ud800"})
@example("proc.json", {"pid": 10**30, "birth": "x"})
@example("spec.json", {"recipe": "counting", "config": 5})
@example("spec.json", {"recipe": "counting", "config": {}, "overrides": [1]})
@example("model/card.json", {"metrics": {"test_accuracy": "all", "test_interval_95": 3}})
def test_damage_stays_with_its_run(home: Path, file: str, values: Any) -> None:
    spec = asdict(RunSpec.of("counting", counting.Config(), device="cpu"))
    base: dict[str, Any] = {
        "spec.json": spec,
        "state.json": {"status": "queued", "host": "here"},
        "model/card.json": dict.fromkeys(("family", "title", "dataset", "recipe", "command", "date"), "")
        | {"config": {}, "classes": [], "mean": [], "std": []},
    }.get(file, {})
    check(home, file, json.dumps(values).encode() + b"\n")
    if isinstance(values, dict):
        check(home, file, json.dumps({**base, **values}).encode() + b"\n")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("data", [b"", b"\x00\xff" * 99, b"[" * 100_000, b'{"a":' * 500 + b"1" + b"}" * 500, b'{"st'])
def test_no_json_at_all(home: Path, file: str, data: bytes) -> None:
    check(home, file, data + b"\n")


def test_a_run_that_wants_less_than_no_device_does_not_hold_up_the_queue(home: Path) -> None:
    sound, hurt = a_run(home, "sound"), a_run(home, "hurt")
    for folder in (hurt, sound):
        write_state(folder, RunState(status="queued", host=queue.this_host(), queued=1.0 if folder is hurt else 2.0))
    hurt.spec.write_text(
        json.dumps({**json.loads(sound.spec.read_text(encoding="utf-8")), "processes": -1}), encoding="utf-8"
    )
    assert queue.advance() == [sound]
    assert read_state(hurt).status == "failed"
    assert "processes" in read_state(hurt).cause
    write_state(sound, RunState(status="stopped"))


@pytest.mark.parametrize("line", ["{", "[]", '{"op_code": 0}', '{"op_code": "x", "worker_id": 1}', "null", "\x00"])
def test_a_damaged_journal_is_a_sentence(home: Path, line: str) -> None:
    journal = home / "studies" / "torn.journal"
    journal.parent.mkdir(exist_ok=True)
    journal.write_text(line + "\n", encoding="utf-8")
    assert list_studies() == ["torn"]
    with pytest.raises(CoreError, match="torn"):
        read_study("torn")
    listed = CliRunner().invoke(app, ["sweep", "list"])
    assert listed.exception is None, listed.exception
