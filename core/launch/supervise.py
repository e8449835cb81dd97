"""What happens around a recipe while it works on a run, told which recipes there are: a sweep is one, and has trials.

Reports pass through; on their way metrics, TensorBoard events, state and heartbeat are written, and a wish to stop is
heard. Of several processes (`torch.distributed`) the first writes, and all stop at the same step.
"""

from __future__ import annotations

import _thread
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from core.configs import from_dict
from core.errors import RunFailedError
from core.experiments.spec import Recipe
from core.files import write_atomically
from core.launch.journal import Journal
from core.reports import Progress
from core.runs.failures import explain
from core.runs.owner import claim
from core.runs.processes import stop_signals
from core.runs.status import Status, read_failure, stored_state, write_state
from core.runs.store import RunFolder

FindRecipe = Callable[[str], Recipe]


def supervise(folder: RunFolder, find: FindRecipe) -> Iterator[Any]:
    """`core.launch.execute.execute` for those recipes that `find` knows.

    Raises:
        OwnedElsewhereError: another live process works on the run; nothing was changed.
        RunFailedError: the run failed; the same cause and remedy are in its state.
    """
    if int(os.environ.get("RANK", "0")) > 0:
        yield from _assist(folder, find)
        return
    with claim(folder), _stop_signals() as signals:
        try:
            journal = Journal(folder)
        except OSError as error:
            raise _fail(folder, error) from error
        with journal:
            yield from _work(folder, find, journal, signals)


def _work(folder: RunFolder, find: FindRecipe, journal: Journal, signals: _Signals) -> Iterator[Any]:
    wishes, turns = _Wishes(folder, signals), _Turns()
    reports: Generator[Any, None, None] | None = None
    try:
        if wishes.now() and _alone():
            journal.end("stopped")
            return
        reports = _start(folder, find, journal.device)
        with signals.interrupting(folder.stop):
            first = list(islice(reports, 1))
        for report in chain(first, reports):
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
    except _Interrupted:
        journal.end(wishes.outcome())
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


def _assist(folder: RunFolder, find: FindRecipe) -> Iterator[Any]:
    """Take part as one of the other processes: same recipe, nothing written, stop when the first says so."""
    with _stop_signals():
        try:
            reports, turns = _start(folder, find, ""), _Turns()
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


def _start(folder: RunFolder, find: FindRecipe, device: str) -> Generator[Any, None, None]:
    """The recipe's generator; nothing has been computed yet."""
    spec = folder.read_spec()
    recipe = find(spec.recipe)
    config: Any = from_dict(recipe.config, spec.config)
    if device.startswith("cuda:") and _alone():
        import torch

        # "cuda" then means the one that the queue chose.
        torch.cuda.set_device(int(device.removeprefix("cuda:")))
    if not folder.checkpoint.is_file() and int(os.environ.get("RANK", "0")) == 0 and folder.metrics.is_file():
        folder.truncate_metrics(-1)  # it begins anew: what an earlier start reported will be computed again
        folder.losses.unlink(missing_ok=True)
    return recipe.run(config, folder)  # type: ignore[return-value]


def _fail(folder: RunFolder, error: Exception, journal: Journal | None = None) -> RunFailedError:
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


class _Wishes:
    """Whether somebody wants the run to stop; the disk is asked at every report, which takes it microseconds."""

    def __init__(self, folder: RunFolder, signals: _Signals) -> None:
        self.folder, self.signals = folder, signals

    def now(self) -> bool:
        return bool(self.signals.received) or self.folder.stop.exists()

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


class _Interrupted(BaseException):
    """A wish to stop, in the middle of what a run prepares. No `Exception`: no recipe may recover from it."""


class _Signals:
    """What asked this process to stop: SIGTERM and the first SIGINT are kept in mind; the second SIGINT interrupts."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.interrupts = False
        self.heard = threading.current_thread() is threading.main_thread()

    def __call__(self, number: int, _frame: object) -> None:
        if number == signal.SIGINT and signal.SIGINT in self.received:
            raise KeyboardInterrupt
        self.received.append(number)
        if self.interrupts:
            self.interrupts = False
            raise _Interrupted

    @contextmanager
    def interrupting(self, stop: Path) -> Iterator[None]:
        """Meanwhile any of them, or the file `stop`, ends at once whatever goes on: nothing of it has to be saved.

        Reading images, loading a network and compiling it take minutes and report nothing.
        """
        if not (self.heard and _alone()):
            yield
            return
        through = threading.Event()
        looks = threading.Thread(target=self._look, args=(stop, through), daemon=True, name="stop")
        self.interrupts = True
        looks.start()
        try:
            yield
        finally:
            self.interrupts = False
            through.set()

    def _look(self, stop: Path, through: threading.Event) -> None:
        while not through.wait(0.3):
            if stop.exists():
                if hasattr(signal, "pthread_kill"):  # which wakes a main thread that waits for something
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
                else:
                    _thread.interrupt_main(signal.SIGTERM)
                return


@contextmanager
def _stop_signals() -> Iterator[_Signals]:
    """What asks this process to stop; outside of the main thread no signal does."""
    signals = _Signals()
    if not signals.heard:
        yield signals
        return
    previous = {number: signal.signal(number, signals) for number in stop_signals()}
    try:
        yield signals
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


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
