"""What differs between systems about processes: starting one that outlives its parent, and asking one to end.

Everything else in `core.runs` is the same on Linux, macOS and Windows.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil

ON_WINDOWS = os.name == "nt"


def detached() -> dict[str, Any]:
    """Arguments for `subprocess.Popen`: the process lives on when the terminal or the app that started it ends.

    On POSIX it gets a session of its own, else Ctrl-C in the app's terminal would end it. Windows knows no sessions: it
    gets a group of its own, which Ctrl-C does not reach, and a console of its own without a window, so that closing the
    window of this one does not take it along.
    """
    if not ON_WINDOWS:
        return {"start_new_session": True}
    # By number as well: elsewhere `subprocess` does not have these names.
    group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x00000200)
    no_window = getattr(subprocess, "CREATE_NO_WINDOW", 0x08000000)
    return {"creationflags": group | no_window}


def ask_to_end(process: psutil.Process) -> None:
    """SIGTERM, which lets a run save its checkpoint.

    On Windows this does nothing: "SIGTERM" would be the end without a word, and a console event does not reach a
    process of another console. A run sees the file STOP there, as it does everywhere.

    Raises:
        psutil.NoSuchProcess: it has ended.
    """
    if not ON_WINDOWS:
        process.send_signal(signal.SIGTERM)


def stop_signals() -> tuple[signal.Signals, ...]:
    """Signals that ask a run to stop: SIGTERM, Ctrl-C and, where there is such a thing, Ctrl-Break."""
    also = (signal.Signals(signal.SIGBREAK),) if hasattr(signal, "SIGBREAK") else ()
    return (signal.SIGTERM, signal.SIGINT, *also)


def spoken_in_utf8(environment: dict[str, str]) -> dict[str, str]:
    """`environment` for a Python process whose output is read or kept: in UTF-8, whatever the system's encoding."""
    return {**environment, "PYTHONIOENCODING": "utf-8:backslashreplace"}


def piped(command: list[str], folder: Path) -> subprocess.Popen[str]:
    """A Python process in `folder` whose output is read line by line; it is asked nothing."""
    return subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=spoken_in_utf8(dict(os.environ)),
    )


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
