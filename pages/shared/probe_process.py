"""A process that measures something and prints JSON, read so that it can be ended at once."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from queue import Empty, Queue
from typing import Any

from core.errors import CoreError
from core.paths import CHECKOUT
from core.runs.processes import piped

# How soon a click is noticed while the process is silent.
TICK_SECONDS = 0.25


def printed_by(command: list[str], tick: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """What a probing process prints, without its "kind"; `tick` is called while it is silent, and may raise to stop.

    Raises:
        CoreError: it said why it cannot, or died.
    """
    process = piped(command, CHECKOUT)
    printed: Queue[str | None] = Queue()
    # A thread of plain Python: this one must not be stuck in reading when somebody wants to stop.
    reader = threading.Thread(target=_read_into, args=(process, printed), daemon=True)
    reader.start()
    try:
        while True:
            try:
                line = printed.get(timeout=TICK_SECONDS)
            except Empty:
                tick()
                continue
            if line is None:
                break
            if line.startswith("{"):
                values = json.loads(line)
                if values.pop("kind", "") == "error":
                    raise CoreError(values["cause"], values["remedy"])
                yield values
        if process.wait() != 0:
            assert process.stderr is not None
            said = process.stderr.read().strip().splitlines()
            raise CoreError("The measuring process did not get through.", said[-1] if said else "")
    finally:
        # Also when nobody waits for it any more.
        process.kill()
        process.wait()


def _read_into(process: subprocess.Popen[str], printed: Queue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        printed.put(line)
    printed.put(None)
