"""Results that come with Vitrine: of the photo and the model that a page opens with, so that it shows them at once.

A fresh server would import PyTorch for them first, which takes most of the time to the first picture. They are what
these functions of the pages return, and are given in their place only where the model's weights, architecture, classes
and preprocessing, and the photo are the very same, by digest. `tests/pages/test_first_results.py` computes them again.

They are made anew by: python -m pages.shared.make_first_results
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from core.models.card import preprocessing_of, read_card
from core.models.stamps import weight_stamps
from core.paths import ASSETS, BUNDLED
from pages.shared.stored_results import INDEX, decoded

FILE = ASSETS / "first_results.npz"
COMMAND = "python -m pages.shared.make_first_results"
Key = tuple[Any, ...]
_ignored = False


def first_result(function: str, key: Key) -> list[Any]:
    """What `function` would return for `key`, which begins with what names a model, in a list; or an empty one."""
    name = model_of(key)
    if _ignored or not name:
        return []
    found = _read().get(line_of(function, key))
    return [] if found is None or not is_of_these_weights(name) else [decoded(found, _arrays())]


def is_ignored() -> bool:
    """Whether everything is to be computed."""
    return _ignored


def model_of(key: Key) -> str:
    """The name of the model that a result is of: the first part of its key, or the `name` of a question."""
    first = key[0] if key else ""
    return first if isinstance(first, str) else getattr(first, "name", "")


@cache
def is_of_these_weights(name: str) -> bool:
    """Whether the results of the model `name` are of the weights that are here."""
    return _labels().get(name) == label(name)


def label(name: str) -> str:
    """What tells a bundled model: its weights, its architecture, its classes, and what is made of a photo for it."""
    stamp = weight_stamps([name]).get(name)
    if stamp is None:
        return ""
    card = read_card(BUNDLED / name)
    told = repr((card.family, sorted(card.config.items()), card.classes, preprocessing_of(card)))
    return f"{stamp} {hashlib.sha256(told.encode()).hexdigest()}"


@contextmanager
def ignored() -> Iterator[None]:
    """Everything is computed meanwhile."""
    global _ignored
    _ignored, before = True, _ignored
    try:
        yield
    finally:
        _ignored = before


def line_of(function: str, key: Key) -> str:
    """Where a result stands in the file."""
    return f"{function} {json.dumps(key, default=repr)}"


@cache
def _arrays() -> Mapping[str, np.ndarray]:
    if not FILE.is_file():
        return {}
    with np.load(FILE, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@cache
def _index() -> dict[str, Any]:
    arrays = _arrays()
    found: dict[str, Any] = json.loads(arrays[INDEX].tobytes()) if arrays else {"labels": {}, "results": {}}
    return found


def _read() -> dict[str, Any]:
    results: dict[str, Any] = _index()["results"]
    return results


def _labels() -> dict[str, str]:
    labels: dict[str, str] = _index()["labels"]
    return labels
