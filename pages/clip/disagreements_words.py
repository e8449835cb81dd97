"""CLIP against a network trained on ImageNet: tables and sentences of what both said."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.data.wordnet import imagenet_wnids, path_to_root
from core.methods.clip.disagreements import (
    Disagreements,
)
from core.shares import FEW, counted, difference_words, interval_words, share, share_of
from pages.clip.disagreements_comparison import (
    Found,
)


def table(found: Found, names: Sequence[str]) -> pd.DataFrame:
    """A row per picture."""
    return pd.DataFrame(
        {
            "picture": [found.pictures[each.picture].title for each in found.comparison.verdicts],
            "class": [names[each.label] for each in found.comparison.verdicts],
            "wnid": [imagenet_wnids()[each.label] for each in found.comparison.verdicts],
            "named by": [each.who.replace("_", " ") for each in found.comparison.verdicts],
            "place for CLIP": [each.clip_place for each in found.comparison.verdicts],
            "place for the classifier": [each.classifier_place for each in found.comparison.verdicts],
            "CLIP says": [names[each.clip_top[0][0]] for each in found.comparison.verdicts],
            "the classifier says": [names[each.classifier_top[0][0]] for each in found.comparison.verdicts],
        }
    )


def divided_classes(
    divided: Sequence[tuple[int, int, int]], names: Sequence[str], clip: str, classifier: str
) -> pd.DataFrame:
    """A row per class: how many pictures only one of the two names, and its path in WordNet."""
    wnids = imagenet_wnids()
    return pd.DataFrame(
        {
            "class": [names[label] for label, _, _ in divided],
            f"only {clip}": [ours for _, ours, _ in divided],
            f"only {classifier}": [theirs for _, _, theirs in divided],
            "wnid": [wnids[label] for label, _, _ in divided],
            "in WordNet": [
                " › ".join(synset.names[0] for synset in reversed(path_to_root(wnids[label])))
                for label, _, _ in divided
            ],
        }
    )


def headline(found: Found, names: Sequence[str], clip: str, classifier: str) -> str:
    """How many pictures each names; of a few, which."""
    comparison, total = found.comparison, len(found.comparison.verdicts)
    if total < FEW:
        said = " ".join(
            f"{title} names {_named(comparison, names, which)}."
            for title, which in ((clip, "clip"), (classifier, "classifier"))
        )
        return f"{counted(total, 'picture')}, too few for percentages. Among their best {comparison.top}: {said}"
    right = [comparison.correct(which) for which in ("clip", "classifier")]
    return (
        f"{clip} names {share_of(right[0], total, 'picture')} in its best {comparison.top}, "
        f"{classifier} {share(right[1], total)}"
    )


def _named(found: Disagreements, names: Sequence[str], which: str) -> str:
    """The classes of the pictures that one of the two names."""
    labels = [names[each.label] for each in found.verdicts if each.who in ("both", f"only_{which}")]
    return ", ".join(labels) or "none of them"


def difference_sentence(found: Disagreements, clip: str) -> str:
    """Both accuracies with intervals, and their difference picture by picture; nothing of a few pictures."""
    total = len(found.verdicts)
    if total < FEW:
        return ""
    ends = [interval_words(found.correct(which), total) for which in ("clip", "classifier")]
    difference = difference_words(found.count("only_clip"), found.count("only_classifier"), total)
    return f"95 % intervals: {ends[0]} and {ends[1]}. {clip} minus the other, picture by picture: {difference}."
