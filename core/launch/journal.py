"""All that is written about a run while it runs: metrics, TensorBoard events, state and heartbeat."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from statistics import median
from typing import Any

from core.extras import has_extra
from core.reports import Progress, as_values
from core.runs.owner import this_host
from core.runs.status import RunState, Status, stored_state, write_state
from core.runs.store import RunFolder

WRITE_EVERY_S = 1.0
BEAT_EVERY_S = 10.0
# Enough for a last state.json with a traceback on a disk that has filled up.
RESERVE_BYTES = 64 * 1024


class Journal:
    """All that is written about a run while it runs."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        self.pace = Pace()
        self.losses = Losses(folder)
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

    def __enter__(self) -> Journal:
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
        else:
            if self.events is None:
                self._open_events(report.step)
            if report.loss is not None:
                self.losses.add(report)
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
        if not has_extra("tensorboard"):  # an extra: metrics.jsonl holds the same numbers
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


class Losses:
    """The training loss of all steps as `LINES` means: a curve needs no more of them, however long the training."""

    LINES = 400

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.since: list[float] = []

    def add(self, report: Progress) -> None:
        """Take in a loss; every 400th part of the training is written as one line."""
        self.since.append(report.loss or 0.0)
        if report.step % max(1, report.steps // self.LINES) == 0:
            line = {"step": report.step, "steps": report.steps, "loss": sum(self.since) / len(self.since)}
            self.since = []
            with self.folder.losses.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


class Pace:
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
