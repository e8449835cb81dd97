"""Results that come with Vitrine: of the photo and the model that a page opens with, so that it shows them at once.

A fresh server would import PyTorch for them first, which takes most of the time to the first picture. They are what
these functions of the pages return, and are given in their place only where the model's weights, its card and
preprocessing, and the photo are the very same, by digest. `tests/pages/test_first_results.py` computes them again.

They are made anew by: python -m pages.shared.first_results
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from core.models.card import preprocessing_of, read_card
from core.paths import ASSETS, BUNDLED

FILE = ASSETS / "first_results.npz"
COMMAND = "python -m pages.shared.first_results"
# Whose first pictures these are.
PAGES = ("attention",)
Key = tuple[Any, ...]
# By the function that would compute it and all that it is told.
Results = Mapping[tuple[str, Key], Any]
_INDEX = "index"
_ignored = False


def first_result(function: str, key: Key) -> list[Any]:
    """What `function` would return for `key`, which begins with the name of a model, in a list; or an empty one."""
    if _ignored or not (key and isinstance(key[0], str)):
        return []
    found = _read().get(_line(function, key))
    return [] if found is None or not is_of_these_weights(key[0]) else [_decoded(found, _arrays())]


@cache
def is_of_these_weights(name: str) -> bool:
    """Whether the results of the model `name` are of the weights that are here."""
    return _labels().get(name) == label(name)


def label(name: str) -> str:
    """What tells a bundled model: a digest of its weights, its card, and what is made of a photo for it."""
    folder, told = BUNDLED / name, hashlib.sha256()
    try:
        told.update((folder / "model.safetensors").read_bytes())
        told.update((folder / "card.json").read_bytes())
    except OSError:
        return ""
    told.update(repr(preprocessing_of(read_card(folder))).encode())
    return told.hexdigest()


@contextmanager
def ignored() -> Iterator[None]:
    """Everything is computed meanwhile."""
    global _ignored
    _ignored, before = True, _ignored
    try:
        yield
    finally:
        _ignored = before


def computed() -> dict[tuple[str, Key], Any]:
    """The results of all functions that have some here, after the first run of each of the pages."""
    from streamlit.testing.v1 import AppTest
    from streamlit.util import calc_hash

    from core.paths import CHECKOUT
    from pages.shared.results import forget_everything, kept_first

    with ignored():
        forget_everything()
        for page in PAGES:
            app = AppTest.from_file(str(CHECKOUT / "pages" / "navigation.py"), default_timeout=600)
            app._page_hash = calc_hash(page)
            app.run()
            if app.exception:
                raise RuntimeError(f"The page {page} ended in an exception: {app.exception}")
        return kept_first()


def write(results: Results, file: Path) -> None:
    """Keep the results in `file`, with what they are of."""
    arrays: list[np.ndarray] = []
    index = {
        "labels": {name: label(name) for name in sorted({key[0] for _, key in results})},
        "results": {_line(*where): _encoded(result, arrays) for where, result in sorted(results.items(), key=repr)},
    }
    text = np.frombuffer(json.dumps(index).encode(), dtype=np.uint8)
    with io.BytesIO() as buffer:
        np.savez_compressed(buffer, **{_INDEX: text}, **{f"array_{place}": each for place, each in enumerate(arrays)})
        file.write_bytes(buffer.getvalue())


def _line(function: str, key: Key) -> str:
    return f"{function} {json.dumps(key)}"


@cache
def _arrays() -> Mapping[str, np.ndarray]:
    if not FILE.is_file():
        return {}
    with np.load(FILE, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@cache
def _index() -> dict[str, Any]:
    arrays = _arrays()
    found: dict[str, Any] = json.loads(arrays[_INDEX].tobytes()) if arrays else {"labels": {}, "results": {}}
    return found


def _read() -> dict[str, Any]:
    results: dict[str, Any] = _index()["results"]
    return results


def _labels() -> dict[str, str]:
    labels: dict[str, str] = _index()["labels"]
    return labels


def _encoded(value: Any, arrays: list[np.ndarray]) -> Any:
    """`value` in JSON, its arrays put aside: a number, text, array, tuple, or a dataclass of such."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": f"array_{len(arrays) - 1}"}
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        return {
            "class": f"{kind.__module__}:{kind.__qualname__}",
            "values": {each.name: _encoded(getattr(value, each.name), arrays) for each in fields(value)},
        }
    if isinstance(value, tuple):
        return {"tuple": [_encoded(each, arrays) for each in value]}
    if value is None or type(value) in (str, int, float, bool):
        return value
    raise TypeError(f"{type(value).__name__} has no place among the first results.")


def _decoded(stored: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if not isinstance(stored, dict):
        return stored
    if "array" in stored:
        return arrays[stored["array"]]
    if "tuple" in stored:
        return tuple(_decoded(each, arrays) for each in stored["tuple"])
    module, _, name = stored["class"].partition(":")
    kind = getattr(importlib.import_module(module), name)
    return kind(**{each: _decoded(value, arrays) for each, value in stored["values"].items()})


def main() -> None:
    """Compute them anew and write the file."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["VITRINE_HOME"] = home  # where no model has been downloaded that would be shown first
        results = computed()
    write(results, FILE)
    print(f"{FILE.relative_to(FILE.parent.parent)}: {len(results)} results, {FILE.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    # As the module that the pages import, not as a second one called __main__.
    importlib.import_module("pages.shared.first_results").main()
