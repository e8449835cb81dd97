"""What a model can be asked: by its card for models of this project, by a trial pass for models of others.

The trial is made once for a folder as it is: what came out is kept in `VITRINE_HOME/cache/capabilities` under the
names, sizes and times of its files and the code that tried, so that a page with many own models opens none of them.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, get_args

from core.errors import CoreError, IncompatibleError, MissingWeightsError
from core.files import write_json
from core.models.loading import load_any
from core.models.model_folder import Layout, check_pipeline, read_config, weight_files
from core.models.spec import Capability
from core.paths import cache_root

BACKBONE: frozenset[Capability] = frozenset({"attention", "positions"})
VIT: frozenset[Capability] = BACKBONE | {"classifier"}
CNN: frozenset[Capability] = frozenset({"classifier", "convolution"})
IMAGE_TEXT: frozenset[Capability] = frozenset({"image_text"})
# Whose image tower is a vision transformer.
IMAGE_TEXT_VIT: frozenset[Capability] = IMAGE_TEXT | BACKBONE
TEXT_TO_IMAGE: frozenset[Capability] = frozenset({"text_to_image"})
LATENT: frozenset[Capability] = frozenset({"latent"})

# Models that this project's recipes train, by the family on their card.
OWN: dict[str, frozenset[Capability]] = {
    "vit": VIT,
    "differential_vit": VIT | {"signed_attention"},
    "small_cnn": CNN,
    "vae": LATENT,
    # Whatever mixes them, what the head reads the mean of is a map.
    "mixer": CNN,
}
_ERRORS = {error.__name__: error for error in (IncompatibleError, MissingWeightsError)}


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a model can be asked, and of the rest, where a trial told more, why not, as the end of a sentence."""

    capabilities: frozenset[Capability]
    reasons: tuple[tuple[Capability, str], ...] = ()


def find_capabilities(path: Path, layout: Layout) -> Findings:
    """What a model in a folder or file of this layout can be asked.

    A folder of others that was not tried as it is now is loaded once for it; without its weights nothing can be said.

    Raises:
        MissingWeightsError: its weights are damaged or do not fit the configuration.
        IncompatibleError: a model that cannot be opened here, or, for one of this project, that other pages use.
    """
    if layout == "torchvision":
        return Findings(capabilities=CNN)
    if layout == "diffusers":
        check_pipeline(path)
        return Findings(capabilities=TEXT_TO_IMAGE)
    if layout == "own":
        return Findings(capabilities=_of_own(path, read_config(path, "card.json")))
    if not weight_files(path):
        return Findings(capabilities=frozenset())
    return _tried(path, _stamp(path), _code(), cache_root() / "capabilities")


@lru_cache(maxsize=256)
def _tried(path: Path, stamp: str, code: str, folder: Path) -> Findings:
    """The record of a trial of these files by this code, or the trial itself, which leaves one."""
    name = hashlib.blake2b(repr((str(path), stamp, code)).encode(), digest_size=16).hexdigest()
    record = folder / f"{name}.json"
    try:
        kept = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = None
    if not isinstance(kept, dict):
        kept = _try(path)
        with suppress(OSError):  # where nothing can be kept, it is tried again next time
            write_json(record, kept)
    if error := kept.get("error"):
        raise _ERRORS[error["kind"]](error["cause"], error["remedy"])
    known = get_args(Capability)
    return Findings(
        capabilities=frozenset(each for each in kept["capabilities"] if each in known),
        reasons=tuple((each, str(reason)) for each, reason in kept["reasons"].items() if each in known),
    )


def _try(path: Path) -> dict[str, Any]:
    """Load the model and ask it everything once."""
    from core.models.dry_run import find_abilities

    try:
        found, reasons = find_abilities(load_any(path))
    except (IncompatibleError, MissingWeightsError) as error:
        kind = next(name for name, each in _ERRORS.items() if isinstance(error, each))
        return {"path": str(path), "error": {"kind": kind, "cause": error.cause, "remedy": error.remedy}}
    except CoreError as error:
        return {
            "path": str(path),
            "error": {"kind": "IncompatibleError", "cause": error.cause, "remedy": error.remedy},
        }
    return {"path": str(path), "capabilities": sorted(found), "reasons": reasons}


def _stamp(path: Path) -> str:
    """Names, sizes and times of the files of a folder: other content leaves another stamp."""
    with os.scandir(path) as entries:
        files = [(each.name, each.stat()) for each in entries if each.is_file()]
    return repr(sorted((name, found.st_size, found.st_mtime_ns) for name, found in files))


@cache
def _code() -> str:
    """What decides how a folder is opened: the adapters and the versions of the libraries below them."""
    from importlib import metadata

    names = ("torch", "transformers", "timm", "open_clip_torch", "diffusers")
    digest = hashlib.blake2b(repr([_version(metadata, name) for name in names]).encode(), digest_size=16)
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _version(metadata: Any, name: str) -> str:
    try:
        return str(metadata.version(name))
    except metadata.PackageNotFoundError:
        return ""


def _of_own(path: Path, card: dict[str, Any]) -> frozenset[Capability]:
    family, config = card.get("family"), card.get("config") or {}
    if family == "transfer":
        return frozenset(each for each in get_args(Capability) if each in (config.get("capabilities") or ()))
    if family not in OWN:
        raise IncompatibleError(f"{path.name} holds a {family!r} model, which other pages use.", "Choose another.")
    without: frozenset[Capability] = frozenset({"positions"} if config.get("positional") == "none" else ())
    return OWN[family] - without
