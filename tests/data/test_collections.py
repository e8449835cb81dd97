"""A collection is changed step by step, undone step by step, and nothing of it is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data import collections
from core.data.collections import (
    Collection,
    Entry,
    Said,
    change_collection,
    collected_picture,
    picture_key,
    read_collection,
)
from core.errors import CoreError
from core.paths import collections_root

SAID = Said(model="A", place=2, classes=("cup", "plate"), probabilities=(0.6, 0.2))
MINE, THEIRS = "0" * 32, "1" * 32


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


def image(level: int) -> Image.Image:
    return Image.fromarray(np.full((6, 8, 3), level, np.uint8))


def entry(level: int, wnid: str = "n02123045") -> Entry:
    return Entry(
        key=picture_key(image(level)), wnid=wnid, who="only_clip", title=str(level), top=5, clip=SAID, classifier=SAID
    )


def add(level: int, owner: str = MINE) -> Collection:
    one = entry(level)
    return change_collection(owner, lambda found: found.adding(one), {one.key: image(level)})


def test_what_is_put_in_stays_for_its_owner_alone() -> None:
    add(10)
    add(20)
    found = read_collection(MINE)
    assert found.entries == (entry(10), entry(20))
    assert np.asarray(collected_picture(MINE, entry(10).key))[0, 0, 0] == 10
    assert read_collection(THEIRS) == Collection()
    with pytest.raises(CoreError, match="gone"):
        collected_picture(THEIRS, entry(10).key)
    with pytest.raises(CoreError, match="gone"):
        collected_picture(THEIRS, f"../{next(collections_root().iterdir()).name}/{entry(10).key}")
    # A browser's secret is not to be read from the folder's name.
    assert MINE not in str(next(collections_root().iterdir()))


def test_every_step_can_be_undone_and_pictures_stay_as_long_as_one_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    add(10)
    add(20)
    change_collection(MINE, lambda found: found.rewritten(entry(10).key, "n02123045", reason="a close-up"))
    change_collection(MINE, lambda found: found.without(entry(20)))
    assert [each.title for each in read_collection(MINE).entries] == ["10"]
    collected_picture(MINE, entry(20).key)  # for the undo
    found = change_collection(MINE, Collection.undone)
    assert [(each.title, each.reason) for each in found.entries] == [("10", "a close-up"), ("20", "")]
    assert change_collection(MINE, Collection.undone).entries == (entry(10), entry(20))
    for _ in range(5):
        found = change_collection(MINE, Collection.undone)
    assert found == Collection()
    # Nothing has them any more.
    with pytest.raises(CoreError):
        collected_picture(MINE, entry(20).key)
    monkeypatch.setattr(collections, "MOST_STEPS", 2)
    for level in (1, 2, 3, 4):
        found = add(level)
    assert (len(found.entries), len(found.past)) == (4, 2)


def test_the_same_picture_again_keeps_its_place_and_its_words() -> None:
    found = Collection().adding(entry(1)).adding(entry(2)).rewritten(entry(1).key, "n02123045", reason="why")
    again = found.adding(replace(entry(1), top=3))
    assert [(each.title, each.top, each.reason) for each in again.entries] == [("1", 3, "why"), ("2", 5, "")]
    assert found.having(found.entries) is found  # no step where nothing changes
    assert len(found.adding(entry(1, "n07920052")).entries) == 3  # another class


def test_two_tabs_do_not_overwrite_each_other() -> None:
    add(10)
    seen_by_the_other_tab = read_collection(MINE)
    add(20)
    change_collection(MINE, lambda found: found.rewritten(entry(10).key, "n02123045", source="a book"))
    assert len(seen_by_the_other_tab.entries) == 1
    assert [each.title for each in read_collection(MINE).entries] == ["10", "20"]


@pytest.mark.parametrize("damage", ["{", '{"entries": 3}', '{"entries": [{"key": "x"}]}', "[]", '{"unknown": []}'])
def test_a_damaged_file_is_a_sentence_and_left_as_it_is(damage: str) -> None:
    add(10)
    file = next(collections_root().glob("*/collection.json"))
    file.write_text(damage, encoding="utf-8")
    with pytest.raises(CoreError, match="cannot be read"):
        read_collection(MINE)
    with pytest.raises(CoreError, match="cannot be read"):
        add(20)
    assert file.read_text(encoding="utf-8") == damage
    assert len(list(file.parent.glob("*.png"))) == 1
