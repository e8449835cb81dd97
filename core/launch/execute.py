"""One run from its specification to a terminal state, whoever iterates: the worker, the command line, a sweep.

Reports pass through; on their way metrics, TensorBoard events, state and heartbeat are written, and a wish to stop is
heard. Of several processes (`torch.distributed`) the first writes, and all stop at the same step.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from statistics import median
from typing import Any

from core.configs import from_dict
from core.errors import RunFailedError
from core.experiments.catalogue import find_recipe
from core.reports import Progress, as_values
from core.runs.failures import explain
from core.runs.owner import claim, this_host
from core.runs.processes import stop_signals
from core.runs.status import RunState, Status, read_failure, stored_state, write_state
from core.runs.store import RunFolder, write_atomically

WRITE_EVERY_S = 1.0
BEAT_EVERY_S = 10.0
# Enough for a last state.json with a traceback on a disk that has filled up.
RESERVE_BYTES = 64 * 1024


def execute(folder: RunFolder) -> Iterator[Any]:
    """Work on the run and yield its reports until it is finished, stopped or failed; `state.json` says which.

    A stop (the file STOP, SIGTERM, SIGINT, closing this generator) lets the recipe save its checkpoint first. A second
    SIGINT does not wait for that.

    Raises:
        OwnedElsewhereError: another live process works on the run; nothing was changed.
        RunFailedError: the run failed; the same cause and remedy are in its state.
    """
    if int(os.environ.get("RANK", "0")) > 0:
        yield from _assist(folder)
        return
    with claim(folder), _stop_signals() as signalled:
        try:
            journal = _Journal(folder)
        except OSError as error:
            raise _fail(folder, error) from error
        with journal:
            yield from _work(folder, journal, signalled)


def _work(folder: RunFolder, journal: _Journal, signalled: Callable[[], bool]) -> Iterator[Any]:
    wishes, turns = _Wishes(folder, signalled), _Turns()
    reports: Generator[Any, None, None] | None = None
    try:
        if wishes.now() and _alone():
            journal.end("stopped")
            return
        reports = _start(folder, journal.device)
        for report in reports:
            try:
                journal.note(report)
            except OSError as error:
                # Not closed but thrown at: a checkpoint must not include a report that could not be written.
                reports.throw(error)
            yield report
            if turns.is_next(report) and _agreed(wishes.now()):
                journal.say("saving the checkpoint")
                reports.close()
                journal.end(wishes.outcome())
                return
        journal.end("finished")
    except GeneratorExit:
        # Whoever iterated has had enough.
        try:
            if reports is not None:
                reports.close()
        except Exception as error:
            raise _fail(folder, error, journal) from error
        journal.end("stopped")
        raise
    except KeyboardInterrupt as error:
        if reports is not None:
            with suppress(BaseException):
                reports.throw(error)  # as above: no checkpoint from here
        journal.end("stopped", cause="It was interrupted twice, so nothing was saved at the end.")
        raise
    except Exception as error:
        raise _fail(folder, error, journal) from error


def _assist(folder: RunFolder) -> Iterator[Any]:
    """Take part as one of the other processes: same recipe, nothing written, stop when the first says so."""
    with _stop_signals():
        try:
            reports, turns = _start(folder, ""), _Turns()
            for report in reports:
                yield report
                if turns.is_next(report) and _agreed(False):
                    reports.close()
                    return
        except Exception as error:
            failure = explain(error, folder.path)
            # A broken connection only means that another process fell first.
            if not any(word in str(error).lower() for word in ("gloo", "nccl", "connection")):
                values = {"cause": failure.cause, "remedy": failure.remedy, "traceback": failure.traceback}
                with suppress(OSError):
                    write_atomically(folder.failure, json.dumps(values))
            raise failure from error


def _start(folder: RunFolder, device: str) -> Generator[Any, None, None]:
    """The recipe's generator; nothing has been computed yet."""
    spec = folder.read_spec()
    recipe = find_recipe(spec.recipe)
    config: Any = from_dict(recipe.config, spec.config)
    if device.startswith("cuda:") and _alone():
        import torch

        # "cuda" then means the one that the queue chose.
        torch.cuda.set_device(int(device.removeprefix("cuda:")))
    if not folder.checkpoint.is_file() and int(os.environ.get("RANK", "0")) == 0 and folder.metrics.is_file():
        folder.truncate_metrics(-1)  # it begins anew: what an earlier start reported will be computed again
    return recipe.run(config, folder)  # type: ignore[return-value]


