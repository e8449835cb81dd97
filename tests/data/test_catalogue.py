"""The catalogue and the data sets on this machine."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.archives import import_archive
from core.data.arrays import load_arrays, save_arrays
from core.data.catalogue import (
    DATASETS,
    imported_title,
    installed_datasets,
    list_files,
    read_dataset,
    sample_images,
)
from core.data.spec import check_dataset_name
from core.errors import CoreError, UnknownNameError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    return tmp_path / "home"


@pytest.fixture(params=[8, 120], ids=["arrays", "folder"])
def shades(request, tmp_path):
    """Classes a and b with 20 images each in train; the red channel counts them, so every picture is known."""
    with zipfile.ZipFile(tmp_path / "shades.zip", "w") as archive:
        for number in range(40):
            buffer = io.BytesIO()
            Image.new("RGB", (request.param, request.param), (number, 0, 0)).save(buffer, "PNG")
            archive.writestr(f"train/{'ab'[number // 20]}/{number:02}.png", buffer.getvalue())
    import_archive(tmp_path / "shades.zip", "shades")
    return "shades"


@pytest.mark.parametrize("name", DATASETS)
def test_every_row_is_complete(name):
    spec = DATASETS[name]
    check_dataset_name(name)
    assert spec.name == name
    assert all((spec.title, spec.classes, spec.splits, spec.licence, spec.how))
    assert name in spec.how
    if spec.kind == "torchvision":
        import torchvision.datasets

        assert hasattr(torchvision.datasets, spec.torchvision_name)


def test_the_catalogue_holds_what_is_promised():
    promised = "cifar10 cifar100 mnist fashion_mnist stl10 coloured_mnist cifar10g pacs tiny_imagenet cue_conflict"
    assert {*promised.split(), "imagenet_samples"} == set(DATASETS)


@pytest.mark.parametrize(
    ("name", "classes", "lossy", "title"),
    [
        ("cifar10", 10, True, "CIFAR-10 (JPEG copy)"),
        ("cifar10", 10, False, "CIFAR-10"),
        ("cifar10", 3, True, "cifar10"),
        ("pacs", 7, True, "PACS"),
        ("holiday", 3, True, "holiday"),
    ],
)
def test_titles_are_honest(name, classes, lossy, title):
    assert imported_title(name, classes, lossy=lossy) == title


def test_nothing_installed():
    assert installed_datasets() == {}


def test_installed_are_those_with_a_readable_description(shades, home):
    for folder, text in {"broken": "{", "list": "[]", "bare": "{}", ".shades.importing-1": '{"classes": []}'}.items():
        (home / "data" / folder).mkdir()
        (home / "data" / folder / "dataset.json").write_text(text, encoding="utf-8")
    (home / "data" / "half").mkdir()
    (home / "data" / "note.txt").write_text("a file", encoding="utf-8")
    found = installed_datasets()
    assert set(found) == {"shades"}
    assert found["shades"]["splits"] == {"train": 40}


def test_arrays_written_by_a_script_are_read_too(home):
    folder = home / "data" / "plain"
    save_arrays(folder, "test", np.full((4, 5, 6, 1), 7), np.arange(4) % 2)
    (folder / "dataset.json").write_text(json.dumps({"name": "plain", "classes": ["a", "b"]}), encoding="utf-8")
    assert installed_datasets()["plain"]["splits"] == {"test": 4}
    picture, label = sample_images("plain", "test", 1, seed=0)[0]
    assert (picture.mode, picture.size) == ("RGB", (6, 5))
    assert picture.getpixel((0, 0)) == (7, 7, 7)
    assert label in (0, 1)


def test_samples_carry_their_label(shades):
    rows = sample_images(shades, "train", 100, seed=0)
    numbers = [picture.getpixel((0, 0))[0] for picture, _ in rows]
    assert all(label == number // 20 for number, (_, label) in zip(numbers, rows, strict=True))
    held_out = [picture.getpixel((0, 0))[0] for picture, _ in sample_images(shades, "val", 100, seed=0)]
    assert len(held_out) == 4
    assert sorted(numbers + held_out) == list(range(40))


def test_samples_follow_the_seed(shades):
    def draw(seed):
        return [picture.getpixel((0, 0))[0] for picture, _ in sample_images(shades, "train", 8, seed)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert len(set(draw(1))) == 8
    assert sample_images(shades, "train", 0, seed=1) == []


def test_samples_agree_with_the_arrays(shades):
    if read_dataset(shades)["storage"] != "arrays":
        pytest.skip("stored as files")
    val = load_arrays(shades, "val")
    rows = sample_images(shades, "val", 100, seed=3)
    assert sorted(np.asarray(picture)[0, 0, 0] for picture, _ in rows) == sorted(val.images[:, 0, 0, 0])


def test_unknown_names_and_splits(shades, home):
    with pytest.raises(UnknownNameError, match="train"):
        sample_images(shades, "trian", 1, seed=0)
    with pytest.raises(CoreError, match="not on this machine") as caught:
        sample_images("pacs", "photo", 1, seed=0)
    assert "core data import FILE --name pacs" in caught.value.remedy
    with pytest.raises(CoreError, match="cannot name"):
        read_dataset("../home/data/shades")


def test_lists_of_files_only_where_there_are_files(shades):
    if read_dataset(shades)["storage"] == "arrays":
        with pytest.raises(CoreError, match="arrays"):
            list_files(shades, "train")
    else:
        assert len(list_files(shades, "train")) == 40
        with pytest.raises(UnknownNameError):
            list_files(shades, "test")


def test_a_picture_that_is_gone(shades):
    if read_dataset(shades)["storage"] == "arrays":
        pytest.skip("stored as arrays")
    for path, _ in list_files(shades, "train"):
        path.unlink()
    with pytest.raises(CoreError, match="no longer"):
        sample_images(shades, "train", 1, seed=0)


def test_damage_is_named_when_asked_directly(shades, home):
    (home / "data" / shades / "dataset.json").write_text("{", encoding="utf-8")
    with pytest.raises(CoreError, match="damaged"):
        read_dataset(shades)


def test_neither_the_catalogue_nor_the_importer_imports_torch():
    code = "import sys, core.data.catalogue, core.data.archives; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert done.stdout.strip() == "False"
