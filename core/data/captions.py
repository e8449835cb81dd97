"""Captions for labelled images: templates × what WordNet calls the class and what it is a kind of.

A caption of a goldfish may be "a photo of a goldfish.", "a picture of a Carassius auratus.", "a goldfish, a type of
fish." or "an image of an animal.". What a caption says is a synset, and whether it is true of an image follows from the
tree: true of all classes at or below its synset, unknown of the classes above
(a caption that says "Egyptian cat", and an image of which only "cat" is known), false of the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.data.prompts import EIGHTY_TEMPLATES, fill_template
from core.data.wordnet import Synset, ancestors, class_synset, find_synset
from core.errors import CoreError

# `{}` stands for the name; an article before it becomes "an" where the name wants it. Classes are asked for by these.
PLAIN_TEMPLATES = (
    "a photo of a {}.",
    "a photo of the {}.",
    "a photograph of a {}.",
    "a picture of a {}.",
    "an image of a {}.",
    "this is a photo of a {}.",
    "there is a {} in this picture.",
    "this is a {}.",
    "a {}.",
    "a {}",
    "{}.",
    "{}",
)
# Images are captioned by CLIP's 80, too, as in UniCL. "A sketch of a {}" is not true of a photo, so the texts learn to
# mean the name and to pass over the manner.
TEMPLATES = (*PLAIN_TEMPLATES, *EIGHTY_TEMPLATES)

# How often a caption says the class itself, the class and what it is a kind of, or only that.
SHARES = (0.6, 0.15, 0.25)
# Ancestors of more than this share of the classes ("object", "entity") say too little to caption with.
LARGEST_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class CaptionTable:
    """Every caption there can be, for some classes.

    Attributes:
        texts: phrase by phrase; caption `phrase * len(TEMPLATES) + template`.
        synsets: of each phrase, which synset (a column of `truth`) it says.
        chances: (classes, phrases) float64: how often an image of the class gets the phrase; rows sum to 1.
        truth: (classes, synsets) int8: 1 where the synset is true of images of the class, 0 where it is false,
            -1 where one cannot know.
        wnids: of each synset.
    """

    texts: tuple[str, ...]
    synsets: np.ndarray
    chances: np.ndarray
    truth: np.ndarray
    wnids: tuple[str, ...]

    def draw(self, labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """A caption for each image: (images,) classes → (images,) indices into `texts`."""
        # One number each, looked up in the class's cumulative chances; the last is 1 but for rounding.
        points = random.random(len(labels))[:, None]
        phrases = (self.chances.cumsum(axis=1)[labels] <= points).sum(axis=1).clip(max=self.chances.shape[1] - 1)
        return phrases * len(TEMPLATES) + random.integers(0, len(TEMPLATES), len(labels))

    def said(self, captions: np.ndarray) -> np.ndarray:
        """The synset that each caption says."""
        return self.synsets[captions // len(TEMPLATES)]


def write_caption(template: str, name: str) -> str:
    """`template` about `name`, with "an" before a vowel: "a photo of an airplane." """
    if re.match("[aeiou]", name, re.IGNORECASE):
        template = re.sub(r"\b([Aa]) \{\}", r"\1n {}", template)
    return fill_template(template, name)


def class_names(name: str) -> tuple[str, ...]:
    """What a class of ImageNet, Tiny-ImageNet or CIFAR-10 is called, its own name first where it has one.

    Raises:
        CoreError: WordNet's part that is here does not have it.
    """
    names = _synset(name).names
    own = () if name == _synset(name).wnid else (name,)
    return tuple(dict.fromkeys((*own, *names)))


def caption_table(classes: Sequence[str]) -> CaptionTable:
    """All captions for `classes`, which are ids of ImageNet or classes of CIFAR-10 by name.

    Raises:
        CoreError: WordNet's part that is here does not have one of them.
    """
    leaves = [_synset(name).wnid for name in classes]
    above = [ancestors(wnid) for wnid in leaves]
    covered = {wnid: sum(wnid in each or wnid == leaf for leaf, each in zip(leaves, above, strict=True))
               for wnid in set(leaves).union(*above)}  # fmt: skip
    general = {wnid for wnid, count in covered.items() if count > max(1, LARGEST_SHARE * len(classes))}
    wnids = tuple(sorted(set(covered) - (general - set(leaves))))
    column = {wnid: index for index, wnid in enumerate(wnids)}
    phrases: dict[tuple[str, str], int] = {}
    weighted: list[dict[int, float]] = []
    for name, leaf, ancestry in zip(classes, leaves, above, strict=True):
        names = class_names(name)
        told = [find_synset(wnid) for wnid in sorted(ancestry) if wnid in column and wnid != leaf]
        # What narrows more is said more often: weighted by the information in nats.
        nats = np.array([np.log(len(classes) / covered[each.wnid]) for each in told])
        groups = [
            [(leaf, own, 1 / len(names)) for own in names],
            [(leaf, f"{names[0]}, a type of {each.names[0]}", share) for each, share in _shares(told, nats)],
            [
                (each.wnid, called, share / len(each.names))
                for each, share in _shares(told, nats)
                for called in each.names
            ],
        ]
        shares = [share if group else 0.0 for share, group in zip(SHARES, groups, strict=True)]
        weights: dict[int, float] = {}
        for share, group in zip(shares, groups, strict=True):
            for wnid, phrase, weight in group:
                index = phrases.setdefault((wnid, phrase), len(phrases))
                weights[index] = weights.get(index, 0.0) + weight * share / sum(shares)
        weighted.append(weights)
    chances = np.zeros((len(classes), len(phrases)))
    for row, weights in enumerate(weighted):
        chances[row, list(weights)] = list(weights.values())
    truth = np.zeros((len(classes), len(wnids)), dtype=np.int8)
    for row, (leaf, ancestry) in enumerate(zip(leaves, above, strict=True)):
        for wnid, index in column.items():
            if wnid == leaf or wnid in ancestry:
                truth[row, index] = 1
            elif leaf in ancestors(wnid):
                truth[row, index] = -1
    return CaptionTable(
        texts=tuple(write_caption(template, called) for _, called in phrases for template in TEMPLATES),
        synsets=np.array([column[wnid] for wnid, _ in phrases]),
        chances=chances,
        truth=truth,
        wnids=wnids,
    )


def _shares(told: list[Synset], nats: np.ndarray) -> list[tuple[Synset, float]]:
    """Those with something to tell, and their shares of it."""
    return [(each, share / nats.sum()) for each, share in zip(told, nats.tolist(), strict=True) if share > 0]


def _synset(name: str) -> Synset:
    found = class_synset(name)
    if found is None:
        raise CoreError(
            f"{name!r} is no class of ImageNet or CIFAR-10.",
            "Captions come from WordNet: use data sets whose classes are ImageNet ids or those of CIFAR-10.",
        )
    return found
