"""The process that works on one run: `python -m core.launch.worker DIR`, the same on every launcher.

It knows nothing of whoever started it: what to do is in the folder, and so is all that it says. Its exit status is 0
after finishing or stopping, 1 after failing, 2 if another live process works on the run.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

from core.launch.queue import advance_elsewhere
from core.runs.failures import explain
from core.runs.owner import OwnedElsewhereError, claim
from core.runs.status import stored_state, write_state
from core.runs.store import RunFolder

REFUSED = 2


def main(path: str) -> int:
    """Work on the run in `path` until it ends, then let the queue go on."""
    folder = RunFolder(Path(path).resolve())
    first = os.environ.get("RANK", "0") == "0"
    if hasattr(signal, "SIGUSR2"):
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # Slurm sends it to all processes of a job; one of them answers
    print(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}, process {os.getpid()}", flush=True)
    try:
        code = _work(folder, quiet=not first)
    except OwnedElsewhereError as error:
        print(error, file=sys.stderr)
        code = REFUSED
    except Exception:
        traceback.print_exc()
        code = 1
    if first and os.environ.get("VITRINE_LAUNCHER") == "local":
        advance_elsewhere()
    return code


def _work(folder: RunFolder, *, quiet: bool) -> int:
    try:
        from core.experiments.run_precision import read_precision
        from core.launch.execute import execute
        from core.reports import Progress, as_line
    except Exception as error:  # a broken installation is a failed run, not a silent one
        failure, now = explain(error, folder.path), time.time()
        with claim(folder):  # else this would be said of a run that another process works on
            state = replace(stored_state(folder), status="failed", text="", ended=now, cause=failure.cause)
            write_state(folder, replace(state, remedy=failure.remedy, traceback=failure.traceback))
        raise
    told = quiet
    for report in execute(folder):
        if not told and (settled := read_precision(folder)) is not None:
            print(settled.sentence(), flush=True)
            told = True
        if not quiet and not isinstance(report, Progress):
            print(as_line(report), flush=True)
    _leave_group()
    return 0


def _leave_group() -> None:
    """Part from the other processes properly; torch complains otherwise."""
    if "torch" not in sys.modules:
        return
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
