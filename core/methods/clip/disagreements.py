"""CLIP against a network trained on ImageNet, over the same 1000 classes: which pictures only one of them names.

A picture counts as named if its class is among the best five. Where they differ is a matter of pictures, so the
difference of the two is taken picture by picture.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Literal

import numpy as np

from core.data.labelled_pictures import LabelledPicture, LabelledPictures, choose_pictures
from core.data.prompts import dataset_labels
from core.data.wordnet import find_synset, imagenet_wnids, path_to_root
from core.errors import CoreError, ShapeError
from core.finite import require_finite
from core.intervals import paired_interval
from core.methods.accuracy.predictions import softmax
from core.models.imagenet import imagenet_classes
from core.notebook import Drawn
from core.seeding import stream

Who = Literal["both", "only_clip", "only_classifier", "neither"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One picture; `place` is 1 for the best class, `probability` that of the true one.

    Attributes:
        picture: its index.
        label: the true class of the 1000.
        clip_top, classifier_top: the best classes with their probabilities, best first.
    """

    picture: int
    label: int
    who: Who
    clip_place: int
    classifier_place: int
    clip_probability: float
    classifier_probability: float
    clip_top: tuple[tuple[int, float], ...]
    classifier_top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class Disagreements(Drawn):
    """All pictures.

    Attributes:
        top: how many classes count as named.
        difference: accuracy of CLIP minus that of the classifier, with its 95 % interval.
    """

    verdicts: tuple[Verdict, ...]
    top: int
    difference: tuple[float, float, float]

    def of(self, who: Who) -> list[Verdict]:
        """The pictures of one kind, the clearest first: where the two probabilities lie farthest apart."""
        found = [each for each in self.verdicts if each.who == who]
        return sorted(found, key=lambda each: -abs(each.clip_probability - each.classifier_probability))

    def count(self, who: Who) -> int:
        return sum(each.who == who for each in self.verdicts)

    def correct(self, which: Literal["clip", "classifier"]) -> int:
        """How many one of the two names."""
        return self.count("both") + self.count(f"only_{which}")  # type: ignore[arg-type]

    def split_classes(self) -> list[tuple[int, int, int]]:
        """Classes of which each names a picture that the other does not: (class, only CLIP's, only the other's)."""
        counts: dict[int, list[int]] = {}
        for each in self.verdicts:
            if each.who in ("only_clip", "only_classifier"):
                counts.setdefault(each.label, [0, 0])[each.who == "only_classifier"] += 1
        rows = [(label, first, second) for label, (first, second) in counts.items() if first and second]
        return sorted(rows, key=lambda row: (-min(row[1:]), -sum(row[1:]), row[0]))


def find_disagreements(
    clip_logits: np.ndarray, classifier_logits: np.ndarray, labels: np.ndarray, top: int = 5
) -> Disagreements:
    """Compare two answers for the same pictures.

    Args:
        clip_logits, classifier_logits: (pictures, classes).
        labels: (pictures,) the true classes.

    Raises:
        ShapeError: the three do not belong together.
    """
    if clip_logits.shape != classifier_logits.shape or len(labels) != len(clip_logits):
        raise ShapeError(
            f"Got {clip_logits.shape} and {classifier_logits.shape} logits for {len(labels)} labels.",
            "Both models must answer for the same pictures and classes.",
        )
    require_finite("CLIP's logits", clip_logits)
    require_finite("The classifier's logits", classifier_logits)
    rows = np.arange(len(labels))
    answers = []
    for logits in (clip_logits, classifier_logits):
        order = np.argsort(-logits, axis=1, kind="stable")
        places = (order == labels[:, None]).argmax(axis=1) + 1
        answers.append((softmax(logits), order[:, :top], places))
    (first, first_best, first_places), (second, second_best, second_places) = answers
    whos: dict[tuple[bool, bool], Who] = {
        (True, True): "both",
        (True, False): "only_clip",
        (False, True): "only_classifier",
        (False, False): "neither",
    }
    verdicts = tuple(
        Verdict(
            picture=int(row),
            label=int(labels[row]),
            who=whos[bool(first_places[row] <= top), bool(second_places[row] <= top)],
            clip_place=int(first_places[row]),
            classifier_place=int(second_places[row]),
            clip_probability=float(first[row, labels[row]]),
            classifier_probability=float(second[row, labels[row]]),
            clip_top=tuple((int(each), float(first[row, each])) for each in first_best[row]),
            classifier_top=tuple((int(each), float(second[row, each])) for each in second_best[row]),
        )
        for row in rows
    )
    only = [sum(each.who == who for each in verdicts) for who in ("only_clip", "only_classifier")]
    return Disagreements(verdicts=verdicts, top=top, difference=paired_interval(only[0], only[1], len(labels)))


