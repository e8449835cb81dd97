"""JSON of files that anybody may have damaged or written: what is wrong with it is a `ValueError`, nothing else.

A list of runs is only as robust as its worst file, so who reads a file of a run or of a model takes its values from
here: no depth that overflows the stack, no number that no column holds, no text that no page can show.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MOST_BYTES = 64 << 20
_DEEPEST = 32
_LARGEST = 2**63 - 1


def read_json(path: Path) -> Any:
    """The values in a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or none that a file of a run could hold.
    """
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError("it is too large")
    return parse_json(data)


def parse_json(data: bytes) -> Any:
    """The values in `data`: nested at most 32 deep, whole numbers of 64 bits, text that can be written down again.

    Raises:
        ValueError: it is something else.
    """
    try:
        return _checked(json.loads(data), 0)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _checked(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError("it is nested too deeply")
    if isinstance(value, dict):
        return {_written(key): _checked(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_checked(each, depth + 1) for each in value]
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError("a number is too large")
    return _written(value) if isinstance(value, str) else value


def _written(text: str) -> str:
    r"""JSON may hold half of a character (`\ud800`), which no file, terminal or page takes."""
    return text.encode("utf-8", errors="replace").decode("utf-8")
