"""Sets of pictures: the same for the same seed, lazy, and honest about what cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.arrays import save_arrays
from core.data.examples import load_example
from core.data.image_sets import Drawn, Photo, _short, dataset_sample, folder_photos, photo_set, view_set
from core.errors import CoreError, UnknownNameError
from core.reports import finish
from tests.toy import save_toy


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


def test_a_sample_is_of_the_split_and_the_same_for_a_seed() -> None:
    folder = save_toy()
    first, again, other = (finish(dataset_sample("toy", "test", 8, seed)) for seed in (0, 0, 1))
    assert first.ids == again.ids != other.ids
    assert len(first) == 8
    stored = np.load(folder / "test_images.npy")
    rows = [int(name.partition("/")[2]) for name in first.ids]
    np.testing.assert_array_equal(first.source(224).images[:], stored[rows])
    assert [first.classes[label] for label in first.labels] == [("dark", "red")[row % 2] for row in rows]
    assert first.thumbnails.shape == (8, 32, 32, 3)
    assert len(finish(dataset_sample("toy", "test", 1000, 0))) == 20


def test_grey_images_get_three_channels(tmp_path: Path) -> None:
    folder = save_toy()
    save_arrays(folder, "test", np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4))
    found = finish(dataset_sample("toy", "test", 4, 0))
    assert found.source(8).images[:2].shape == (2, 8, 8, 3)
    assert not found.labelled


def test_unknown_data_sets_and_splits() -> None:
    with pytest.raises(CoreError, match="not on this machine"):
        finish(dataset_sample("cifar10", "test", 4, 0))
    save_toy()
    with pytest.raises(UnknownNameError, match="split of toy"):
        finish(dataset_sample("toy", "tset", 4, 0))


def test_photos_that_cannot_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    for name in ("cats/a.png", "cats/b.png", "dogs/c.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), "red").save(path)
    (tmp_path / "photos" / "cats" / "b.png").write_bytes(b"no pixels")
    (tmp_path / "photos" / "notes.txt").write_text("no photo", encoding="utf-8")
    photos, classes = folder_photos(str(tmp_path / "photos"), 10, 0)
    assert classes == ("cats", "dogs")
    found = finish(photo_set(photos, classes, name="folder", title="photos"))
    assert sorted(found.ids) == ["cats/a.png", "dogs/c.png"]
    assert "cats/b.png" in found.note
    assert [classes[label] for label in found.labels] == [name.partition("/")[0] for name in found.ids]
    assert found.source(16).images[:].shape == (2, 16, 16, 3)
    assert tuple(found.source(16).images[0][0, 0]) == (255, 0, 0)


@pytest.mark.parametrize("text", ["/no/such/folder", "~nobody_of_this_name/x", "\0"])
def test_folders_that_are_none_cost_a_sentence(text: str) -> None:
    with pytest.raises(CoreError, match=r"no folder that can be read|a user whom|cannot be a path"):
        folder_photos(text, 10, 0)


def test_only_bad_photos_is_an_error() -> None:
    def broken() -> Image.Image:
        raise CoreError("it is a spreadsheet")

    with pytest.raises(CoreError, match="None of the 1 photos of uploads can be read"):
        finish(photo_set([Photo(id="a", open=broken)], (), name="uploads", title="uploads"))
    with pytest.raises(CoreError, match="holds no photos"):
        finish(photo_set([], (), name="uploads", title="uploads"))


def test_labels_without_company_are_none(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (20, 20), "red").save(tmp_path / name / "x.png")
    photos, classes = folder_photos(str(tmp_path), 10, 0)
    assert len(classes) == 3
    assert not finish(photo_set(photos, classes, name="f", title="f")).labelled


def test_names_are_short_where_they_stay_different() -> None:
    titles = ("goldfish, Carassius auratus", "crane, a bird", "crane, a machine")
    assert _short(titles) == ("goldfish", "crane, a bird", "crane, a machine")


def test_views_begin_with_the_photo_and_differ_afterwards() -> None:
    photos = [(name, load_example(name)) for name in ("cat", "coffee")]
    first, again, other = (finish(view_set(photos, 5, seed=seed, name="v", title="Views")) for seed in (0, 0, 1))
    assert first.classes == ("cat", "coffee")
    assert first.labels.tolist() == [0] * 5 + [1] * 5
    np.testing.assert_array_equal(first.thumbnails, again.thumbnails)
    assert (first.thumbnails[0] == other.thumbnails[0]).all()
    assert len({thumbnail.tobytes() for thumbnail in first.thumbnails}) == 10
    assert (first.thumbnails != other.thumbnails).any()


def test_drawn_pictures_are_indexed_like_an_array() -> None:
    drawn = Drawn(lambda row, side: np.full((side, side, 3), row, np.uint8), [3, 1, 2], 4)
    assert drawn.shape == (3, 4, 4, 3)
    assert drawn[0].mean() == 3
    assert drawn[1:].mean(axis=(1, 2, 3)).tolist() == [1, 2]
    assert drawn[np.array([2, 0])].mean(axis=(1, 2, 3)).tolist() == [2, 3]
    assert drawn[:0].shape == (0, 4, 4, 3)
    assert np.asarray(drawn).shape == drawn.shape