def choose_imagenet_pictures(
    source: LabelledPictures, count: int, allowed: Collection[int] | None = None
) -> tuple[tuple[LabelledPicture, ...], tuple[int, ...], int]:
    """Up to `count` random pictures, as many of each class as there are, whose class is one of the 1000.

    Args:
        allowed: of the 1000, those that count; all where nothing is said.

    Returns:
        The pictures, their classes of the 1000, and how many were of no such class.

    Raises:
        CoreError: none is of a class that is asked for.
    """
    indices = [imagenet_index(name, title) for name, title in zip(source.classes, source.titles, strict=True)]
    every = [each for group in source.groups.values() for each in group]
    known = tuple(each for each in every if indices[each.label] is not None)
    fitting = tuple(each for each in known if allowed is None or indices[each.label] in allowed)
    if not fitting:
        raise CoreError(
            f"None of the {len(every):,} pictures of {source.title} is of a class that is asked for.",
            "Name the folders by ImageNet's ids or classes"
            + (", or include classes that the CLIP was not taught." if allowed is not None else "."),
        )
    per_class = 1
    chosen = choose_pictures(fitting, per_class)
    while len(chosen) < min(count, len(fitting)):
        per_class *= 2
        chosen = choose_pictures(fitting, per_class)
    rows = np.sort(stream("disagreement pictures").permutation(len(chosen))[:count])
    chosen = tuple(chosen[row] for row in rows)
    return chosen, tuple(int(indices[each.label] or 0) for each in chosen), len(every) - len(known)


@dataclass(frozen=True, kw_only=True)
class TreeNode:
    """A place in WordNet's tree above some classes.

    Attributes:
        parent: the wnid of the nearest kept ancestor; empty at the root.
        leaf: the class of the 1000 that it is, or None.
    """

    wnid: str
    title: str
    gloss: str
    parent: str
    leaf: int | None


def class_tree(classes: tuple[int, ...]) -> tuple[TreeNode, ...]:
    """The classes (of the 1000) and the ancestors at which their paths part, root first.

    Ancestors with a single branch below are left out, so that a path reads in a few steps.
    """
    wnids = imagenet_wnids()
    wanted = {wnids[each]: each for each in classes}
    paths = {wnid: [synset.wnid for synset in reversed(path_to_root(wnid))] for wnid in wanted}
    children: dict[str, set[str]] = {}
    for path in paths.values():
        for above, below in pairwise(path):
            children.setdefault(above, set()).add(below)
    nodes: dict[str, TreeNode] = {}
    for wnid, path in paths.items():
        kept = ""
        # The step right above a class says what it is, also where nothing branches there.
        for each in path:
            if each == path[0] or each in wanted or len(children.get(each, ())) > 1 or each == path[-2]:
                synset = find_synset(each)
                nodes.setdefault(
                    each,
                    TreeNode(wnid=each, title=synset.names[0], gloss=synset.gloss, parent=kept, leaf=wanted.get(each)),
                )
                kept = each
        assert kept == wnid
    return tuple(nodes.values())


def common_ancestor(first: int, second: int) -> tuple[str, int]:
    """The nearest thing that both classes are a kind of, and how many steps it takes from one to the other over it."""
    wnids = imagenet_wnids()
    one, other = ([synset.wnid for synset in path_to_root(wnids[each])] for each in (first, second))
    for steps, wnid in enumerate(one):
        if wnid in other:
            return find_synset(wnid).names[0], steps + other.index(wnid)
    raise AssertionError("all paths end at entity")


def class_names(wording: Literal["wordnet", "openai"]) -> tuple[str, ...]:
    """The 1000 classes, each with a name of its own.

    Args:
        wording: "wordnet" takes each synset's first name, "openai" what CLIP's authors wrote for prompts: "crane bird"
            and "construction crane".
    """
    if wording == "wordnet":
        return dataset_labels(imagenet_wnids())
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    return tuple(IMAGENET_CLASSNAMES)


def imagenet_index(name: str, title: str = "") -> int | None:
    """The class of the 1000 that a label means; None if unclear.

    By its id, else by a name that only one class has, or has as its first: a missile is no "projectile, missile".
    """
    for text in (name, title, *title.split(","), *name.split(",")):
        found = _indices().get(text.strip().replace("_", " ").casefold())
        if found is not None:
            return found
    return None


@cache
def _indices() -> dict[str, int]:
    found: dict[str, int] = {}
    ambiguous: set[str] = set()
    for index, (wnid, called) in enumerate(zip(imagenet_wnids(), imagenet_classes(), strict=True)):
        for text in {each.casefold() for each in (wnid, called, *find_synset(wnid).names)}:
            if found.setdefault(text, index) != index:
                ambiguous.add(text)
    first = [names[0].casefold() for names in (find_synset(wnid).names for wnid in imagenet_wnids())]
    clear = {text: first.index(text) for text in ambiguous if first.count(text) == 1}
    return {text: index for text, index in found.items() if text not in ambiguous} | clear