def _fail(folder: RunFolder, error: Exception, journal: _Journal | None = None) -> RunFailedError:
    """Write down why the run failed, on a full disk too, and return it."""
    failure = explain(error, folder.path)
    earlier = read_failure(folder)
    if earlier is not None:  # another process fell first, and this one over it
        failure = RunFailedError(*earlier)
    try:
        if journal is None:
            (folder.path / ".reserve").unlink(missing_ok=True)
            now, state = time.time(), stored_state(folder)
            state = replace(state, status="failed", text="", ended=now, heartbeat=now, cause=failure.cause)
            write_state(folder, replace(state, remedy=failure.remedy, traceback=failure.traceback))
        else:
            journal.end("failed", cause=failure.cause, remedy=failure.remedy, traceback=failure.traceback)
    except OSError as unwritten:
        print(f"state.json could not be written either: {unwritten}", file=sys.stderr)
    return failure


class _Journal:
    """All that is written about a run while it runs."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        self.pace = _Pace()
        self.events: Any = None
        self.written = 0.0
        self.over = threading.Event()
        before, now = stored_state(folder), time.time()
        # The queue has chosen a device for a run that it has marked as running.
        self.device = before.device if before.status == "running" and before.device else _device_of(folder)
        self.state = RunState(
            status="running",
            step=before.step,
            steps=before.steps,
            heartbeat=now,
            queued=before.queued,
            started=now,
            device=self.device,
            host=this_host(),
            text="starting",
        )
        self.reserve = folder.path / ".reserve"
        folder.failure.unlink(missing_ok=True)
        write_state(folder, self.state)
        self.reserve.write_bytes(bytes(RESERVE_BYTES))

    def __enter__(self) -> _Journal:
        self.beating = threading.Thread(target=self._beat, daemon=True, name="heartbeat")
        self.beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.beating.join()

    def note(self, report: Any) -> None:
        """Write what `report` says: a line of metrics, or only how far the run is."""
        counted = not isinstance(report, Progress)
        self.pace.note(report.step, counted=counted)
        if counted:
            values = as_values(report)
            self.folder.append_metrics(values)
            self._add_scalars(values)
        elif self.events is None:
            self._open_events(report.step)
        with self.lock:
            self.state = replace(
                self.state,
                step=report.step,
                steps=report.steps,
                text=getattr(report, "text", ""),
                seconds_per_step=self.pace.seconds_per_step(),
            )
            if time.monotonic() - self.written >= WRITE_EVERY_S:
                self._write()

    def say(self, text: str) -> None:
        """Show `text` as what is going on."""
        with self.lock:
            self.state = replace(self.state, text=text)
            self._write()

    def end(self, status: Status, *, cause: str = "", remedy: str = "", traceback: str = "") -> None:
        """Write the last state; nothing is written afterwards."""
        self.over.set()
        ended = None if status == "queued" else time.time()
        with self.lock:
            self.state = replace(
                self.state, status=status, text="", ended=ended, cause=cause, remedy=remedy, traceback=traceback
            )
            self.reserve.unlink(missing_ok=True)
            self._write()
        if self.events is not None:
            with suppress(OSError):  # on a full disk its last lines are lost; metrics.jsonl has them
                self.events.close()

    def _write(self) -> None:
        self.written = time.monotonic()
        self.state = replace(self.state, heartbeat=time.time())
        write_state(self.folder, self.state)

    def _beat(self) -> None:
        """A sign of life also while one step takes minutes."""
        while not self.over.wait(BEAT_EVERY_S / 2):
            with self.lock:
                if not self.over.is_set() and time.monotonic() - self.written >= BEAT_EVERY_S:
                    with suppress(OSError):  # the next report meets the same trouble and ends the run properly
                        self._write()

    def _open_events(self, step: int) -> None:
        if not _has_tensorboard():  # an extra: metrics.jsonl holds the same numbers
            return
        from torch.utils.tensorboard import SummaryWriter

        # What an interrupted stretch wrote at or after this step is computed again and must not show twice.
        self.events = SummaryWriter(str(self.folder.events), purge_step=step, flush_secs=10)

    def _add_scalars(self, values: dict[str, Any]) -> None:
        if self.events is None:
            self._open_events(values["step"])
        if self.events is None:
            return
        for name, value in values.items():
            if name not in ("step", "steps", "epoch", "epochs") and isinstance(value, int | float):
                self.events.add_scalar(name, value, values["step"])
        self.events.flush()


@cache
def _has_tensorboard() -> bool:
    return find_spec("tensorboard") is not None


class _Pace:
    """Seconds per step of late: medians, so that one long pause does not move the estimate."""

    def __init__(self) -> None:
        self.steps: deque[float] = deque(maxlen=100)
        self.stretches: deque[float] = deque(maxlen=5)
        self.last: tuple[int, float] | None = None
        self.last_counted: tuple[int, float] | None = None

    def note(self, step: int, *, counted: bool) -> None:
        now = time.monotonic()
        if self.last is None or self.last_counted is None:
            self.last = self.last_counted = (step, now)
            return
        if step > self.last[0]:
            self.steps.append((now - self.last[1]) / (step - self.last[0]))
            self.last = (step, now)
        if counted and step > self.last_counted[0]:
            # From metrics to metrics: includes the validation between.
            self.stretches.append((now - self.last_counted[1]) / (step - self.last_counted[0]))
            self.last_counted = (step, now)

    def seconds_per_step(self) -> float | None:
        if self.stretches:
            return median(self.stretches)
        return median(self.steps) if len(self.steps) >= 3 else None


class _Wishes:
    """Whether somebody wants the run to stop; the disk is asked at every report, which takes it microseconds."""

    def __init__(self, folder: RunFolder, signalled: Callable[[], bool]) -> None:
        self.folder, self.signalled = folder, signalled

    def now(self) -> bool:
        return self.signalled() or self.folder.stop.exists()

    def outcome(self) -> Status:
        """What the run is after stopping: a job that Slurm takes back is not over, it waits for its next turn."""
        taken_back = os.environ.get("VITRINE_LAUNCHER") == "slurm" and not self.folder.stop.exists()
        return "queued" if taken_back else "stopped"


class _Turns:
    """When the processes ask each other: at every new step, since between steps they may report unequally often."""

    def __init__(self) -> None:
        self.step: int | None = None

    def is_next(self, report: Any) -> bool:
        new = _alone() or report.step != self.step or not isinstance(report, Progress)
        self.step = report.step
        return new


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """SIGTERM and the first SIGINT only set a flag; the second SIGINT interrupts. Outside the main thread: nothing."""
    received: list[int] = []

    def on_signal(number: int, _frame: object) -> None:
        if number == signal.SIGINT and signal.SIGINT in received:
            raise KeyboardInterrupt
        received.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    previous = {number: signal.signal(number, on_signal) for number in stop_signals()}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _device_of(folder: RunFolder) -> str:
    """What a run that no queue has placed computes on."""
    try:
        name = folder.read_spec().device
        if name in ("auto", "cuda"):
            from core.device import pick_device

            name = str(pick_device(name))
    except Exception:
        return ""  # a specification that cannot be read or asks the impossible is reported by whoever uses it
    return "cuda:0" if name == "cuda" else name


def _alone() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) == 1


def _agreed(stop: bool) -> bool:
    """What the first process wants, in all of them; every process must ask at the same reports."""
    if _alone():
        return stop
    import torch
    from torch import distributed

    if not distributed.is_initialized():
        return False
    flag = torch.tensor([int(stop)])
    distributed.broadcast(flag, src=0, group=_cpu_group())
    return bool(flag.item())


@cache
def _cpu_group() -> Any:
    """A group that talks through the CPU: asking whether to stop must not make the GPUs wait."""
    from torch import distributed

    return distributed.new_group(backend="gloo")
