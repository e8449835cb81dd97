"""Putting a finished file or folder in its place, where others may be reading what is there."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

ON_WINDOWS = os.name == "nt"

# A page reads a run's state in milliseconds; a virus scanner takes a second.
_PATIENCE_S, _PAUSE_S = 3.0, 0.02


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes the place of `path` when the block ends, and leaves nothing behind when it fails.

    A reader sees the old or the new content, never half of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two threads of a process may write the same file: each has a partial file of its own.
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with partial.open("wb") as file:
            yield file
        switch(partial, path)
    finally:
        partial.unlink(missing_ok=True)  # on a full disk half a checkpoint would keep it full


def write_atomically(path: Path, data: str | bytes) -> None:
    """Replace `path`, as `replaced` does."""
    with replaced(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def write_json(path: Path, values: Any) -> None:
    """Replace `path` by `values` as indented JSON, as `replaced` does."""
    write_atomically(path, json.dumps(values, indent=1) + "\n")


def switch(partial: Path | str, target: Path | str) -> None:
    """Rename `partial` to `target`, in the place of what was there: readers see the old or the new, nothing between.

    Windows refuses while anybody has either of them open, so there it is tried again for a while; a file that this
    process still has open or mapped has to be closed first.

    Raises:
        OSError: as from `os.replace`.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            os.replace(partial, target)
            return
        except PermissionError:
            if not ON_WINDOWS or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)
