"""Ten classes from different branches of WordNet, each with pictures that only CLIP or only the other network names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.data.collections import Collection, Entry, Said, Side
from core.data.wordnet import ancestors, find_synset, imagenet_wnids, path_to_root
from core.methods.clip.disagreements import Disagreements, Verdict, common_ancestor

CLASSES, ONLY_CLIP, ONLY_CLASSIFIER = 10, 2, 1


@dataclass(frozen=True, kw_only=True)
class CollectedPicture:
    """One picture of a page: (height, width, 3) uint8 or None where it is gone, and what is said of it line by line."""

    pixels: np.ndarray | None
    title: str
    who: Side
    heading: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CollectedClass:
    """One class of a page: its synset, its path from entity, its pictures, CLIP's first."""

    wnid: str
    names: tuple[str, ...]
    gloss: str
    path: str
    pictures: tuple[CollectedPicture, ...]


def collected_classes(collection: Collection, pixels: Mapping[str, np.ndarray]) -> tuple[CollectedClass, ...]:
    """What a page of the collection shows; `pixels` by the keys of entries."""
    sides: tuple[Side, ...] = ("only_clip", "only_classifier")
    return tuple(
        CollectedClass(
            wnid=wnid,
            names=find_synset(wnid).names,
            gloss=find_synset(wnid).gloss,
            path=path_words(wnid),
            pictures=tuple(
                _collected(entry, pixels.get(entry.key)) for who in sides for entry in collection.of(wnid, who)
            ),
        )
        for wnid in collection.wnids()
    )


def path_words(wnid: str) -> str:
    """From entity down to the class."""
    return " › ".join(synset.names[0] for synset in reversed(path_to_root(wnid)))


def said_words(said: Said, count: int = 2) -> str:
    """`CLIP: place 3; says plate 41%, cup 20%`."""
    best = list(zip(said.classes, said.probabilities, strict=True))[:count]
    return f"{said.model}: place {said.place:,}; says {', '.join(f'{name} {share:.0%}' for name, share in best)}"


def _collected(entry: Entry, pixels: np.ndarray | None) -> CollectedPicture:
    alone = entry.clip if entry.who == "only_clip" else entry.classifier
    said = (said_words(entry.clip), said_words(entry.classifier))
    return CollectedPicture(
        pixels=pixels,
        title=entry.title,
        who=entry.who,
        heading=f"Only {alone.model}, in its best {entry.top}",
        lines=(*said, f"Why: {entry.reason or '–'}", f"Source: {entry.source or '–'}"),
    )


def spread_classes(candidates: Sequence[int], count: int = CLASSES, taken: Sequence[int] = ()) -> tuple[int, ...]:
    """Up to `count` classes of the 1000 that lie far apart in WordNet, `taken` among them.

    One after the other the candidate that is farthest from the nearest chosen one, in steps over the common ancestor;
    of equal ones the first, so that candidates are given best first. None that is a kind of a chosen one is taken.
    """
    chosen = list(taken)
    left = [each for each in dict.fromkeys(candidates) if each not in chosen]
    while left and len(chosen) < count:
        distances = [min((common_ancestor(each, other)[1] for other in chosen), default=0) for each in left]
        best = left.pop(distances.index(max(distances)))
        if not any(_is_kind(best, other) or _is_kind(other, best) for other in chosen):
            chosen.append(best)
    return tuple(chosen)


def propose(
    found: Disagreements, taken: Mapping[int, tuple[int, int]] | None = None, *, count: int = CLASSES
) -> dict[int, tuple[tuple[Verdict, ...], tuple[Verdict, ...]]]:
    """Pictures for a collection: of each class up to two of CLIP's alone and one of the other's, the clearest first.

    What a class that is taken lacks comes first. Of the others those that have all three are spread over WordNet; where
    they are too few, those with both kinds follow, then those with one.

    Args:
        found: without the pictures that are collected already.
        taken: classes that are, with how many pictures of each kind they have.
    """
    taken = taken or {}
    ours, theirs = (_by_class(found.of(who)) for who in ("only_clip", "only_classifier"))
    shown = {
        label: (tuple(ours.get(label, ())[:ONLY_CLIP]), tuple(theirs.get(label, ())[:ONLY_CLASSIFIER]))
        for label in dict.fromkeys((*ours, *theirs))
    }
    ranks = (
        [label for label, (one, two) in shown.items() if len(one) == ONLY_CLIP and len(two) == ONLY_CLASSIFIER],
        [label for label, (one, two) in shown.items() if one and two],
        list(shown),
    )
    chosen = tuple(taken)
    for rank in ranks:
        chosen = spread_classes(rank, count, chosen)
    proposed = {}
    for label in chosen:
        one, two = shown.get(label, ((), ()))
        has = taken.get(label, (0, 0))
        kept = one[: max(0, ONLY_CLIP - has[0])], two[: max(0, ONLY_CLASSIFIER - has[1])]
        if any(kept):
            proposed[label] = kept
    return proposed


def nearest_pair(classes: Sequence[int]) -> tuple[int, int, str, int] | None:
    """The two classes that lie nearest, what they have in common, and the steps between; None of fewer than two."""
    pairs = [(one, other) for place, one in enumerate(classes) for other in classes[:place]]
    if not pairs:
        return None
    one, other = min(pairs, key=lambda pair: common_ancestor(*pair)[1])
    return other, one, *common_ancestor(one, other)


def _by_class(verdicts: Sequence[Verdict]) -> dict[int, list[Verdict]]:
    """In the order given, the clearest first."""
    groups: dict[int, list[Verdict]] = {}
    for each in verdicts:
        groups.setdefault(each.label, []).append(each)
    return groups


def _is_kind(label: int, of: int) -> bool:
    """Whether a class is a kind of another one."""
    wnids = imagenet_wnids()
    return wnids[of] in ancestors(wnids[label])
