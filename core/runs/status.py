"""What a run is doing: `state.json`, read so that damage, crashes and dead processes are facts and not exceptions."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from core.configs import from_dict
from core.errors import CoreError
from core.files import write_json
from core.json_files import read_json
from core.runs.owner import is_alive, is_held, read_owner
from core.runs.store import RunFolder

Status = Literal["queued", "running", "stopped", "finished", "failed", "interrupted"]
TERMINAL: frozenset[Status] = frozenset({"stopped", "finished", "failed", "interrupted"})
RESUMABLE: frozenset[Status] = frozenset({"stopped", "failed", "interrupted"})

# A heartbeat comes every few seconds. A process of this machine is looked up instead; this is for other machines,
# whose clock may differ and whose shared disk may lag.
STALE_S = 600
# Between being marked as running and having a process there are milliseconds; this is generous.
STARTING_S = 30
_LATEST = 1e11  # seconds since 1970: in three thousand years


@dataclass(frozen=True, kw_only=True)
class RunState:
    """Where a run is; times are seconds since 1970.

    Attributes:
        step: steps done, of `steps`.
        text: what is going on, where a count does not say it.
        heartbeat: last sign of life.
        queued: when it was put into the queue; the oldest is started first.
        started: when it last began to run.
        ended: when it last ended.
        device: what it computes on, such as "cpu" or "cuda:0,cuda:1".
        host: the machine whose queue holds it or that runs it.
        seconds_per_step: recent pace, validation included once it was seen.
        cause: why it ended, unless it simply finished.
        remedy: what to do about that.
        traceback: for whoever mends the code.
    """

    status: Status
    step: int = 0
    steps: int = 0
    text: str = ""
    heartbeat: float | None = None
    queued: float | None = None
    started: float | None = None
    ended: float | None = None
    device: str = ""
    host: str = ""
    seconds_per_step: float | None = None
    cause: str = ""
    remedy: str = ""
    traceback: str = ""


def read_state(folder: RunFolder, *, held: bool = False) -> RunState:
    """What is known about the run; never raises.

    `held`: the caller holds the run, so that nobody else lives who does.

    A run that says it is running although its process is gone reads as interrupted: the file is only what was last
    written. `core.launch.queue.reconcile` writes down what this finds.
    """
    state = stored_state(folder)
    if state.status != "running" or (cause := _cause_of_death(folder, state)) is None:
        return state
    if not held and is_held(folder):
        return state  # the lock dies with its holder, so somebody lives, whatever proc.json says
    # It may have ended between the two looks.
    state = stored_state(folder)
    if state.status != "running":
        return state
    failure, ended = read_failure(folder), replace(state, text="", ended=state.heartbeat)
    if failure is not None:
        return replace(ended, status="failed", cause=failure[0], remedy=failure[1], traceback=failure[2])
    if folder.stop.exists():  # what was asked for has happened, if not in the way that was meant
        return replace(
            ended,
            status="stopped",
            cause=f"It was asked to stop, and ended without saving. {cause}",
            remedy="Resume continues from the last checkpoint.",
        )
    return replace(
        ended,
        status="interrupted",
        cause=cause,
        remedy="Resume continues from the last checkpoint. log.txt may say more; if the machine ran out of memory, "
        "clone the run with a smaller batch.",
    )


def status_word(folder: RunFolder, state: RunState) -> str:
    """The status as every list says it: "stopping" from the moment a running run is asked to stop until it has."""
    return "stopping" if state.status == "running" and folder.stop.exists() else state.status


def stored_state(folder: RunFolder) -> RunState:
    """What `state.json` says, whether the process lives or not; a missing or damaged one reads as interrupted."""
    try:
        values = read_json(folder.state)
        # What a newer version wrote besides is left out.
        known = {field.name for field in fields(RunState)}
        state = from_dict(RunState, {key: value for key, value in values.items() if key in known})
        problem = _problem(state)
        if not problem:
            return state
    except FileNotFoundError:
        problem = ""
    except (OSError, ValueError, AttributeError, CoreError) as error:
        problem = f"state.json cannot be read ({error})."
    history = folder.history()
    step, steps = (int(history[-1].get(name, 0)) if history else 0 for name in ("step", "steps"))
    if (folder.model / "card.json").is_file():
        return RunState(status="finished", step=step, steps=steps)
    begun = history or folder.checkpoint.is_file()
    return RunState(
        status="interrupted",
        cause=problem or ("Nothing says how it ended." if begun else "It was created but never started."),
        remedy="Resume continues from the last checkpoint." if begun else "Resume starts it.",
        step=step,
        steps=steps,
    )


def write_state(folder: RunFolder, state: RunState) -> None:
    """Replace `state.json`; readers see the old or the new one."""
    write_json(folder.state, asdict(state))


def eta_seconds(folder: RunFolder) -> float | None:
    """Seconds until the run ends at its recent pace; None while that is not known, or when it does not run."""
    state = read_state(folder)
    if state.status != "running" or state.seconds_per_step is None:
        return None
    return max(0, state.steps - state.step) * state.seconds_per_step


def read_failure(folder: RunFolder) -> tuple[str, str, str] | None:
    """Cause, remedy and traceback of a process other than the writing one, which fell and took the others along."""
    try:
        values: dict[str, Any] = read_json(folder.failure)
        return str(values["cause"]), str(values["remedy"]), str(values["traceback"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _problem(state: RunState) -> str:
    """What about a state cannot be; empty if it can."""
    if state.status not in get_args(Status):
        return f"state.json names the unknown status {state.status!r}."
    if min(state.step, state.steps) < 0:
        return "state.json names a negative number of steps."
    times = (state.heartbeat, state.queued, state.started, state.ended, state.seconds_per_step)
    if any(each is not None and not (math.isfinite(each) and 0 <= each < _LATEST) for each in times):
        return "state.json names a time that cannot be."
    return ""


def _cause_of_death(folder: RunFolder, state: RunState) -> str | None:
    """Why a run that says it is running is not; None if it may well be."""
    silent_s = time.time() - (state.heartbeat or 0)
    owner = read_owner(folder)
    if owner is None or not owner.pid:
        return None if silent_s < STARTING_S else "It was about to start when whoever started it ended."
    alive = is_alive(owner)
    if alive is None:
        minutes = f"{silent_s / 60:.0f} minutes"
        return None if silent_s < STALE_S else f"Nothing was heard from {owner.host} for {minutes}."
    return None if alive else "Its process ended without a word: it was killed, or the machine went down."
