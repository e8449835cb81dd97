"""Putting a finished file or folder in its place, where others may be reading what is there."""

from __future__ import annotations

import os
import time
from pathlib import Path

ON_WINDOWS = os.name == "nt"

# A page reads a run's state in milliseconds; a virus scanner takes a second.
_PATIENCE_S, _PAUSE_S = 3.0, 0.02


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
