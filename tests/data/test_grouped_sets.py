"""Several splits or conditions as one set: everybody's split and label is kept, and pixels are the pictures' own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.data.arrays import save_arrays
from core.data.conditions import CONDITIONS
from core.data.pictures import open_set
from core.reports import finish
from tests.toy import save_toy


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


def test_all_splits_of_a_data_set_come_with_the_split_of_each_picture() -> None:
    folder = save_toy({"train": 40, "test": 6})
    found = finish(open_set("splits:toy/20/0"))
    [split] = found.attributes
    assert (split.title, set(split.values)) == ("Split", {"train", "test"})
    # What the small one lacks, the large one gives.
    assert sorted(split.words) == ["test"] * 6 + ["train"] * 14
    pixels = found.source(8).images[:]
    for row, (name, own, label) in enumerate(zip(found.ids, split.words, found.labels, strict=True)):
        assert name.startswith(f"{own}/")
        place = int(name.partition("/")[2])
        np.testing.assert_array_equal(pixels[row], np.load(folder / f"{own}_images.npy")[place])
        assert label == np.load(folder / f"{own}_labels.npy")[place]
    assert finish(open_set("splits:toy/20/0")).ids == found.ids != finish(open_set("splits:toy/20/1")).ids


def test_pictures_under_conditions_keep_label_and_condition_where_some_cannot_be_drawn() -> None:
    folder = save_toy()
    bright = np.random.default_rng(0).integers(0, 255, (10, 16, 16, 3)).astype(np.uint8)
    bright[:5] = 128  # of one colour there is no silhouette
    save_arrays(folder, "test", bright, np.arange(10) % 2)
    found = finish(open_set("conditions:toy/test/50/0"))
    [condition] = found.attributes
    assert condition.title == "Condition"
    counts = dict(zip(*np.unique(condition.words, return_counts=True), strict=True))
    assert counts["As it is"] == counts["Blurred"] == counts["Edges"] == counts["Shuffled parts"] == 10
    assert counts.get("Silhouette", 0) <= 5
    assert "cannot be told apart" in found.note
    for name, said, label in zip(found.ids, condition.words, found.labels, strict=True):
        thing, _, words = name.partition(", ")
        assert words == said.lower()
        assert label == int(thing.partition("/")[2]) % 2
    assert len(found) == len(condition.codes) == len(found.thumbnails)
    assert condition.values == tuple(each.title for each in CONDITIONS.values())
