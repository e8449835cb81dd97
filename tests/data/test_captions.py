import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.captions import PLAIN_TEMPLATES, TEMPLATES, caption_table, class_names, write_caption
from core.data.wordnet import CIFAR10, find_synset
from core.errors import CoreError

TABBY, GOLDFISH = "n02123045", "n01443537"
TABLE = caption_table([*CIFAR10, TABBY, GOLDFISH])


def _true(row: int) -> set[str]:
    return {find_synset(TABLE.wnids[column]).names[0] for column in np.flatnonzero(TABLE.truth[row] == 1)}


def test_articles():
    assert write_caption("a photo of a {}.", "airplane") == "a photo of an airplane."
    assert write_caption("a photo of a {}.", "dog") == "a photo of a dog."
    assert write_caption("A {}", "Egyptian cat") == "An Egyptian cat"
    assert write_caption("a photo of the {}.", "ox") == "a photo of the ox."
    assert write_caption("{}", "{}") == "{}"


def test_names():
    assert class_names("cat") == ("cat", "true cat")
    assert class_names("automobile")[0] == "automobile"
    assert class_names(TABBY) == ("tabby", "tabby cat")
    with pytest.raises(CoreError, match="WordNet"):
        class_names("n99999999")


def test_truth_follows_the_tree():
    tabby, cat, ship = 10, list(CIFAR10).index("cat"), list(CIFAR10).index("ship")
    assert {"tabby", "cat", "carnivore"} <= _true(tabby)
    assert {"cat", "carnivore"} <= _true(cat)
    assert "ship" not in _true(tabby)
    said_tabby = TABLE.wnids.index(TABBY)
    assert TABLE.truth[cat, said_tabby] == -1  # it may be one
    assert TABLE.truth[ship, said_tabby] == 0
    assert "entity" not in _true(tabby)  # true of all classes: it would say nothing


@given(st.integers(0, 10_000))
def test_every_caption_drawn_is_true_of_its_image_and_names_it(seed):
    labels = np.arange(12)
    drawn = TABLE.draw(labels, np.random.default_rng(seed))
    assert (TABLE.truth[labels, TABLE.said(drawn)] == 1).all()
    for caption in drawn:
        said = find_synset(TABLE.wnids[TABLE.said(np.array([caption]))[0]])
        text = TABLE.texts[caption]
        assert any(name in text for name in (*said.names, *CIFAR10))


def test_chances_are_what_is_drawn():
    assert TABLE.chances.sum(axis=1) == pytest.approx(np.ones(12))
    drawn = TABLE.draw(np.full(20_000, 11), np.random.default_rng(0)) // len(TEMPLATES)
    shares = np.bincount(drawn, minlength=TABLE.chances.shape[1]) / 20_000
    assert np.abs(shares - TABLE.chances[11]).max() < 0.015
    own = TABLE.synsets == TABLE.wnids.index(GOLDFISH)
    assert TABLE.chances[11][own].sum() == pytest.approx(0.75)  # the class, alone or with what it is a kind of


def test_templates_have_one_place_for_the_name():
    assert all(template.count("{}") == 1 for template in TEMPLATES)
    assert set(PLAIN_TEMPLATES) <= set(TEMPLATES)
    assert len(TABLE.texts) == len(TABLE.synsets) * len(TEMPLATES)
