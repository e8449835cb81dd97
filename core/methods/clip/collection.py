"""Ten classes from different branches of WordNet, each with pictures that only CLIP or only the other network names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.data.wordnet import ancestors, imagenet_wnids
from core.methods.clip.disagreements import Disagreements, Verdict, common_ancestor

CLASSES, ONLY_CLIP, ONLY_CLASSIFIER = 10, 2, 1


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
    ours, theirs = (_by_class(found.of(who)) for who in ("only_clip", "only_classifier"))  # type: ignore[arg-type]
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
