"""Which weights a figure was measured with: figures that come with Vitrine may be older than a model trained anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from core.paths import BUNDLED


def weight_stamps(models: Iterable[str]) -> dict[str, str]:
    """Of each bundled model among `models`, 16 hexadecimal digits of its weight files' BLAKE2b."""
    found = {}
    for name in models:
        digest = hashlib.blake2b(digest_size=8)
        files = sorted((BUNDLED / name).rglob("*.safetensors")) if name.isidentifier() else []
        for path in files:
            digest.update(path.read_bytes())
        if files:
            found[name] = digest.hexdigest()
    return found


def trained_anew(stamps: Mapping[str, str]) -> list[str]:
    """The models among `stamps` whose weights are others today than when `weight_stamps` was asked."""
    today = weight_stamps(stamps)
    return [name for name, stamp in stamps.items() if today.get(name) != stamp]


def earlier_sentence(stamps: Mapping[str, str], titles: Mapping[str, str]) -> str:
    """That figures with these stamps are about weights that are no longer here; empty where all are the same."""
    changed = [titles.get(name, name) for name in trained_anew(stamps)]
    if not changed:
        return ""
    return f"Of {' and '.join(changed)} these figures are about earlier weights: the model was trained anew since."
