"""Lists of labels pasted out of code: Python, JSON, NumPy, pandas."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

_MOST_LETTERS = 2_000_000
_ASSIGNED = re.compile(r"\A[A-Za-z_][\w.]*\s*(?::[^=\n]*)?=\s*")
_CALL = re.compile(r"(?:\w+\.)?(?:array|tuple|list|set|frozenset|Index|Series)\((.*)\)", re.DOTALL)
_DTYPE = re.compile(r"\]\s*,\s*(?:dtype|name|shape)\s*=.*$", re.DOTALL)
_NEIGHBOURS = re.compile(r"""(?<=['"])\s+(?=['"])""")
_STRAIGHT = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "«": '"', "»": '"'})


def pasted_list(text: str) -> list[str] | None:
    """The items of a list or dictionary in code, in order; None where the text is no such thing.

    Of `{0: "cat"}` the values count, of `{"cat": 0}` the keys, both by number.
    """
    body = _ASSIGNED.sub("", text.strip(), count=1).strip().rstrip(";,").rstrip()
    if called := _CALL.fullmatch(body):
        body = _DTYPE.sub("]", called[1].strip())
    if not body or body[0] not in "[({" or len(body) > _MOST_LETTERS:
        return None
    for written in _ways_to_write(body):
        for read in (json.loads, ast.literal_eval):
            names = _names(_read(read, written))
            if names is not None:
                return names
    return None


def _ways_to_write(body: str) -> Iterator[str]:
    """The text itself, and with what pasting does to it undone: no commas, curly quotes, its end cut off."""
    closed = body if body[-1] in "])}" else body + {"[": "]", "(": ")", "{": "}"}[body[0]]
    for each in dict.fromkeys((closed, closed.translate(_STRAIGHT))):
        # NumPy prints no commas; Python would glue the neighbours together.
        yield _NEIGHBOURS.sub(", ", each) if "," not in each else each


def _read(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _names(found: Any) -> list[str] | None:
    """What of a parsed value are labels."""
    if isinstance(found, dict) and found:
        if len(found) == 1 and isinstance(inner := next(iter(found.values())), list | dict):
            return _names(inner)
        for name in ("labels", "classes", "names", "categories", "class_names", "id2label"):
            if isinstance(found.get(name), list | dict):
                return _names(found[name])
        pairs = list(found.items())
        if all(isinstance(value, int) for _, value in pairs):
            return [str(key) for key, _ in sorted(pairs, key=lambda pair: pair[1])]
        if all(str(key).isdecimal() and isinstance(value, str) for key, value in pairs):
            return [value for _, value in sorted(pairs, key=lambda pair: int(pair[0]))]
        return [str(key) for key, _ in pairs]
    if not isinstance(found, list | tuple | set):
        return None
    names = []
    for each in sorted(found, key=str) if isinstance(found, set) else found:
        if isinstance(each, dict):
            each = next((each[key] for key in ("label", "name", "class", "title") if key in each), None)
        if isinstance(each, bool) or not isinstance(each, str | int | float):
            return None
        names.append(str(each))
    return names
