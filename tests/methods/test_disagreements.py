import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.wordnet import imagenet_wnids
from core.errors import ShapeError
from core.methods.clip.disagreements import class_tree, common_ancestor, find_disagreements, imagenet_index

TABBY, TIGER_CAT, GOLDEN, GOLDFISH = 281, 282, 207, 1


def _logits(*best: int) -> np.ndarray:
    """(pictures, 10): the class `best` of each first, then 0, 1, 2, …"""
    logits = np.tile(-np.arange(10.0), (len(best), 1))
    logits[np.arange(len(best)), best] = 5
    return logits


def test_oracle():
    labels = np.array([7, 7, 8, 1, 7])
    found = find_disagreements(_logits(7, 0, 8, 0, 7), _logits(7, 7, 0, 0, 0), labels, top=2)
    # Of the fourth, class 1 is second for both.
    assert [each.who for each in found.verdicts] == ["both", "only_classifier", "only_clip", "both", "only_clip"]
    assert (found.correct("clip"), found.correct("classifier")) == (4, 3)
    assert found.difference[0] == pytest.approx(0.2)
    assert found.difference[1] < 0 < found.difference[2]
    assert found.verdicts[1].clip_place == 8
    assert found.split_classes() == [(7, 1, 1)]
    # Which of the two counts is whose: class 7 twice for CLIP alone, once for the classifier alone.
    uneven = find_disagreements(_logits(7, 7, 0), _logits(0, 0, 7), np.array([7, 7, 7]), top=1)
    assert uneven.split_classes() == [(7, 2, 1)]
    assert found.verdicts[0].clip_top[0] == (7, pytest.approx(found.verdicts[0].clip_probability))


@given(st.integers(0, 1000), st.integers(1, 8))
def test_kinds_add_up_and_swap_with_the_models(seed, top):
    random = np.random.default_rng(seed)
    first, second, labels = random.normal(size=(20, 8)), random.normal(size=(20, 8)), random.integers(0, 8, 20)
    found, swapped = find_disagreements(first, second, labels, top), find_disagreements(second, first, labels, top)
    assert sum(found.count(who) for who in ("both", "only_clip", "only_classifier", "neither")) == 20
    assert found.count("only_clip") == swapped.count("only_classifier")
    assert found.difference[0] == pytest.approx(-swapped.difference[0])
    for each in found.verdicts:
        assert (each.label in [label for label, _ in each.clip_top]) == (each.clip_place <= top)
    if top == 8:
        assert found.count("both") == 20


def test_the_clearest_come_first():
    logits = _logits(7, 7)
    logits[1] *= 3
    found = find_disagreements(logits, _logits(0, 0), np.array([7, 7]), top=1)
    assert [each.picture for each in found.of("only_clip")] == [1, 0]


def test_answers_that_do_not_belong_together():
    with pytest.raises(ShapeError, match="same pictures"):
        find_disagreements(_logits(1), np.zeros((1, 9)), np.array([0]))


def test_the_tree_has_the_classes_as_leaves_and_one_root():
    nodes = {node.wnid: node for node in class_tree((TABBY, TIGER_CAT, GOLDEN, GOLDFISH))}
    assert {node.leaf for node in nodes.values() if node.leaf is not None} == {TABBY, TIGER_CAT, GOLDEN, GOLDFISH}
    roots = [node for node in nodes.values() if not node.parent]
    assert [node.title for node in roots] == ["entity"]
    assert all(node.parent in nodes for node in nodes.values() if node.parent)
    tabby = nodes[imagenet_wnids()[TABBY]]
    assert nodes[tabby.parent].title == "domestic cat"
    assert nodes[nodes[tabby.parent].parent].title == "carnivore"
    single = class_tree((TABBY,))
    assert [node.title for node in single] == ["entity", "domestic cat", "tabby"]


def test_common_ancestors():
    assert common_ancestor(TABBY, TIGER_CAT) == ("domestic cat", 2)
    assert common_ancestor(TABBY, TABBY) == ("tabby", 0)
    assert common_ancestor(TABBY, GOLDEN) == common_ancestor(GOLDEN, TABBY)


@pytest.mark.parametrize(
    ("name", "title", "expected"),
    [
        ("n02123045", "", TABBY),
        ("tabby", "", TABBY),
        ("golden_retriever", "", GOLDEN),
        ("x1", "goldfish, Carassius auratus", GOLDFISH),
        ("crane", "", None),  # a bird and a machine
        ("missile", "", 657),  # the other one is a "projectile, missile"
        ("guitar hero", "", None),
    ],
)
def test_labels_are_matched_to_the_thousand(name, title, expected):
    assert imagenet_index(name, title) == expected


def test_every_class_knows_itself():
    assert [imagenet_index(wnid) for wnid in imagenet_wnids()] == list(range(1000))
