"""What an import understood is said before it stores, and nothing is lost silently; names in any alphabet are right."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from core.cli.main import app
from core.data.archives import import_archive, read_archive
from core.data.catalogue import list_files, read_dataset
from core.data.extract import Limits
from core.data.name_encodings import decode_names
from core.data.reading import find_duplicates, read_files, table
from core.data.sources import Folder
from core.errors import ArchiveError, ConfigError, CoreError
from core.paths import data_root


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


def picture(number: int, side: int = 8) -> bytes:
    """A picture that no other number gives."""
    pixels = np.random.default_rng(number).integers(0, 255, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def folder_of(path: Path, names: list[str], side: int = 8) -> Path:
    for number, name in enumerate(names):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(picture(number, side))
    return path


def raw_zip(path: Path, names: list[bytes], extra: list[bytes] | None = None) -> Path:
    """A zip of pictures without the UTF-8 flag, with these bytes for names: what old and foreign tools write."""
    body = listing = b""
    for number, name in enumerate(names):
        data, more = picture(number), extra[number] if extra else b""
        start = len(body)
        tail = struct.pack("<IIIHH", zlib.crc32(data), len(data), len(data), len(name), len(more))
        body += struct.pack("<IHHHHH", 0x04034B50, 20, 0, 0, 0, 33) + tail + name + more + data
        listing += struct.pack("<IHHHHHH", 0x02014B50, 20, 20, 0, 0, 0, 33) + tail
        listing += struct.pack("<HHHII", 0, 0, 0, 0, start) + name + more
    ending = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(names), len(names), len(listing), len(body), 0)
    path.write_bytes(body + listing + ending)
    return path


def understood(folder: Path, wanted: str = "") -> str:
    """Everything that is said about a folder."""
    reading = read_files(Folder(folder), folder.name, Limits())
    return "\n".join(table(reading, reading.choose(wanted)))


NAMES = {
    "cp437": ["café", "Größe", "naïve"],
    "cp1252": ["café", "Größe", "señor"],
    "cp866": ["кошка", "собака", "Лиса"],
    "cp1251": ["кошка", "собака", "Лиса"],
    "cp1250": ["kočka", "liška", "żółw"],
    "cp737": ["γάτα", "σκύλος", "άλογο"],
    "cp932": ["猫", "りんご", "表"],
    "cp936": ["猫", "狗", "汽车"],
    "cp949": ["고양이", "개", "자동차"],
    "cp950": ["貓", "狗", "汽車"],
    "utf-8": ["café", "猫", "кошка"],
}


@pytest.mark.parametrize(("encoding", "classes"), NAMES.items(), ids=NAMES)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_in_other_encodings_are_read_as_they_were_written(
    encoding: str, classes: list[str], kind: str, tmp_path: Path
) -> None:
    # 表 ends in the byte of a backslash, which is no separator there.
    names = [f"{name}/{number}.png".encode(encoding) for name in classes for number in range(2)]
    if kind == "zip":
        source = raw_zip(tmp_path / "a.zip", names)
    else:
        source = tmp_path / "a.tar"
        with tarfile.open(source, "w", encoding=encoding, format=tarfile.GNU_FORMAT) as archive:
            for number, name in enumerate(names):
                entry = tarfile.TarInfo(name.decode(encoding))
                entry.size = len(picture(number))
                archive.addfile(entry, io.BytesIO(picture(number)))
    reading = read_archive(source).reading
    assert set(reading.choose().classes) == set(classes)
    assert any("not in Unicode" in note for note in reading.notes) == (encoding != "utf-8")


def test_an_encoding_can_be_set_right() -> None:
    raw = ["Å".encode("cp850")]
    assert decode_names(raw, "cp850") == (["Å"], "cp850")
    with pytest.raises(ConfigError, match="no encoding"):
        decode_names(raw, "cp-nonsense")


def test_the_field_for_a_name_in_unicode_counts(tmp_path: Path) -> None:
    names = [b"k?cka/1.png", b"k\x9fcka/2.png"]
    written = [name.encode() for name in ("kočka/1.png", "kůň/2.png")]
    fields = [
        struct.pack("<HHBI", 0x7075, 5 + len(text), 1, zlib.crc32(name)) + text
        for name, text in zip(names, written, strict=True)
    ]
    # The first name is ASCII, so nobody had to ask; the second is not.
    assert set(read_archive(raw_zip(tmp_path / "a.zip", names, fields)).reading.choose().classes) == {"k?cka", "kůň"}


def test_backslashes_separate_folders(tmp_path: Path) -> None:
    names = [f"{name}\\{number}.png".encode() for name in ("cat", "dog") for number in range(2)]
    import_archive(raw_zip(tmp_path / "a.zip", names), "pets")
    assert read_dataset("pets")["classes"] == ["cat", "dog"]
    folder = tmp_path / "unzipped"
    folder.mkdir()
    for number, name in enumerate(names):
        (folder / name.decode()).write_bytes(picture(number))
    (folder / "..\\..\\evil.png").write_bytes(picture(9))
    import_archive(folder, "again")
    assert read_dataset("again")["classes"] == ["cat", "dog"]
    assert list(read_dataset("again")["skipped"].values()) == ["its name leads out of the folder"]
    assert not list(tmp_path.rglob("evil*"))


def test_one_class_in_two_ways_to_store_an_accent(tmp_path: Path) -> None:
    folder_of(tmp_path / "a", ["cafe\u0301/1.png", "cafe\u0301/2.png", "caf\u00e9/1.png", "tea/1.png"], side=120)
    import_archive(tmp_path / "a", "drinks")
    info = read_dataset("drinks")
    assert info["classes"] == ["caf\u00e9", "tea"]
    assert info["splits"] == {"all": 4}
    # Nor does one file take the place of the other where the system cannot tell the names apart.
    stored = [path.relative_to(data_root()).as_posix() for path, _ in list_files("drinks", "all")]
    assert len(set(stored)) == 4
    assert sum("_2.png" in name for name in stored) == 1
    assert sorted(path.read_bytes() for path, _ in list_files("drinks", "all")) == sorted(
        picture(number, 120) for number in range(4)
    )


def test_names_that_differ_in_what_cannot_be_shown_stay_two_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number, name in enumerate(("cat/a\x01.png", "cat/a\x02.png", "dog/a.png")):
            archive.writestr(name, picture(number))
    import_archive(tmp_path / "a.zip", "pets")
    assert read_dataset("pets")["splits"] == {"all": 3}


def test_a_name_that_occurs_twice_is_said(tmp_path: Path) -> None:
    import_archive(raw_zip(tmp_path / "a.zip", [b"cat/a.png", b"cat/a.png", b"dog/a.png"]), "pets")
    assert read_dataset("pets")["splits"] == {"all": 2}
    assert read_dataset("pets")["skipped"] == {"cat/a.png (earlier)": "a later file of the archive has the same name"}


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_an_empty_class_folder_is_said(kind: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", ["cat/1.png", "dog/1.png"])
    (folder / "fox").mkdir()
    source = folder
    if kind == "zip":
        source = tmp_path / "a.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder))
    if kind == "tar":
        source = tmp_path / "a.tar"
        with tarfile.open(source, "w") as archive:
            archive.add(folder, "a")
    import_archive(source, "pets")
    info = read_dataset("pets")
    assert info["classes"] == ["cat", "dog"]
    assert list(info["skipped"].values()) == ["an empty folder, which is no class"]
    assert next(iter(info["skipped"])).removeprefix("a/") == "fox/"


def test_a_class_that_a_split_lacks_is_said(tmp_path: Path) -> None:
    folder_of(tmp_path / "a", ["train/cat/1.png", "train/dog/2.png", "test/cat/3.png"])
    assert "test has no pictures of dog." in understood(tmp_path / "a")


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_duplicates_between_and_within_splits_are_said(kind: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", [f"{s}/{c}/{n}.png" for s in ("train", "test") for c in "ab" for n in range(3)])
    (folder / "test/a/0.png").write_bytes(picture(0))  # train/a/0.png
    (folder / "train/a/1.png").write_bytes(picture(0))
    (folder / "train/b/2.png").write_bytes(picture(4))  # train/b/1.png
    (folder / "test/b/2.png").write_bytes(picture(1000))
    source = folder
    if kind == "zip":
        source = tmp_path / "a.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for path in sorted(folder.rglob("*.png")):
                archive.write(path, path.relative_to(folder))
    reading = read_archive(source).reading
    found = reading.duplicates(reading.choose())
    assert found.between == {("test", "train"): 1}
    assert found.within == {"train": 2}
    assert found.contradictions == 0
    said = " ".join(reading.warnings(reading.choose()))
    assert "1 picture is in both test and train, such as test/a/0.png and train/a/1.png" in said
    assert "2 pictures occur more than once in train" in said
    import_archive(source, "twice")
    info = read_dataset("twice")
    assert info["splits"] == {"train": 6, "test": 6}
    assert any("in both test and train" in note for note in info["notes"])


def test_a_picture_in_two_classes_is_a_contradiction(tmp_path: Path) -> None:
    folder_of(tmp_path / "a", ["cat/1.png", "cat/2.png", "dog/1.png"])
    (tmp_path / "a/dog/2.png").write_bytes(picture(0))
    reading = read_files(Folder(tmp_path / "a"), "a", Limits())
    assert find_duplicates(reading.choose(), reading.same).contradictions == 1
    assert "1 picture is in more than one class." in understood(tmp_path / "a")


def test_what_is_skipped_is_said_by_reason(tmp_path: Path) -> None:
    folder_of(tmp_path / "a", ["cat/1.png", "dog/1.png", "stray.png"])
    (tmp_path / "a/cat/notes.txt").write_text("hello", encoding="utf-8")
    (tmp_path / "a/cat/link.png").symlink_to(tmp_path / "a/dog/1.png")
    said = understood(tmp_path / "a")
    assert "1 file: not in a class folder (stray.png)" in said
    assert "1 file: a text file that names no images (cat/notes.txt)" in said
    assert "1 file: a link or device, which is not followed (cat/link.png)" in said


def test_parts_that_will_be_set_aside_are_said(tmp_path: Path) -> None:
    folder_of(tmp_path / "a", ["cat/1.png", "dog/1.png", "dog/2.png", "dog/3.png"])
    said = understood(tmp_path / "a")
    assert "tests on a fifth of each class of all" in said
    assert "cat: fewer than 3 pictures" in said
    folder_of(tmp_path / "b", [f"{s}/{c}/{n}.png" for s in ("train", "test") for c in "ab" for n in range(3)])
    assert "No validation split is given" in understood(tmp_path / "b")


def test_a_preview_has_a_picture_of_each_class_and_stores_nothing(tmp_path: Path) -> None:
    names = [f"{c}/{n}.png" for c in ("cat", "dog") for n in range(2)]
    preview = read_archive(folder_of(tmp_path / "a", names, side=300))
    assert set(preview.pictures) == {("cat", "0.png"), ("dog", "0.png")}
    assert max(max(each.size) for each in preview.pictures.values()) == 96
    assert list(data_root().iterdir()) == []


def test_the_command_line_shows_then_stores(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "a", [f"{c}/{k}{n}.png" for c in ("real", "geons") for k in ("car", "dog") for n in (1, 2)]
    )
    (folder / "real" / "dog3.png").write_bytes(picture(50)[:60])
    arguments = ["data", "import", str(folder), "--name", "shapes"]
    done = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "condition-names" in done.output
    assert ["car", "2", "2"] in [line.split() for line in done.output.splitlines()]
    assert "Nothing is stored" in done.output
    assert not (data_root() / "shapes").exists()
    done = CliRunner().invoke(app, arguments)
    assert "Imported 2 classes (geons 4, real 4)" in done.output
    assert "Not read: 1 file: " in done.output
    assert read_dataset("shapes")["layout"] == "condition-names"
    done = CliRunner().invoke(app, [*arguments[:-1], "others", "--layout", "class-folders"])
    assert read_dataset("others")["classes"] == ["geons", "real"]


def test_the_command_line_asks_where_two_readings_are_equally_good(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "a", [f"{c}/{n}.png" for c in ("pets/cat", "pets/dog", "cars/bus", "cars/van") for n in (1, 2)]
    )
    arguments = ["data", "import", str(folder), "--name", "things"]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, CoreError)
    done = CliRunner().invoke(app, [*arguments, "--layout", "inner-folders"])
    assert done.exit_code == 0, done.output
    assert read_dataset("things")["classes"] == ["bus", "cat", "dog", "van"]


def test_table_and_split_reach_what_is_stored(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", [f"images/{n}.png" for n in range(6)])
    rows = "".join(f"{n},{['猫', 'dog'][n % 2]},{'train' if n < 4 else 'test'}\n" for n in range(6))
    (folder / "labels.csv").write_bytes(("id,label,split\n" + rows).encode("utf-16"))
    target = import_archive(folder, "table")
    info = json.loads((target / "dataset.json").read_text(encoding="utf-8"))
    assert info["classes"] == ["dog", "猫"]
    assert info["splits"] == {"train": 4, "test": 2}
    assert info["layout"] == "table:label"
    assert np.load(target / "train_labels.npy").tolist() == [1, 0, 1, 0]


def test_a_source_without_classes_says_how_to_give_some(tmp_path: Path) -> None:
    folder_of(tmp_path / "a", ["IMG_0012.png", "IMG_0013.png", "PXL_2021.png"])
    with pytest.raises(ArchiveError) as caught:
        import_archive(tmp_path / "a", "phone")
    assert "labels.csv" in caught.value.remedy
