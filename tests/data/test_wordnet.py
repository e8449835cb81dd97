import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.wordnet import (
    ASSET,
    CIFAR10,
    ancestors,
    class_synset,
    extract,
    find_synset,
    imagenet_wnids,
    path_to_root,
)
from core.errors import CoreError, UnknownNameError

WORDNET = """  1 This software and database is being provided to you, the LICENSEE
00001740 03 n 01 entity 0 001 ~ 00002137 n 0000 | that which exists
00002137 05 n 02 living_thing 0 animate_thing 0 003 @ 00001740 n 0000 ~ 00003553 n 0000 + 00692347 v 0101 | alive; a | b
00003553 05 n 01 Rex 1 002 @i 00002137 n 0000 @ 00001740 n 0000 | a dog
"""


def test_the_asset_has_every_class_and_every_path_ends_at_entity():
    wnids = imagenet_wnids()
    assert len(wnids) == 1000
    assert list(wnids) == sorted(wnids)
    for wnid in (*wnids, *CIFAR10.values()):
        path = path_to_root(wnid)
        assert path[-1].names == ("entity",)
        assert {synset.wnid for synset in path[1:]} <= ancestors(wnid)


def test_oracle():
    assert [synset.names[0] for synset in path_to_root("n02123045")][:5] == [
        "tabby",
        "domestic cat",
        "cat",
        "feline",
        "carnivore",
    ]
    assert "domesticated" in find_synset("n02121808").gloss
    assert class_synset("airplane").names[0] == "airplane"
    assert class_synset("n02123045").names == ("tabby", "tabby cat")
    assert class_synset("giraffe house") is None
    with pytest.raises(UnknownNameError, match="n0212304"):
        find_synset("n0212304")


@given(st.sampled_from(sorted(CIFAR10.values())))
def test_nothing_is_its_own_ancestor(wnid):
    assert wnid not in ancestors(wnid)


def test_synsets_are_read_with_all_their_ancestors(tmp_path):
    (tmp_path / "data.noun").write_text(WORDNET, encoding="utf-8")
    found = extract(tmp_path, ["n00003553"])
    assert sorted(found) == ["n00001740", "n00002137", "n00003553"]
    assert found["n00003553"].parents == ("n00002137", "n00001740")
    assert found["n00002137"].names == ("living thing", "animate thing")
    assert found["n00002137"].parents == ("n00001740",)
    assert found["n00002137"].gloss == "alive; a | b"
    with pytest.raises(CoreError, match="n00009999"):
        extract(tmp_path, ["n00009999"])
    with pytest.raises(CoreError, match="wordnet-base"):
        extract(tmp_path / "nowhere", ["n00003553"])


def test_the_licence_lies_beside_it():
    assert "wordnet-licence.txt" in json.loads(ASSET.read_text(encoding="utf-8"))["notice"]
    assert "Princeton University" in (ASSET.parent / "wordnet-licence.txt").read_text(encoding="utf-8")
