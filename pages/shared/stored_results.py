"""Results as files: numbers, texts, arrays, tuples, mappings, and dataclasses of such, in one `.npz`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import IO, Any

import numpy as np

INDEX = "index"
OURS = ("core", "pages")  # whose classes are stored; a file of somebody else's could name any


def encoded(value: Any, arrays: list[np.ndarray]) -> Any:
    """`value` in JSON, its arrays put aside into `arrays`.

    Raises:
        TypeError: there is something else in it.
    """
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": f"array_{len(arrays) - 1}"}
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        return {
            "class": f"{kind.__module__}:{kind.__qualname__}",
            "values": {each.name: encoded(getattr(value, each.name), arrays) for each in fields(value)},
        }
    if isinstance(value, dict) and all(type(key) is str for key in value):
        return {"mapping": {key: encoded(each, arrays) for key, each in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [encoded(each, arrays) for each in value]}
    if value is None or type(value) in (str, int, float, bool):
        return value
    raise TypeError(f"{type(value).__name__} cannot be stored with a result.")


def decoded(stored: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What `encoded` made of it.

    Raises:
        ValueError: it names a class that is none of Vitrine's, so `encoded` has not made it.
    """
    if not isinstance(stored, dict):
        return stored
    if "array" in stored:
        return arrays[stored["array"]]
    if "mapping" in stored:
        return {key: decoded(value, arrays) for key, value in stored["mapping"].items()}
    if "tuple" in stored:
        return tuple(decoded(each, arrays) for each in stored["tuple"])
    module, _, name = stored["class"].partition(":")
    if module.partition(".")[0] not in OURS:
        raise ValueError(f"{module} is no module of Vitrine's.")
    kind = getattr(importlib.import_module(module), name)
    return kind(**{each: decoded(value, arrays) for each, value in stored["values"].items()})


def save(file: IO[bytes], index: Any, arrays: list[np.ndarray], *, small: bool) -> None:
    """Write what is encoded in `index`, with its arrays: `small`, which takes a second for 20 MB, or fast."""
    text = np.frombuffer(json.dumps(index).encode(), dtype=np.uint8)
    named = {INDEX: text} | {f"array_{place}": each for place, each in enumerate(arrays)}
    (np.savez_compressed if small else np.savez)(file, **named)
