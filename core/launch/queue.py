"""The queue of runs on this machine: one slot per device, the oldest first, moved on by whoever looks.

There is no server. `advance` is called when a run is submitted, when a worker ends and when the app looks; a lock lets
one process at a time do it. `python -m core.launch.queue` does it once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from core.errors import CoreError
from core.launch.launcher import Launcher, LocalLauncher, base_environment
from core.launch.slurm import SlurmLauncher
from core.paths import CHECKOUT, runs_root
from core.runs.failures import explain
from core.runs.owner import OwnedElsewhereError, hold, read_owner, this_host, unwritable
from core.runs.processes import detached
from core.runs.status import RunState, read_state, stored_state, write_state
from core.runs.store import RunFolder, RunSpec, list_runs

# A run of a cluster is asked for when its heartbeat is late, and no cluster wants to be asked all the time.
SILENT_S = 30
ASK_EVERY_S = 10
_asked: dict[str, float] = {}


def launcher_of(folder: RunFolder) -> Launcher:
    """Who starts this run.

    Raises:
        CoreError: its specification cannot be read.
    """
    return SlurmLauncher() if folder.read_spec().launcher == "slurm" else LocalLauncher()


def submit(folder: RunFolder) -> None:
    """Queue the run and start what can be started; a cluster has a queue of its own and gets it at once.

    Raises:
        CoreError: it is queued or running already, or its folder cannot be written to.
        OwnedElsewhereError: a live process works on it, whatever its state says.
    """
    with hold(folder), queue_lock():
        state = read_state(folder, held=True)
        if state.status in ("queued", "running"):
            raise CoreError(f"The run {folder.name!r} is {state.status} already.", "Stop it first.")
        now = time.time()
        waiting = RunState(
            status="queued", step=state.step, steps=state.steps, queued=now, heartbeat=now, host=this_host()
        )
        try:
            folder.stop.unlink(missing_ok=True)
            folder.proc.unlink(missing_ok=True)
            write_state(folder, waiting)
        except OSError as error:
            raise unwritable(folder, error) from error
        if folder.read_spec().launcher == "slurm":
            _start(folder, ())
    advance()


def advance() -> list[RunFolder]:
    """Write down which runs died, then start the oldest queued run for each free device; returns those started.

    A run that cannot be started fails with its cause, and the queue goes on.
    """
    if not os.access(runs_root(), os.W_OK):
        return []
    with queue_lock():
        _reconcile()
        free = list(devices()) if _waiting() else []
        for state in _running():
            free = [device for device in free if device not in state.device.split(",")]
        started = []
        for folder in _waiting():
            try:
                wanted, count = candidates(folder.read_spec())
            except CoreError as error:
                _fail(folder, error)
                continue
            chosen = [device for device in free if device in wanted][:count]
            if len(chosen) == count:
                free = [device for device in free if device not in chosen]
                if _launch(folder, chosen):
                    started.append(folder)
                else:
                    free += chosen
            else:
                # What is free of it is kept for this run: smaller ones behind it would push it back for ever.
                free = [device for device in free if device not in wanted]
        return started


def advance_elsewhere() -> None:
    """Let a fresh process move the queue: this one ends, and it sees only the devices of its own run."""
    if any(True for _ in _waiting()):
        subprocess.Popen(
            [sys.executable, "-m", "core.launch.queue"],
            cwd=CHECKOUT,
            env=base_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **detached(),
        )


def reconcile() -> list[RunFolder]:
    """Write down which runs are dead though their state says otherwise; returns them. Live ones are left alone."""
    if not os.access(runs_root(), os.W_OK):
        return []
    with queue_lock():
        return _reconcile()


def devices() -> tuple[str, ...]:
    """The slots of this machine; GPUs first, since a run that may choose takes the first that is free."""
    # torch takes seconds to import, so it is asked only where there may be a GPU.
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists() or shutil.which("nvidia-smi")):
        if sys.platform != "darwin":
            return ("cpu",)
        from torch.backends import mps

        return ("mps", "cpu") if mps.is_available() else ("cpu",)
    import torch

    return (*(f"cuda:{index}" for index in range(torch.cuda.device_count())), "cpu")


def candidates(spec: RunSpec) -> tuple[tuple[str, ...], int]:
    """The slots that would do for a run, and how many of them it takes.

    "auto" means a GPU where the machine has one, even if it must be waited for.

    Raises:
        CoreError: this machine does not have them.
    """
    here = devices()
    gpus = tuple(device for device in here if device != "cpu")
    wanted = (gpus or here) if spec.device == "auto" else gpus if spec.device == "cuda" else (spec.device,)
    # Processes on the CPU share it.
    count = 1 if "cpu" in wanted else spec.processes
    if not wanted or not set(wanted) <= set(here):
        raise CoreError(f"This machine has no device {spec.device!r}.", f"It has {', '.join(here)}; clone the run.")
    if count > len(wanted):
        raise CoreError(
            f"{spec.processes} processes need as many devices; {spec.device!r} has {len(wanted)} here.",
            "Clone the run with fewer processes.",
        )
    return wanted, count


@contextmanager
def queue_lock() -> Iterator[None]:
    """One process at a time decides what starts, stops and is deleted.

    Raises:
        CoreError: the folder of all runs cannot be written to.
    """
    try:
        runs_root().mkdir(parents=True, exist_ok=True)
        lock = FileLock(runs_root() / ".queue.lock", thread_local=False)
        lock.acquire(timeout=120)
    except OSError as error:
        raise CoreError(
            f"{runs_root()} cannot be written to ({error.strerror or error}).",
            "Make it writable, or set VITRINE_HOME to a folder that is.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _waiting() -> list[RunFolder]:
    """The queued runs of this machine, oldest first."""
    queued = [
        (state.queued or 0, folder) for folder in list_runs() if _is_ours(state := stored_state(folder), "queued")
    ]
    local = [(since, folder) for since, folder in queued if not _job(folder)]
    return [folder for _, folder in sorted(local, key=lambda pair: (pair[0], pair[1].name))]


def _running() -> list[RunState]:
    """States of the live runs that take a device of this machine."""
    return [state for folder in list_runs() if _is_ours(state := read_state(folder), "running") and not _job(folder)]


def _is_ours(state: RunState, status: str) -> bool:
    return state.status == status and state.host == this_host()


def _job(folder: RunFolder) -> str:
    owner = read_owner(folder)
    return owner.job if owner else ""


def _launch(folder: RunFolder, chosen: list[str]) -> bool:
    """Start a queued run unless a live process works on it already: whoever holds it says what it is."""
    try:
        with hold(folder, wait_s=0):
            return _start(folder, chosen)
    except OwnedElsewhereError:
        return False
    except CoreError as error:
        _fail(folder, error)
        return False


def _start(folder: RunFolder, chosen: list[str] | tuple[str, ...]) -> bool:
    """Start a queued run that is held; if that is impossible it fails with the cause."""
    state = stored_state(folder)
    now = time.time()
    try:
        launcher = launcher_of(folder)
        if isinstance(launcher, LocalLauncher):
            # Before the process: it finds its device here, and no second one is started while it begins.
            folder.proc.unlink(missing_ok=True)
            running = replace(state, status="running", started=now, heartbeat=now, text="starting")
            write_state(folder, replace(running, device=",".join(chosen)))
        launcher.submit(folder, chosen)
    except (CoreError, OSError) as error:
        _fail(folder, error)
        return False
    return True


def _fail(folder: RunFolder, error: Exception) -> None:
    failure, now = explain(error, folder.path), time.time()
    state = replace(stored_state(folder), status="failed", text="", ended=now, heartbeat=now)
    try:
        write_state(folder, replace(state, cause=failure.cause, remedy=failure.remedy, traceback=failure.traceback))
    except OSError:
        # Nothing can be written there; the folder keeps saying that it is queued, and starting it is tried again later.
        return


def _reconcile() -> list[RunFolder]:
    dead = []
    for folder in list_runs():
        written = stored_state(folder)
        if written.status not in ("running", "queued"):
            continue
        state = read_state(folder)
        if _job(folder) and (state.status != "running" or time.time() - (state.heartbeat or 0) > SILENT_S):
            state = _ask_cluster(folder, state)
        if state != written:
            try:
                write_state(folder, state)
            except OSError:
                continue  # it reads as what it is anyway
            dead += [folder] if state.status not in ("running", "queued") else []
    return dead


def _ask_cluster(folder: RunFolder, state: RunState) -> RunState:
    """The state of a run in a cluster's hands: the scheduler knows of requeued and of cancelled jobs."""
    job, now = _job(folder), time.monotonic()
    if now - _asked.get(job, -ASK_EVERY_S) < ASK_EVERY_S:
        return stored_state(folder)
    _asked[job] = now
    found = SlurmLauncher().poll(folder)
    if found == "waiting" and state.status != "queued":
        return replace(
            stored_state(folder), status="queued", text=f"waiting in Slurm, job {job}", heartbeat=time.time()
        )
    state = read_state(folder)
    if found == "gone" and state.status in ("queued", "running"):
        return replace(
            state,
            status="interrupted",
            ended=time.time(),
            text="",
            cause=f"Slurm job {job} has ended, the run has not: the job was cancelled or its node failed.",
            remedy="log.txt and the folder slurm of the run may say more; resume continues from the last checkpoint.",
        )
    return stored_state(folder) if found == "alive" else state


if __name__ == "__main__":
    advance()
