"""What is on disk while a recipe runs, and after it ended in each of the ways it can."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.errors import RunFailedError, UnknownNameError
from core.experiments.catalogue import RECIPES
from core.launch import journal
from core.launch.execute import execute
from core.paths import runs_root
from core.reports import Progress
from core.runs import status
from core.runs.failures import explain
from core.runs.owner import OwnedElsewhereError, claim
from core.runs.status import read_state
from core.runs.store import RunFolder, RunSpec, create_run
from tests.runs import counting
from tests.runs.conftest import make_run


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.setitem(RECIPES, "counting", counting.RECIPE)
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def until(reports: Iterator[object], step: int) -> Iterator[object]:
    """The generator, advanced to the epoch's report at `step`."""
    for report in reports:
        if isinstance(report, counting.Report) and report.step == step:
            return reports
    raise AssertionError(f"no report at step {step}")


def crash(run: RunFolder, name: str) -> RunFolder:
    """What a process that is killed at this moment leaves behind."""
    return RunFolder(Path(shutil.copytree(run.path, runs_root() / name)))


def scalars(run: RunFolder, tag: str = "train_loss") -> list[tuple[int, float]]:
    events = EventAccumulator(str(run.events))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_a_run_from_its_specification_to_its_end() -> None:
    run = make_run("whole", steps=20)
    reports = list(execute(run))
    assert [report.step for report in reports if isinstance(report, Progress)] == list(range(1, 21))
    assert [line["step"] for line in run.history()] == [5, 10, 15, 20]
    state = read_state(run)
    assert (state.status, state.step, state.steps, state.device) == ("finished", 20, 20, "cpu")
    assert state.started is not None
    assert state.ended is not None
    assert state.started <= state.ended
    losses = [(line["step"], pytest.approx(line["train_loss"], rel=1e-6)) for line in run.history()]
    assert scalars(run) == losses
    left = {path.name for path in run.path.iterdir()} - {".lock"}
    assert left == {"spec.json", "state.json", "proc.json", "metrics.jsonl", "checkpoints", "model", "events"}


def test_a_crash_costs_neither_lines_nor_numbers_and_tensorboard_shows_each_once() -> None:
    run = make_run("whole", steps=30)
    reports = until(execute(run), 15)
    crashed = crash(run, "crashed")  # the line of step 15 is written, its checkpoint is not
    assert crashed.history()[-1]["step"] == 15
    assert '"step": 10' in crashed.checkpoint.read_text(encoding="utf-8")
    list(reports)
    first = next(report for report in execute(crashed) if report)
    assert first.step == 11
    list(execute(crashed))
    assert crashed.history() == run.history()
    assert [step for step, _ in scalars(crashed)] == [5, 10, 15, 20, 25, 30]


def test_a_crash_before_the_first_checkpoint_begins_anew() -> None:
    run = make_run("whole", steps=10)
    reports = until(execute(run), 5)
    crashed = crash(run, "crashed")
    assert not crashed.checkpoint.is_file()
    list(reports)
    list(execute(crashed))
    assert crashed.history() == run.history()


def test_stop_is_heard_between_steps_and_saves() -> None:
    run = make_run("stopped", steps=10_000, step_s=0.01)
    for report in execute(run):
        if report.step == 7:
            run.stop.touch()
    state = read_state(run)
    assert state.status == "stopped"
    assert 7 <= state.step < 60
    assert f'"step": {state.step},' in run.checkpoint.read_text(encoding="utf-8")
    assert state.cause == ""
    # Asked before it began again, it does not begin.
    assert list(execute(run)) == []
    assert read_state(run).status == "stopped"


