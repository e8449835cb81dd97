"""What people do with runs: stop, resume, clone, delete; from any process, whoever started the run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from core.configs import from_dict, parse_overrides
from core.errors import CoreError
from core.files import switch
from core.launch.queue import launcher_of, queue_lock, submit
from core.launch.recipes import find_recipe
from core.paths import runs_root
from core.runs.owner import is_claimed, unwritable
from core.runs.status import RESUMABLE, TERMINAL, read_state, stored_state, write_state
from core.runs.store import RunFolder, RunSpec, create_run


def request_stop(folder: RunFolder, *, force: bool = False, grace_s: float = 30) -> None:
    """Ask the run to stop: a queued one does at once, a running one saves its checkpoint before the next step.

    With `force` this waits up to `grace_s` and then ends the process; the run can be resumed from its last checkpoint.

    Raises:
        CoreError: it has ended already, cannot be written to, or runs where it cannot be ended from.
    """
    with queue_lock():
        state = read_state(folder)
        if state.status in TERMINAL:
            raise CoreError(f"The run {folder.name!r} is {state.status}: there is nothing to stop.")
        try:
            folder.stop.touch()
            if state.status == "queued":
                launcher_of(folder).cancel(folder, 0)
                write_state(folder, replace(state, status="stopped", text="", ended=time.time()))
                return
        except OSError as error:
            raise unwritable(folder, error) from error
    if not force:
        return
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline:
        if read_state(folder).status in TERMINAL:
            return
        time.sleep(0.2)
    launcher_of(folder).cancel(folder, grace_s=5)
    with queue_lock():
        state = read_state(folder)
        if stored_state(folder).status == "running" and state.status in TERMINAL:
            cause = f"It did not react within {grace_s:.0f} s and was ended by force."
            write_state(folder, replace(state, status="stopped", cause=cause, ended=time.time()))


def resume(folder: RunFolder) -> None:
    """Put a run that has ended early back into the queue; it continues from its checkpoint.

    Raises:
        CoreError: it is finished, or has not ended.
    """
    state = read_state(folder)
    if state.status == "finished":
        raise CoreError(f"The run {folder.name!r} is finished: there is nothing to resume.", "Clone it to train again.")
    if state.status not in RESUMABLE:
        raise CoreError(f"The run {folder.name!r} is {state.status} already.", "Stop it first.")
    submit(folder)


def clone(folder: RunFolder, name: str, overrides: Sequence[str] = ()) -> RunFolder:
    """A new run called `name` with the same specification, changed by `key=value` texts; it is not started yet.

    Raises:
        CoreError: the name is taken, or a setting is unknown or out of bounds.
    """
    spec = folder.read_spec()
    kind = find_recipe(spec.recipe).config
    config: Any = parse_overrides(kind, list(overrides), from_dict(kind, spec.config))
    return create_run(
        name,
        RunSpec.of(
            spec.recipe,
            config,
            device=spec.device,
            processes=spec.processes,
            launcher=spec.launcher,
            launcher_options=spec.launcher_options,
            parent=folder.name,
        ),
    )


def delete(folder: RunFolder) -> None:
    """Remove the run with all that it wrote.

    Raises:
        CoreError: it is queued or alive, or cannot be removed.
    """
    with queue_lock():
        status = read_state(folder).status
        if status not in TERMINAL or is_claimed(folder):
            raise CoreError(f"The run {folder.name!r} is still {status}.", "Stop it first, and wait for its end.")
        try:
            # Out of the list in one step: a half-deleted run would look damaged.
            gone = runs_root() / f".deleted-{folder.name}-{time.time_ns()}"
            switch(folder.path, gone)
        except OSError as error:
            raise unwritable(folder, error) from error
    shutil.rmtree(gone, ignore_errors=True)
