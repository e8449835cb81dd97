"""Ten classes far apart in WordNet, filled with the clearest pictures that one of the two names alone."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import NotFiniteError, ShapeError
from core.methods.clip.collection import nearest_pair, propose, spread_classes
from core.methods.clip.disagreements import Disagreements, Verdict, common_ancestor
from core.methods.clip.synset_variety import MISLEADING, detail_in_the_middle, synset_variety

TABBY, TIGER_CAT, PERSIAN, GOLDFISH, ESPRESSO, RACER = 281, 282, 283, 1, 967, 751


def verdict(picture: int, label: int, who: str, probability: float = 0.5) -> Verdict:
    return Verdict(
        picture=picture, label=label, who=who, clip_place=1, classifier_place=9, clip_probability=probability,
        classifier_probability=0.0, clip_top=((label, probability),), classifier_top=((0, 1.0),),
    )  # type: ignore[arg-type]  # fmt: skip


def found_of(*rows: tuple[int, str]) -> Disagreements:
    verdicts = tuple(verdict(place, label, who, 0.9 - place / 100) for place, (label, who) in enumerate(rows))
    return Disagreements(verdicts=verdicts, top=5, difference=(0, 0, 0))


def test_classes_are_spread_over_wordnet() -> None:
    assert spread_classes([TABBY, TIGER_CAT, PERSIAN, GOLDFISH, ESPRESSO], 3) == (TABBY, ESPRESSO, GOLDFISH)
    assert common_ancestor(TABBY, ESPRESSO)[1] > common_ancestor(TABBY, GOLDFISH)[1]
    assert spread_classes([TABBY, TIGER_CAT], 5) == (TABBY, TIGER_CAT)
    assert spread_classes([TABBY, ESPRESSO], 2, taken=(RACER,))[0] == RACER
    assert spread_classes([], 5) == ()
    one, other, above, steps = nearest_pair([ESPRESSO, TABBY, TIGER_CAT])  # type: ignore[misc]
    assert ({one, other}, above, steps) == ({TABBY, TIGER_CAT}, "domestic cat", 2)
    assert nearest_pair([TABBY]) is None


def test_whole_classes_come_first_and_what_begun_ones_lack_is_filled() -> None:
    whole = [(TABBY, "only_clip"), (TABBY, "only_clip"), (TABBY, "only_clip"), (TABBY, "only_classifier")]
    half = [(ESPRESSO, "only_clip"), (ESPRESSO, "only_classifier"), (RACER, "only_classifier")]
    others = [(GOLDFISH, "both"), (GOLDFISH, "neither")]
    found = found_of(*half, *whole, *others)
    proposed = propose(found)
    assert list(proposed) == [TABBY, ESPRESSO, RACER]
    clearest = sorted((3, 4, 5), key=lambda place: -found.verdicts[place].clip_probability)[:2]
    assert [each.picture for each in proposed[TABBY][0]] == clearest
    assert [len(side) for side in proposed[TABBY]] == [2, 1]
    assert list(propose(found, count=1)) == [TABBY]
    # Of ESPRESSO one of CLIP's is there; TABBY has all it needs.
    proposed = propose(found, {ESPRESSO: (1, 0), TABBY: (2, 1)}, count=2)
    assert {label: [len(side) for side in sides] for label, sides in proposed.items()} == {ESPRESSO: [1, 1]}


def test_three_ways_in_which_pictures_differ() -> None:
    random = np.random.default_rng(0)
    images = np.full((5, 32, 32, 3), 120, np.uint8)
    images[1] = 250  # the brightest
    images[2] = 5  # the darkest
    images[3, 12:20, 12:20] = random.integers(0, 255, (8, 8, 3))  # a thing far away, in the middle
    images[4] = random.integers(0, 255, (32, 32, 3))  # detail all over
    vectors = np.array([[1, 0], [1, 0.1], [0.9, 0.2], [-1, 0.05], [0, 1]], dtype=np.float32)
    light, framing, kind = synset_variety(images, vectors)
    assert {light.ends[0], light.ends[-1]} == {1, 2}
    assert light.values[0] == 0
    assert light.values[-1] > 80  # of 100 from black to white
    assert framing.ends[-1] == 3
    assert framing.values[-1] == pytest.approx(1)
    assert framing.values == tuple(sorted(framing.values))
    assert {kind.ends[0], kind.ends[-1]} == {0, 3}
    assert kind.values[0] == pytest.approx(1)
    assert kind.values[-1] == pytest.approx(-1, abs=0.01)
    assert detail_in_the_middle(images[4]) == pytest.approx(0.25, abs=0.03)
    assert detail_in_the_middle(images[0]) == 0.25
    assert all(len(each.ends) == len(set(each.ends)) == 4 for each in (light, framing, kind))
    assert synset_variety(images[:2], vectors[:2])[0].ends in ((0, 1), (1, 0))
    with pytest.raises(ShapeError, match="two or more"):
        synset_variety(images[:1], vectors[:1])
    with pytest.raises(NotFiniteError):
        synset_variety(images, vectors * np.nan)


def test_misleading_pairs_are_classes_of_imagenet() -> None:
    from core.data.wordnet import imagenet_wnids

    for pair in MISLEADING:
        assert {pair.first, pair.second} <= set(imagenet_wnids())