def test_whoever_stops_asking_stops_the_run() -> None:
    run = make_run("closed", steps=20)
    reports = until(execute(run), 5)
    next(reports)
    reports.close()  # type: ignore[attr-defined]
    assert read_state(run).status == "stopped"
    assert '"step": 6,' in run.checkpoint.read_text(encoding="utf-8")
    list(execute(run))
    assert [line["step"] for line in run.history()] == [5, 10, 15, 20]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_polite_stop(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    run = make_run("signalled", steps=20)
    seen = []
    for report in execute(run):
        seen.append(report.step)
        if report.step == 7:
            os.kill(os.getpid(), number)
    assert seen[-1] == 7
    assert read_state(run).status == "stopped"
    assert '"step": 7,' in run.checkpoint.read_text(encoding="utf-8")
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "STOP"])
def test_a_stop_ends_what_a_run_prepares_before_its_first_report(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading images, loading a network and compiling it report nothing, and may take minutes."""
    prepared = []

    def run_slowly(config: counting.Config, folder: RunFolder) -> Iterator[Progress]:
        if how == "STOP":
            folder.stop.touch()
        else:
            os.kill(os.getpid(), signal.Signals[how])
        time.sleep(10)  # a read, or a long wait, that Python cannot look up from
        prepared.append(True)
        yield Progress(step=1, steps=1)

    monkeypatch.setattr(counting, "run", run_slowly)
    run = make_run("preparing", steps=20)
    run.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    run.checkpoint.write_text("as it was", encoding="utf-8")
    assert list(execute(run)) == []
    assert not prepared
    assert read_state(run).status == "stopped"
    assert run.checkpoint.read_text(encoding="utf-8") == "as it was"


def test_a_second_ctrl_c_does_not_wait() -> None:
    run = make_run("impatient", steps=20)
    reports = until(execute(run), 5)
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        reports.throw(KeyboardInterrupt())  # type: ignore[attr-defined]
    assert read_state(run).status == "stopped"


def test_a_report_that_cannot_be_written_is_not_in_the_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    run, whole = make_run("full"), make_run("whole")
    append = RunFolder.append_metrics

    def full(self: RunFolder, report: dict[str, object]) -> None:
        if report["step"] == 10:
            raise OSError(errno.ENOSPC, "No space left on device", str(self.metrics))
        append(self, report)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "append_metrics", full)
        with pytest.raises(RunFailedError, match="The disk is full"):
            list(execute(run))
    assert read_state(run).status == "failed"
    assert '"step": 5,' in run.checkpoint.read_text(encoding="utf-8")
    list(execute(run))
    list(execute(whole))
    assert run.history() == whole.history()


def test_failures_are_sentences_and_keep_the_traceback() -> None:
    for trouble, said in (("nan", "The loss became nan"), ("bug", "ZeroDivisionError"), ("memory", "enough memory")):
        run = make_run(trouble, trouble=trouble)
        with pytest.raises(RunFailedError, match=said) as caught:
            list(execute(run))
        state = read_state(run)
        assert (state.status, state.cause, state.remedy) == ("failed", caught.value.cause, caught.value.remedy)
        assert "counting.py" in state.traceback
        assert state.step == 8
        # A second try is a new stretch: the old cause is gone while it runs.
        again = execute(run)
        next(again)
        assert read_state(run).cause == ""
        with pytest.raises(RunFailedError, match=said):
            list(again)


def test_specifications_that_nobody_can_run() -> None:
    unknown = create_run("unknown", RunSpec(recipe="alchemy", config={}))
    with pytest.raises(RunFailedError, match="no recipe named 'alchemy'"):
        list(execute(unknown))
    wrong = create_run("wrong", RunSpec(recipe="counting", config={"stepz": 3}))
    with pytest.raises(RunFailedError, match="no setting of Config named 'stepz'"):
        list(execute(wrong))
    damaged = make_run("damaged")
    damaged.spec.write_text("{", encoding="utf-8")
    with pytest.raises(RunFailedError, match="no readable"):
        list(execute(damaged))
    assert [read_state(run).status for run in (unknown, wrong, damaged)] == ["failed"] * 3
    assert isinstance(UnknownNameError("recipe", "x", []), LookupError)


def test_two_cannot_work_on_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("owned")
    reports = until(execute(run), 5)
    before = run.state.read_text(encoding="utf-8")
    with pytest.raises(OwnedElsewhereError, match="is being worked on by process"), claim(run, wait_s=0):
        pass
    assert run.state.read_text(encoding="utf-8") == before
    list(reports)
    assert read_state(run).status == "finished"


def test_fast_steps_do_not_wear_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    write = status.write_state
    monkeypatch.setattr(journal, "write_state", lambda *state: (written.append(state), write(*state)))
    list(execute(make_run("fast", steps=2000, per_epoch=100)))
    assert len(written) < 20


def test_the_heart_beats_while_a_step_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "BEAT_EVERY_S", 0.05)
    run = make_run("slow", steps=2, step_s=0.6)
    reports = execute(run)
    next(reports)
    before = read_state(run).heartbeat
    next(reports)
    assert before is not None
    late = read_state(run)
    assert late.heartbeat is not None
    assert late.heartbeat - before > 0.3
    assert late.step == 1  # the second step's own write is throttled: this was the beat
    reports.close()  # type: ignore[attr-defined]


def test_one_long_pause_does_not_move_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pace = journal.Pace()
    for step in range(1, 30):
        now[0] += 300 if step == 12 else 2
        pace.note(step, counted=False)
    assert pace.seconds_per_step() == 2
    # From now on validation, 10 s after every tenth step, counts too.
    for step in range(30, 71):
        now[0] += 2
        pace.note(step, counted=False)
        if step % 10 == 0:
            now[0] += 10
            pace.note(step, counted=True)
    assert pace.seconds_per_step() == pytest.approx(3)


def test_what_torch_hides_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")
    assert "inline_container" in explain(hidden, tmp_path).cause
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
    assert "The disk is full" in explain(hidden, tmp_path).cause
    allocator = RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
    assert "not enough memory" in explain(allocator, tmp_path).cause
