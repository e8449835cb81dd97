"""First results of downloaded models, kept on this machine: of the photos that come with Vitrine, nobody's own.

A fresh server would import PyTorch for them first and load the model, which takes ten seconds on a laptop; with them it
shows the pictures that its pages open with as soon as those of the bundled models (`pages.shared.first_results`).

They are shown only while the files of the weights are the same, and those of Vitrine and PyTorch's version, too.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from core.data.examples import EXAMPLES, load_example
from core.data.images import image_digest
from core.errors import CoreError
from core.files import replaced
from core.models.catalogue import MODELS
from core.models.weights import resolve
from core.paths import BUNDLED, CHECKOUT, cache_root
from pages.shared.first_results import Key, line_of, model_of
from pages.shared.stored_results import INDEX, decoded, encoded, save

# Of one function and model: so many, and the last one is that by which they become as large. A ViT-S has maps of 20 MB.
MOST, ENOUGH_BYTES = 8, 16 * 2**20
_DIGEST = re.compile(r"[0-9a-f]{64}")


def kept_result(function: str, key: Key) -> list[Any]:
    """What `function` returned for `key` in an earlier server of this machine, in a list; or an empty one."""
    # What is cheap to ask comes first: most results are of bundled models, or of photos of people's own.
    if model_of(key) not in MODELS or not (file := _file(function, key)).is_file():
        return []
    if not (label := _label(model_of(key))):
        return []
    try:
        with np.load(file, allow_pickle=False) as arrays:
            index = json.loads(arrays[INDEX].tobytes())
            if index["label"] == label:
                return [decoded(index["result"], arrays)]
        file.unlink()  # of other weights or code: room for the next
    except (OSError, EOFError, BadZipFile, ValueError, KeyError, TypeError, AttributeError) as error:
        logging.warning("%s cannot be used and is computed anew: %s", file, error)
    return []


def keep_result(function: str, key: Key, result: Any) -> None:
    """Keep it for the next server, where it is one of the first and of nobody's own photo."""
    if not (label := _label(model_of(key))):
        return
    if not set(_DIGEST.findall(line_of(function, key))) <= _example_digests():
        return
    file, arrays = _file(function, key), list[np.ndarray]()
    try:
        others = [each for each in file.parent.glob(f"{file.name.rpartition('-')[0]}-*") if each != file]
        if len(others) >= MOST or sum(each.stat().st_size for each in others) >= ENOUGH_BYTES:
            return
        with replaced(file) as opened:
            save(opened, {"label": label, "result": encoded(result, arrays)}, arrays, small=False)
    except OSError as error:  # it is only slower without
        logging.warning("%s cannot be written: %s", file, error)


def _file(function: str, key: Key) -> Path:
    parts = [hashlib.blake2b(text.encode(), digest_size=8).hexdigest() for text in (function, line_of(function, key))]
    return cache_root() / "first_results" / f"{'-'.join([model_of(key), *parts])}.npz"


def _label(name: str) -> str:
    """What tells a downloaded model and everything that its results depend on; nothing where it is no such model."""
    if name not in MODELS:
        return ""
    try:
        folder = Path(resolve(MODELS[name]))
    except CoreError:
        return ""
    if not folder.is_dir() or folder.is_relative_to(BUNDLED):
        return ""
    return f"{_stamp(folder.iterdir())} {_code()} {metadata.version('torch')}"


@cache
def _code() -> str:
    return _stamp(path for part in ("core", "pages") for path in (CHECKOUT / part).rglob("*.py"))


def _stamp(paths: Iterable[Path]) -> str:
    """Changes whenever one of these files does."""
    about = [(str(path), path.stat()) for path in sorted(paths)]
    lines = [f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in about]
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


@cache
def _example_digests() -> frozenset[str]:
    return frozenset(image_digest(load_example(name)) for name in EXAMPLES)
