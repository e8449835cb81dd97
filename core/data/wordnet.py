"""WordNet's nouns, as far as image classes need them: what a class is called, what it is a kind of, what it means.

`assets/wordnet.json` holds the synsets of ImageNet-1k (Tiny-ImageNet's are among them), of CIFAR-10, and all their
ancestors. It was written from WordNet 3.0, whose offsets are the ImageNet ids (Debian: `apt install wordnet-base`), by

    python -m core.data.wordnet /usr/share/wordnet
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from core.errors import CoreError, UnknownNameError
from core.paths import ASSETS

ASSET = ASSETS / "wordnet.json"

CIFAR10 = {
    "airplane": "n02691156",
    "automobile": "n02958343",
    "bird": "n01503061",
    "cat": "n02121620",
    "deer": "n02430045",
    "dog": "n02084071",
    "frog": "n01639765",
    "horse": "n02374451",
    "ship": "n04194289",
    "truck": "n04490091",
}

# The 16 categories of cue-conflict images (Geirhos et al. 2019, arXiv:1811.12231) as WordNet has them. Everything below
# counts: for 9 of the 16 that is the very list of classes in their code; bird, boat, car, cat, dog, knife and oven have
# more here (an ostrich is a bird, a gondola a boat, a cab a car, a lynx a cat).
CUE_CONFLICT = {
    "airplane": "n02691156",
    "bear": "n02131653",
    "bicycle": "n02834778",
    "bird": "n01503061",
    "boat": "n02858304",
    "bottle": "n02876657",
    "car": "n02958343",
    "cat": "n02121620",
    "chair": "n03001627",
    "clock": "n03046257",
    "dog": "n02084071",
    "elephant": "n02503517",
    "keyboard": "n03614007",
    "knife": "n03623556",
    "oven": "n03862676",
    "truck": "n04490091",
}


@dataclass(frozen=True, kw_only=True)
class Synset:
    """One meaning: `names` are its synonyms, most usual first; `parents` what it is directly a kind of."""

    wnid: str
    names: tuple[str, ...]
    gloss: str
    parents: tuple[str, ...]


def find_synset(wnid: str) -> Synset:
    """The synset with this ImageNet id, such as n02084071.

    Raises:
        UnknownNameError: `assets/wordnet.json` does not have it.
    """
    known = _synsets()
    if wnid not in known:
        raise UnknownNameError("WordNet id", wnid, known)
    return known[wnid]


def class_synset(name: str) -> Synset | None:
    """The synset of a class of ImageNet or Tiny-ImageNet (by its id) or of CIFAR-10 (by its name); None for others."""
    return _synsets().get(CIFAR10.get(name, name))


def imagenet_wnids() -> tuple[str, ...]:
    """The ids of ImageNet's 1000 classes in logit order, which is their alphabetical order."""
    return _asset()[1]


def imagenet_below(wnid: str) -> tuple[int, ...]:
    """Which of ImageNet's 1000 classes are this synset or a kind of it, in logit order."""
    return tuple(index for index, each in enumerate(imagenet_wnids()) if wnid == each or wnid in ancestors(each))


def path_to_root(wnid: str) -> tuple[Synset, ...]:
    """From a synset up to "entity"; where it has several parents, always by the first, as WordNet lists them."""
    path = [find_synset(wnid)]
    while path[-1].parents:
        path.append(find_synset(path[-1].parents[0]))
    return tuple(path)


def ancestors(wnid: str) -> frozenset[str]:
    """All that a synset is a kind of, by any of its parents; without itself."""
    found: set[str] = set()
    waiting = list(find_synset(wnid).parents)
    while waiting:
        parent = waiting.pop()
        if parent not in found:
            found.add(parent)
            waiting.extend(find_synset(parent).parents)
    return frozenset(found)


def extract(source: Path, wnids: Iterable[str]) -> dict[str, Synset]:
    """The synsets `wnids` and all their ancestors out of WordNet's own `data.noun` in the folder `source`.

    Raises:
        CoreError: it is not there, or lacks a synset.
    """
    try:
        lines = (source / "data.noun").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CoreError(f"There is no WordNet in {source} ({error}).", "Debian: apt install wordnet-base.") from error
    # The licence comes first, on lines that begin with spaces.
    nouns = {f"n{line[:8]}": line for line in lines if not line.startswith(" ")}
    found: dict[str, Synset] = {}
    waiting = list(wnids)
    while waiting:
        wnid = waiting.pop()
        if wnid in found:
            continue
        if wnid not in nouns:
            raise CoreError(f"{source} has no synset {wnid}.", "ImageNet's ids are those of WordNet 3.0.")
        found[wnid] = _parse(nouns[wnid])
        waiting.extend(found[wnid].parents)
    return found


def _parse(line: str) -> Synset:
    """One line of `data.noun` (wndb(5WN)): offset, file, type, count, words, count, pointers, gloss."""
    fields, _, gloss = line.partition(" | ")
    offset, _, _, count, *rest = fields.split()
    words = int(count, 16)
    names = tuple(name.replace("_", " ") for name in rest[: 2 * words : 2])
    pointers = rest[2 * words + 1 :]
    # "@" is hypernym, "@i" instance hypernym; each pointer is symbol, offset, part of speech, source/target.
    parents = tuple(f"n{pointers[at + 1]}" for at in range(0, len(pointers), 4) if pointers[at] in ("@", "@i"))
    return Synset(wnid=f"n{offset}", names=names, gloss=gloss.strip(), parents=parents)


def _synsets() -> dict[str, Synset]:
    return _asset()[0]


@cache
def _asset() -> tuple[dict[str, Synset], tuple[str, ...]]:
    """All synsets by id, and the 1000 ids."""
    found = json.loads(ASSET.read_text(encoding="utf-8"))
    synsets = {
        wnid: Synset(wnid=wnid, names=tuple(row["names"]), gloss=row["gloss"], parents=tuple(row["parents"]))
        for wnid, row in found["synsets"].items()
    }
    return synsets, tuple(found["imagenet"])


def _thousand() -> tuple[str, ...]:
    """The 1000 ids as timm lists them; found, not imported, since timm takes its time."""
    spec = find_spec("timm")
    if spec is None or spec.origin is None:
        raise CoreError("timm is not installed.", "python -m pip install timm")
    return tuple(
        (Path(spec.origin).parent / "data" / "_info" / "imagenet_synsets.txt").read_text(encoding="utf-8").split()
    )


def write_asset(source: Path, target: Path = ASSET) -> int:
    """Write what this module reads; returns how many synsets that are."""
    imagenet = _thousand()
    found = extract(source, [*imagenet, *CIFAR10.values()])
    rows = {
        wnid: {"names": synset.names, "parents": synset.parents, "gloss": synset.gloss}
        for wnid, synset in sorted(found.items())
    }
    notice = "WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved. See wordnet-licence.txt."
    # A line per synset: readable, and a change shows as one.
    lines = ",\n".join(f"{json.dumps(wnid)}: {json.dumps(row, ensure_ascii=False)}" for wnid, row in rows.items())
    head = f'"notice": {json.dumps(notice)},\n"imagenet": {json.dumps(imagenet)}'
    target.write_text(f'{{{head},\n"synsets": {{\n{lines}\n}}}}\n', encoding="utf-8")
    return len(rows)


if __name__ == "__main__":
    print(f"{write_asset(Path(sys.argv[1]))} synsets in {ASSET}")
