"""What people's folders mean: splits, classes, conditions; and a question where they may mean two things."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.layout import Layout, choose_layout, read_layout, read_layouts
from core.errors import ArchiveError, UnknownNameError
from tests.examples import examples

FEW = range(4)


def files(pattern: str, **values: object) -> list[str]:
    """The pattern for every combination of values and four numbers n."""
    names = [pattern]
    for key, choices in {**values, "n": FEW}.items():
        names = [name.replace(f"<{key}>", str(each)) for name in names for each in choices]  # type: ignore[attr-defined]
    return list(dict.fromkeys(names))


def layouts(names: list[str], tables: Mapping[str, str] | None = None) -> list[Layout]:
    texts = {tuple(name.split("/")): text.encode() for name, text in (tables or {}).items()}
    return read_layouts([tuple(name.split("/")) for name in names], texts)


def read(names: list[str], tables: Mapping[str, str] | None = None, wanted: str = "") -> Layout:
    return choose_layout(layouts(names, tables), wanted)


def counts(layout: Layout) -> dict[str, int]:
    return {split: len(rows) for split, rows in layout.splits.items()}


def label_of(layout: Layout, name: str) -> str:
    """The class of one file."""
    path = tuple(name.split("/"))
    (label,) = (label for rows in layout.splits.values() for parts, label in rows if parts == path)
    return layout.classes[label]


def rows(pattern: str, count: int = 4) -> str:
    """Lines for numbers n, in which ab, mf and split change."""
    return "".join(
        pattern.format(n=n, ab="ab"[n % 2], mf="mf"[n // 2 % 2], split="train" if n else "test") + "\n"
        for n in range(count)
    )


CUB = ("001.Albatross", "002.Auklet")
NOISY = files("<s>/<c>/<c>_<n>.jpg", s=("train", "val"), c=("n01443537", "n01443538"))
PETS = "Abyssinian_0 1 1 1\nAbyssinian_1 1 1 1\namerican_bulldog_0 2 1 1\namerican_bulldog_1 2 1 1\n"
VAL = "".join(f"val_{n}.JPEG\tn0144353{7 + n % 2}\t0\t32\t44\t62\n" for n in FEW)
SIGNS = "Width,Height,ClassId,Path\n" + "".join(f"3,3,{n % 2},Test/0000{n}.png\n" for n in FEW)

KNOWN = {
    "splits by folder, classes in names": (
        files("train/<c>.<n>.jpg", c=("cat", "dog")) + files("test1/<n>.jpg"),
        {},
        ("cat", "dog"),
        {"train": 8},
        4,
    ),
    "the same classes in the names of both splits": (
        files("<s>/<c>_<n>.jpg", s=("train", "test"), c=("german_shepherd", "tabby")),
        {},
        ("german_shepherd", "tabby"),
        {"train": 8, "test": 8},
        0,
    ),
    "cars_train and cars_test with classes": (
        files("cars_<s>/<c>/<n>.jpg", s=("train", "test"), c=("audi", "bmw")),
        {},
        ("audi", "bmw"),
        {"train": 8, "test": 8},
        0,
    ),
    "breeds with underscores": (
        files("<c>_<n>.jpg", c=("german_shepherd", "german_pointer", "beagle")),
        {},
        ("beagle", "german_pointer", "german_shepherd"),
        {"all": 12},
        0,
    ),
    "labels in front of numbers": (files("<c>_0000<n>.png", c=(3, 7)), {}, ("3", "7"), {"all": 8}, 0),
    "numbers in front of labels": (files("000<n>_<c>.png", c=("cat", "dog")), {}, ("cat", "dog"), {"all": 8}, 0),
    "a word that all names share": (files("img_<c>_<n>.png", c=("cat", "dog")), {}, ("cat", "dog"), {"all": 8}, 0),
    "days in names": (
        files("<c>_2021050<d>_12345<n>.jpg", c=("cat", "dog"), d=(1, 2)),
        {},
        ("cat", "dog"),
        {"all": 16},
        0,
    ),
    "camera names in class folders": (
        files("<c>/<p><n>.jpg", c=("cat", "dog"), p=("IMG_001", "PXL_2021", "DSC0")),
        {},
        ("cat", "dog"),
        {"all": 24},
        0,
    ),
    "CUB": (
        files("CUB/images/<c>/<c>_<n>.jpg", c=("001.Albatross", "002.Auklet"))
        + files("CUB/segmentations/<c>/<c>_<n>.png", c=("001.Albatross", "002.Auklet")),
        {
            "CUB/bounding_boxes.txt": "1 60 27 325 304\n2 139 30 153 264\n",
            "CUB/images.txt": "".join(f"{n} {c}/{c}_{n % 4}.jpg\n" for n in range(8) for c in [CUB[n // 4]]),
            "CUB/train_test_split.txt": "".join(f"{n} {int(n % 4 > 0)}\n" for n in range(8)),
        },
        ("001.Albatross", "002.Auklet"),
        {"train": 6, "test": 2},
        9,
    ),
    "Oxford pets": (
        files("images/<c>_<n>.jpg", c=("Abyssinian", "american_bulldog"))
        + files("annotations/trimaps/<c>_<n>.png", c=("Abyssinian", "american_bulldog")),
        {"annotations/trainval.txt": PETS, "annotations/test.txt": PETS.replace("_0", "_2").replace("_1", "_3")},
        ("Abyssinian", "american_bulldog"),
        {"train": 4, "test": 4},
        8,
    ),
    "Tiny-ImageNet": (
        files("t/train/<c>/images/<c>_<n>.JPEG", c=("n01443537", "n01443538"))
        + files("t/val/images/val_<n>.JPEG")
        + files("t/test/images/test_<n>.JPEG"),
        {"t/val/val_annotations.txt": VAL},
        ("n01443537", "n01443538"),
        {"train": 8, "val": 4},
        4,
    ),
    "Caltech-101": (
        files("caltech/101_ObjectCategories/<c>/image_000<n>.jpg", c=("ant", "Faces")),
        {},
        ("Faces", "ant"),
        {"all": 8},
        0,
    ),
    "a folder inside a folder of its name": (
        files("seg_<s>/seg_<s>/<c>/<n>.jpg", s=("train",), c=("sea", "street"))
        + files("seg_test/seg_test/<c>/<n>.jpg", c=("sea", "street"))
        + files("seg_pred/seg_pred/<c><n>.jpg", c=range(6)),
        {},
        ("sea", "street"),
        {"train": 8, "test": 8},
        24,
    ),
    "the split inside the class": (
        files("<c>/<s>/<n>.jpg", c=("bottle", "cable"), s=("train", "test")),
        {},
        ("bottle", "cable"),
        {"train": 8, "test": 8},
        0,
    ),
    "a class called train": (
        files("<c>/<n>.jpg", c=("bus", "car", "train")),
        {},
        ("bus", "car", "train"),
        {"all": 12},
        0,
    ),
    "images in a class folder and below it": (
        files("<c>/<n>.jpg", c=("cat", "dog")) + files("cat/kittens/<n>.jpg"),
        {},
        ("cat", "dog"),
        {"all": 12},
        0,
    ),
    "the same subfolders in every class": (
        files("<c>/<n>.jpg", c=("cat", "dog")) + files("<c>/<s>/<n>.jpg", c=("cat", "dog"), s=("day", "night")),
        {},
        ("cat", "dog"),
        {"all": 24},
        0,
    ),
    "CONDITION/categoryN": (
        files("<c>/<k><n>.jpg", c=("realistic", "geons", "silhouettes"), k=("car", "dog")),
        {},
        ("car", "dog"),
        {"realistic": 8, "geons": 8, "silhouettes": 8},
        0,
    ),
    "CONDITION/categoryN of unknown conditions": (
        files("<c>/<k>_<n>.jpg", c=("eins", "zwei", "drei"), k=("car", "dog", "cup")),
        {},
        ("car", "cup", "dog"),
        {"eins": 12, "zwei": 12, "drei": 12},
        0,
    ),
    "CONDITION/CATEGORY": (
        files("<c>/<k>/<n>.jpg", c=("eins", "zwei"), k=("car", "dog")),
        {},
        ("car", "dog"),
        {"eins": 8, "zwei": 8},
        0,
    ),
    "CONDITION/category without a number": (
        [f"{c}/{k}.jpg" for c in ("realistic", "geons", "edges") for k in ("car", "dog")],
        {},
        ("car", "dog"),
        {"realistic": 2, "geons": 2, "edges": 2},
        0,
    ),
    "CLASS/view": (files("<c>/<s>/<n>.jpg", c=("mug", "cup"), s=("left", "right")), {}, ("cup", "mug"), {"all": 16}, 0),
    "numbers on both sides": (files("<n>_<c>_<n>.jpg", c=("cat", "dog")), {}, ("cat", "dog"), {"all": 8}, 0),
    "whole numbers as pandas writes them": (
        files("<n>.jpg"),
        {"y.csv": "file,label\n" + rows("{n}.jpg,{n}.0").replace("3.0", "").replace("2.0", "1.0")},
        ("0", "1"),
        {"all": 3},
        1,
    ),
    "a form for answers beside class folders": (
        files("train/<c>/<c><n>.jpg", c=("cat", "dog")) + files("test/x<n>.jpg"),
        {"sample_submission.csv": "id,label\n" + rows("x{n},cat")},
        ("cat", "dog"),
        {"train": 8},
        5,
    ),
    "the split of a table beside class folders": (
        files("images/<c>/<c><n>.jpg", c=("cat", "dog")),
        {"meta/train.txt": rows("cat/cat{n}", 3) + rows("dog/dog{n}", 3), "meta/test.txt": "cat/cat3\ndog/dog3\n"},
        ("cat", "dog"),
        {"train": 6, "test": 2},
        0,
    ),
    "colours in class folders of numbers": (
        files("<c>/<k>_<n>.jpg", c=(0, 1), k=("red", "blue")),
        {},
        ("0", "1"),
        {"all": 16},
        0,
    ),
    "a table beside a folder": (
        files("images/<n>.jpg"),
        {"labels.csv": "id,label\n0,cat\n1,dog\n2,cat\n"},
        ("cat", "dog"),
        {"all": 3},
        1,
    ),
    "a table with semicolons, paths and a split": (
        files("images/<n>.jpg"),
        {"y.csv": "Path;Class;Split\n" + rows("C:\\data\\{n}.JPG;{ab};{split}")},
        ("a", "b"),
        {"test": 1, "train": 3},
        0,
    ),
    "numbers without their zeros": (
        files("images/0000<n>.jpg"),
        {"y.tsv": "image_id\tbreed\n" + "".join(f"{n}\t{'ab'[n % 2]}\n" for n in FEW)},
        ("a", "b"),
        {"all": 4},
        0,
    ),
    "columns of ones": (
        files("images/Train_<n>.jpg"),
        {"train.csv": "image_id,healthy,rust\n" + "".join(f"Train_{n},{n % 2},{1 - n % 2}\n" for n in FEW)},
        ("healthy", "rust"),
        {"train": 4},
        0,
    ),
    "parts of a set beside its table": (
        files("images_part_<p>/x<p><n>.jpg", p=(1, 2)),
        {"meta.csv": "lesion,image_id,dx,sex\n" + rows("L{n},x1{n},{ab},{mf}") + rows("L{n},x2{n},{ab},{mf}")},
        ("a", "b"),
        {"all": 8},
        0,
    ),
    "a JSON file of pairs": (
        files("<n>.jpg"),
        {"dataset.json": '{"labels": [["0.jpg", 0], ["1.jpg", 1], ["2.jpg", 0], ["3.jpg", 1]]}'},
        ("0", "1"),
        {"all": 4},
        0,
    ),
    "a JSON file of labels by file": (
        files("<n>.jpg"),
        {"y.json": '{"0.jpg": "cat", "1.jpg": "dog", "2.jpg": "cat", "3.jpg": "dog"}'},
        ("cat", "dog"),
        {"all": 4},
        0,
    ),
    "metadata of each split": (
        files("<s>/<n>.jpg", s=("train", "test")),
        dict.fromkeys(("train/metadata.jsonl", "test/metadata.jsonl"), rows('{{"file_name": "{n}.jpg", "y": "{ab}"}}')),
        ("a", "b"),
        {"train": 4, "test": 4},
        0,
    ),
    "test labels in a table": (
        files("Train/<c>/0000<c>_<n>.png", c=(0, 1)) + files("Test/0000<n>.png"),
        {"Test.csv": SIGNS},
        ("0", "1"),
        {"train": 8, "test": 4},
        0,
    ),
    "folders with a table of something else": (
        NOISY,
        {"noisy.csv": "path,noisy_labels_5\n" + "".join(f"{name},{'ab'[n % 2]}\n" for n, name in enumerate(NOISY))},
        ("n01443537", "n01443538"),
        {"train": 8, "val": 8},
        0,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("names", "tables", "classes", "splits", "skipped"), KNOWN.values(), ids=KNOWN)
def test_what_people_bring_is_read_as_it_was_meant(
    names: list[str], tables: dict[str, str], classes: tuple[str, ...], splits: dict[str, int], skipped: int
) -> None:
    layout = read(names, tables)
    assert layout.classes == classes
    assert counts(layout) == splits
    assert len(layout.skipped) == skipped
    for rows in layout.splits.values():
        for path, label in rows:
            named = [name for name in classes if name in "/".join(path) and len(name) > 2]
            assert not named or layout.classes[label] == max(named, key=len)


def test_splits_are_no_conditions() -> None:
    assert read(KNOWN["the same classes in the names of both splits"][0]).name == "file-names"


def test_labels_of_a_table_reach_their_images() -> None:
    names, tables, *_ = KNOWN["numbers without their zeros"]
    layout = read(names, tables)
    assert [label_of(layout, f"images/0000{n}.jpg") for n in FEW] == ["a", "b", "a", "b"]
    layout = read(*KNOWN["test labels in a table"][:2])
    assert [label_of(layout, f"Test/0000{n}.png") for n in FEW] == ["0", "1", "0", "1"]
    assert any("Test.csv" in note for note in layout.notes)


EQUAL = {
    "groups of other classes": (
        files("animals/<c>/<n>.jpg", c=("cat", "dog")) + files("vehicles/<c>/<n>.jpg", c=("bus", "car")),
        {},
        {"class-folders": ("animals", "vehicles"), "inner-folders": ("bus", "car", "cat", "dog")},
    ),
    "two columns": (
        files("<n>.jpg"),
        {"y.csv": "id,colour,size\n0,red,big\n1,red,small\n2,blue,big\n3,blue,small\n"},
        {"table:colour": ("blue", "red"), "table:size": ("big", "small")},
    ),
    "folders or names": (
        [f"{c}/{k}{4 * m + n}.jpg" for m, c in enumerate(("eins", "zwei")) for k in ("car", "dog") for n in FEW],
        {},
        {"class-folders": ("eins", "zwei"), "condition-names": ("car", "dog")},
    ),
}


@pytest.mark.parametrize(("names", "tables", "choices"), EQUAL.values(), ids=EQUAL)
def test_two_equally_good_readings_are_a_question(
    names: list[str], tables: dict[str, str], choices: dict[str, tuple[str, ...]]
) -> None:
    with pytest.raises(ArchiveError, match="equally good") as caught:
        read(names, tables)
    for name, classes in choices.items():
        assert f"--layout {name}" in caught.value.remedy
        assert read(names, tables, name).classes == classes
    with pytest.raises(UnknownNameError, match="layout"):
        read(names, tables, "by-colour")


@pytest.mark.parametrize(
    "names",
    [
        files("<p><n>.jpg", p=("IMG_001", "PXL_2021", "DSC0")),
        files("<d>_12345<n>.jpg", d=(20210501, 20210502)),
        files("WhatsApp Image 2023-01-0<n> at 12.00.00.jpg") + files("Screenshot (<n>).png"),
        files("cars_<s>/0000<n>.jpg", s=("train", "test")),
        files("test/images/image_<n>.jpg") + files("train/images/image_<n>.jpg"),
    ],
)
def test_what_tells_no_class_is_refused(names: list[str]) -> None:
    with pytest.raises(ArchiveError, match="class"):
        read(names)


def test_spellings_of_one_class_are_one_class_and_said() -> None:
    layout = read(
        files("train/<c>/<n>.jpg", c=("Cat", "cafe\u0301", "owl"))
        + files("test/<c>/<n>.jpg", c=("cat", "caf\u00e9", "Cat"))
    )
    assert layout.classes == ("Cat", "caf\u00e9", "owl")
    assert counts(layout) == {"train": 12, "test": 12}
    assert any("“Cat” and “cat” are one class" in note for note in layout.notes)
    assert any("accents" in note for note in layout.notes)


def test_single_letters_in_both_cases_are_two_classes() -> None:
    assert read(files("train/<c>/<n>.jpg", c="Aab")).classes == ("A", "a", "b")


def test_annotations_beside_images_are_said() -> None:
    layout = read(*KNOWN["Oxford pets"][:2])
    assert set(layout.skipped.values()) == {"in a folder of annotations"}
    # But a folder of that name among others is a class.
    assert read_layout([("masks", "1.jpg"), ("faces", "1.jpg")]).classes == ("faces", "masks")


def test_a_damaged_table_is_named_and_another_one_read() -> None:
    layout = read(files("<n>.jpg"), {"a.json": "{", "b.csv": "id,label\n0,x\n1,y\n2,x\n3,y\n"})
    assert layout.classes == ("x", "y")
    assert "damaged" in layout.skipped["a.json",]


def test_rows_without_images_are_counted() -> None:
    layout = read(files("<n>.jpg"), {"b.csv": "id,label\n" + "".join(f"{n},{'xy'[n % 2]}\n" for n in range(9))})
    assert any("5 rows name no image" in note for note in layout.notes)


CELL = st.text("ab01,;\t\"'{}[]: .png\n", max_size=40)


@given(st.dictionaries(st.sampled_from(["l.csv", "a/l.txt", "train.tsv", "l.json", "l.jsonl"]), CELL, max_size=3))
@examples(150)
def test_any_text_beside_images_leaves_every_image_placed_or_named(tables: dict[str, str]) -> None:
    names = ["a.png", "b.png", "a/0.png", "a/1.png", "b/0.png"]
    for layout in layouts(names, tables):
        placed = ["/".join(path) for rows in layout.splits.values() for path, _ in rows]
        named = ["/".join(path) for path in layout.skipped]
        assert sorted([*placed, *(each for each in named if each in names)]) == sorted(names)
