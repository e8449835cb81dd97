"""Any data set at any size: photos decoded once, splits that never overlap."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data import loading
from core.data.archives import import_archive
from core.data.arrays import load_arrays, save_arrays
from core.data.catalogue import read_dataset
from core.data.loading import (
    Rows,
    choose_splits,
    decode_split,
    limit_images,
    load_images,
    load_splits,
    measure_normalisation,
)
from core.errors import ConfigError, CoreError, UnknownNameError
from core.paths import data_root


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


def import_photos(tmp_path: Path, folders: list[str], count: int = 10) -> None:
    """`count` photos of 120 × 100 pixels per folder; each is of one grey that tells which it is."""
    for number, folder in enumerate(folders):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        for index in range(count):
            image = Image.new("RGB", (120, 100), (number * 20 + index,) * 3)
            image.save(tmp_path / "photos" / folder / f"{index}.png")
    import_archive(tmp_path / "photos", "photos")


def save_numbered(name: str, splits: dict[str, int], channels: int = 3) -> None:
    """Arrays whose images tell their row; two classes in turn."""
    first = 0
    for split, count in splits.items():
        images = np.zeros((count, 4, 4, channels), np.uint8) + np.arange(first, first + count)[:, None, None, None]
        save_arrays(data_root() / name, split, images, np.arange(count) % 2)
        first += count
    (data_root() / name / "dataset.json").write_text(json.dumps({"classes": ["a", "b"]}), encoding="utf-8")


def numbers(data: loading.ArrayDataset) -> list[int]:
    return [int(image[0, 0, 0]) for image in data.images[:]]


DOMAINS = [f"{domain}/{name}" for domain in ("oil", "photo", "sketch") for name in ("cat", "dog")]


def test_photos_are_decoded_once_at_the_size_asked_for(tmp_path, monkeypatch):
    import_photos(tmp_path, DOMAINS)
    data = load_images("photos", "photo", 16)
    assert data.images.shape == (20, 16, 16, 3)
    assert numbers(data) == [*range(40, 50), *range(60, 70)]
    assert list(data.labels) == [0] * 10 + [1] * 10
    monkeypatch.setattr(loading, "decode_image", None)
    assert numbers(load_images("photos", "photo", 16)) == numbers(data)
    with pytest.raises(TypeError):
        load_images("photos", "photo", 8)


def test_a_broken_photo_costs_a_sentence_and_not_the_run(tmp_path):
    import_photos(tmp_path, DOMAINS)
    broken = next((data_root() / "photos" / "files").rglob("sketch/dog/3.png"))
    broken.write_bytes(broken.read_bytes()[:40])
    splits = load_splits("photos", 8)
    assert len(splits.test) == 19
    assert list(splits.skipped) == ["3.png"]
    assert "damaged" in splits.skipped["3.png"]
    assert 103 not in numbers(splits.test)


def test_an_interrupted_decoding_leaves_nothing(tmp_path):
    import_photos(tmp_path, DOMAINS)
    started = decode_split("photos", "oil", 8)
    assert next(started).steps == 20
    started.close()
    assert list((tmp_path / "home" / "cache" / "images" / "photos").iterdir()) == []
    for file in (data_root() / "photos" / "files").rglob("*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(CoreError, match="None of the images in oil"):
        load_images("photos", "oil", 8)


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="asks Linux what is mapped")
@pytest.mark.parametrize("broken", [0, 1])
def test_nothing_is_mapped_of_a_folder_that_is_renamed(tmp_path, monkeypatch, broken):
    """Windows refuses to rename it then, and to overwrite a file that is mapped."""
    import_photos(tmp_path, DOMAINS)
    for file in list((data_root() / "photos" / "files").rglob("oil/dog/*.png"))[:broken]:
        file.write_bytes(b"no image")
    mapped = []

    def switched(source: Path, target: Path) -> None:
        mapped.append(str(source) in Path("/proc/self/maps").read_text(encoding="utf-8"))
        os.replace(source, target)

    monkeypatch.setattr(loading, "switch", switched)
    assert len(load_images("photos", "oil", 8)) == 20 - broken
    assert mapped == [False]


def test_a_data_set_imported_anew_is_decoded_anew(tmp_path):
    import_photos(tmp_path, ["cat", "dog"])
    assert numbers(load_images("photos", "all", 8))[0] == 0
    for folder in (data_root() / "photos", tmp_path / "photos"):
        folder.rename(folder.with_name("gone"))
    import_photos(tmp_path, ["cat", "dog"], count=5)
    assert len(load_images("photos", "all", 8)) == 10


def test_domains_are_learned_from_or_tested_on(tmp_path):
    import_photos(tmp_path, DOMAINS)
    assert choose_splits("photos") == (("oil", "photo"), ("sketch",))
    assert choose_splits("photos", test="oil") == (("photo", "sketch"), ("oil",))
    assert choose_splits("photos", train="sketch") == (("sketch",), ("photo",))
    assert choose_splits("photos", train="all", test="all")[0] == ("oil", "photo", "sketch")
    with pytest.raises(ConfigError, match="photo would be learned from and tested on"):
        choose_splits("photos", train="oil+photo", test="photo")
    with pytest.raises(UnknownNameError, match="sketch"):
        choose_splits("photos", test="sketc")


@pytest.mark.parametrize(
    ("train", "test", "sizes"), [("", "", (36, 4, 20)), ("all", "all", (44, 4, 12)), ("oil", "oil", (14, 2, 4))]
)
def test_parts_never_overlap(tmp_path, train, test, sizes):
    import_photos(tmp_path, DOMAINS)
    splits = load_splits("photos", 8, train=train, test=test)
    parts = [numbers(part) for part in (splits.train, splits.val, splits.test)]
    assert tuple(map(len, parts)) == sizes
    assert len({number for part in parts for number in part}) == sum(sizes)
    for part in (splits.train, splits.val, splits.test):
        assert list(np.bincount(part.labels)) == [len(part) // 2] * 2
        # Every image kept its label: of the folders' greys, odd twenties are dogs.
        assert [number // 20 % 2 for number in numbers(part)] == list(part.labels)


def test_arrays_are_split_as_everywhere_else():
    save_numbered("toy", {"train": 40, "test": 10})
    splits = load_splits("toy", 99)
    assert splits.train.images.shape == (36, 4, 4, 3)
    for split, part in (("train", splits.train), ("val", splits.val), ("test", splits.test)):
        assert numbers(part) == numbers(load_arrays("toy", split))
        assert list(part.labels) == list(load_arrays("toy", split).labels)
    assert numbers(load_images("toy", "val", 99)) == numbers(splits.val)
    assert len(load_images("toy", "train", 99)) == 40


def test_where_only_train_and_val_exist_the_second_is_for_testing():
    save_numbered("toy", {"train": 40, "val": 10})
    splits = load_splits("toy", 4)
    assert splits.held_out == "val"
    assert numbers(splits.test) == list(range(40, 50))
    assert (len(splits.train), len(splits.val)) == (36, 4)
    save_numbered("three", {"train": 40, "val": 10, "test": 6})
    assert [len(part.labels) for part in (lambda s: (s.train, s.val, s.test))(load_splits("three", 4))] == [40, 10, 6]


def test_grey_arrays_become_rgb():
    save_numbered("grey", {"train": 20, "test": 4}, channels=1)
    assert load_images("grey", "test", 4).images.shape == (4, 4, 4, 3)
    assert load_splits("grey", 4).train.images[:2].shape == (2, 4, 4, 3)


def test_rows_read_like_the_array_they_stand_for():
    random = np.random.default_rng(0)
    parts = [random.integers(0, 255, (count, 2, 2, 3), dtype=np.uint8) for count in (3, 5, 2)]
    order = random.permutation(10)[:7]
    whole, rows = np.concatenate(parts)[order], Rows(parts, order)
    chosen = np.array([6, 0, 0, 3])
    np.testing.assert_array_equal(rows[chosen], whole[chosen])
    np.testing.assert_array_equal(rows[2:5], whole[2:5])
    np.testing.assert_array_equal(rows[4], whole[4])
    np.testing.assert_array_equal(np.asarray(rows), whole)
    assert (rows.shape, rows.dtype, rows.nbytes, len(rows)) == (whole.shape, whole.dtype, whole.nbytes, 7)


def test_a_limit_draws_the_same_images_again():
    save_numbered("toy", {"train": 40, "test": 10})
    data = load_images("toy", "train", 4)
    some = limit_images(data, 12, seed=3)
    assert numbers(some) == sorted(set(numbers(some)))
    assert len(some) == 12
    assert numbers(limit_images(data, 12, seed=3)) == numbers(some) != numbers(limit_images(data, 12, seed=4))
    assert limit_images(data, None) is data


def test_normalisation_is_that_of_the_pixels():
    save_numbered("toy", {"train": 40, "test": 10})
    measured = measure_normalisation(load_images("toy", "train", 4))
    assert measured.mean == pytest.approx([np.arange(40).mean() / 255] * 3, rel=1e-5)
    assert measured.std == pytest.approx([np.arange(40).std() / 255] * 3, rel=1e-5)


def test_small_class_folders_without_splits_have_all_three_parts(tmp_path) -> None:
    random = np.random.default_rng(0)
    for name, count in (("cat", 3), ("dog", 5), ("owl", 2), ("yak", 1)):
        (tmp_path / "few" / name).mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(0, 255, (120, 130, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "few" / name / f"{index}.png")
    import_archive(tmp_path / "few", "few")
    assert any("No test split is given" in note for note in read_dataset("few")["notes"])
    assert any("owl, yak: fewer than 3" in note for note in read_dataset("few")["notes"])
    first, again = load_splits("few", 8), load_splits("few", 8)
    assert first.held_out == "a fifth of all"
    counts = {part: np.bincount(getattr(first, part).labels, minlength=4).tolist() for part in ("train", "val", "test")}
    assert counts == {"train": [1, 3, 1, 1], "val": [1, 1, 0, 0], "test": [1, 1, 1, 0]}
    assert (first.test.images[:] == again.test.images[:]).all()
