"""Importing: every layout we promise, every archive that lies, and nothing left behind when it fails."""

import contextlib
import errno
import gzip
import io
import json
import lzma
import os
import pickle
import stat
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.data import archives
from core.data.archives import import_archive
from core.data.arrays import load_arrays
from core.data.catalogue import list_files, read_dataset
from core.data.extract import Limits, extract_archive
from core.data.layout import read_layout
from core.errors import ArchiveError, CoreError
from tests.examples import examples

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    return tmp_path / "home"


def picture(size=(8, 8), colour=(200, 30, 60), kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def tar_of(path, files, mode="w:xz"):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def zip_of(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def folder_of(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def pack(kind, folder, files):
    if kind == "folder":
        return folder_of(folder / "images", files)
    if kind == "zip":
        return zip_of(folder / "set.zip", files)
    return tar_of(folder / f"set.{kind}", files, {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz"}[kind])


SPLIT_FILES = {
    "train/cat/1.png": picture(colour=(255, 0, 0)),
    "train/cat/2.png": picture(colour=(0, 255, 0)),
    "train/dog/1.png": picture(colour=(0, 0, 255)),
    "test/dog/9.png": picture(colour=(9, 9, 9)),
}


def assert_nothing_is_left(home):
    root = home / "data"
    assert not root.exists() or list(root.iterdir()) == []


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "folder"])
def test_every_kind_of_source_gives_the_same_arrays(kind, tmp_path):
    target = import_archive(pack(kind, tmp_path, SPLIT_FILES), "tiny")
    images, labels = (np.load(target / f"train_{each}.npy") for each in ("images", "labels"))
    test = load_arrays("tiny", "test")
    assert test.classes == ("cat", "dog")
    assert images.shape == (3, 8, 8, 3)
    assert labels.tolist() == [0, 0, 1]
    assert images[:, 0, 0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert test.labels.tolist() == [1]
    info = read_dataset("tiny")
    assert info["storage"] == "arrays"
    assert info["splits"] == {"test": 1, "train": 3}
    assert info["image_size"] == [8, 8]
    assert info["title"] == info["name"] == "tiny"
    assert info["skipped"] == {}
    assert "class_titles" not in info
    assert sorted(path.name for path in target.parent.iterdir()) == ["tiny"]


def test_the_kind_is_decided_by_content(tmp_path):
    source = tar_of(tmp_path / "wrong.zip", SPLIT_FILES, "w:gz")
    assert import_archive(source, "tiny").is_dir()


@pytest.mark.parametrize(
    "files",
    [
        {**SPLIT_FILES, "train/cat/large.png": picture((9, 8))},
        {name: picture((97, 97)) for name in SPLIT_FILES},
        {name: picture((300, 200), kind="JPEG") for name in SPLIT_FILES},
    ],
    ids=["two sizes", "too large", "much too large"],
)
@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_other_images_stay_files(kind, files, tmp_path):
    source = pack(kind, tmp_path, files)
    target = import_archive(source, "photos")
    assert read_dataset("photos")["storage"] == "folder"
    assert not list(target.glob("*.npy"))
    rows = list_files("photos", "train")
    assert len(rows) == sum(name.startswith("train") for name in files)
    for path, label in rows:
        assert path.read_bytes() == files[path.relative_to(target / "files").as_posix()]
        assert path.parent.name == ("cat", "dog")[label]
    assert not list(target.rglob("spool")) + list(target.rglob("scratch*"))
    if kind == "folder":
        assert all((source / name).is_file() for name in files)


def test_96_pixels_are_still_arrays(tmp_path):
    import_archive(zip_of(tmp_path / "a.zip", {name: picture((96, 80)) for name in SPLIT_FILES}), "edge")
    assert load_arrays("edge", "test").images.shape == (1, 80, 96, 3)


def test_greyscale_among_colour_becomes_rgb(tmp_path):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 77).save(buffer, "PNG")
    import_archive(zip_of(tmp_path / "a.zip", {**SPLIT_FILES, "train/cat/grey.png": buffer.getvalue()}), "mixed")
    images = load_arrays("mixed", "test").images
    assert images.shape[-1] == 3


def test_too_many_pixels_for_arrays_stay_files(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "ARRAY_BYTES", 4 * 8 * 8 * 3 - 1)
    import_archive(zip_of(tmp_path / "a.zip", SPLIT_FILES), "tiny")
    assert read_dataset("tiny")["storage"] == "folder"


def paths(*names):
    return [tuple(name.split("/")) for name in names]


@pytest.mark.parametrize(
    ("names", "splits", "classes"),
    [
        (["training/0/a", "testing/1/b"], {"train", "test"}, ("0", "1")),
        (["Train/a/1", "validation/b/1", "TEST/a/1"], {"train", "val", "test"}, ("a", "b")),
        (["photo/dog/1", "sketch/dog/1", "art_painting/cat/1"], {"photo", "sketch", "art_painting"}, ("cat", "dog")),
        (["Real World/dog/1", "Real/dog/1"], {"real_world", "real"}, ("dog",)),
        (["A b/dog/1", "a_b/dog/2"], {"a_b", "a_b_2"}, ("dog",)),
        (["valid/dog/1", "val/dog/2"], {"val", "val_2"}, ("dog",)),
        (["cat/1", "dog/1"], {"all"}, ("cat", "dog")),
        (["cue_conflict/cat/1", "cue_conflict/dog/2"], {"all"}, ("cat", "dog")),
        (["set/v1/train/cat/1", "set/v1/test/dog/2"], {"train", "test"}, ("cat", "dog")),
        (["train/cat/1", "train/dog/1"], {"train"}, ("cat", "dog")),
        (["cats/1.png", "cats/2.png"], {"all"}, ("cats",)),
        (["cats/IMG_1.png", "cats/IMG_2.png"], {"all"}, ("cats",)),
        (["x/n01440764_tench.jpg", "x/n01484850_shark.jpg"], {"all"}, ("n01440764", "n01484850")),
        (["cat_1.jpg", "dog_1.jpg"], {"all"}, ("cat", "dog")),
        (["train/n1/images/1", "train/n2/images/1", "val/n1/2"], {"train", "val"}, ("n1", "n2")),
        ([f"train/{n}/1" for n in range(12)], {"train"}, tuple(str(n) for n in range(12))),
    ],
)
def test_layouts(names, splits, classes):
    layout = read_layout(paths(*names))
    assert set(layout.splits) == splits
    assert layout.classes == classes
    assert layout.skipped == {}
    assert sum(map(len, layout.splits.values())) == len(names)


def test_flat_wnids_give_titles():
    layout = read_layout(paths("x/n01440764_tench.jpg", "x/n01484850_great_white_shark.jpg", "x/n01491361_12.JPEG"))
    assert layout.titles == {"n01440764": "tench", "n01484850": "great white shark"}


def test_strays_are_skipped_and_do_not_change_the_layout():
    layout = read_layout(paths("preview.png", "train/a/1", "train/b/2", "train/c/3", "train/overview.png"))
    assert set(layout.splits) == {"train"}
    assert set(layout.skipped) == {("preview.png",), ("train", "overview.png")}


@pytest.mark.parametrize(
    "names", [["1.png", "2.png"], ["IMG_1.png", "IMG_2.png"], ["train/1.png", "test/2.png"], ["train/1.png"]]
)
def test_images_without_classes_are_refused(names):
    with pytest.raises(ArchiveError, match="class folders") as caught:
        read_layout(paths(*names))
    assert "CLASS" in caught.value.remedy


PART = st.text("ab_1 ä", min_size=1, max_size=3)


@given(st.sets(st.lists(PART, min_size=1, max_size=5).map(tuple), min_size=1, max_size=20))
@examples(150)
def test_every_path_is_in_one_split_or_named_as_skipped(names):
    try:
        layout = read_layout(list(names))
    except ArchiveError:
        return
    placed = [path for rows in layout.splits.values() for path, _ in rows]
    assert sorted([*placed, *layout.skipped]) == sorted(names)
    assert list(layout.classes) == sorted(set(layout.classes))
    assert all(0 <= label < len(layout.classes) for rows in layout.splits.values() for _, label in rows)


def test_titles_from_a_table(tmp_path):
    files = {
        "meta/classes.tsv": b"n1\tgoldfish, Carassius auratus\nn2\ttench\nn9\tunused\n",
        "train/n1/a.png": picture(),
        "train/n2/a.png": picture(),
        "val/n3/a.png": picture(),
    }
    target = import_archive(tar_of(tmp_path / "a.tar.xz", files), "words")
    assert read_dataset("words")["class_titles"] == ["goldfish, Carassius auratus", "tench", "n3"]
    assert (target / "meta" / "classes.tsv").read_bytes() == files["meta/classes.tsv"]
    assert read_dataset("words")["skipped"] == {}


def test_broken_images_are_skipped_by_name(tmp_path):
    files = {
        **SPLIT_FILES,
        "train/cat/cut.png": picture()[:50],
        "train/cat/empty.jpg": b"",
        "train/cat/text.jpg": b"no image",
        "train/README.md": b"# hello",
        "stray.png": picture(),
        ".DS_Store": b"\0",
        "__MACOSX/train/cat/._1.png": b"\0",
    }
    import_archive(zip_of(tmp_path / "a.zip", files), "tiny")
    skipped = read_dataset("tiny")["skipped"]
    assert set(skipped) == {
        "train/cat/cut.png",
        "train/cat/empty.jpg",
        "train/cat/text.jpg",
        "train/README.md",
        "stray.png",
    }
    assert "damaged" in skipped["train/cat/cut.png"]
    assert skipped["train/cat/empty.jpg"] == "empty"
    assert "text" in skipped["train/cat/text.jpg"]
    assert load_arrays("tiny", "test").images.shape == (1, 8, 8, 3)
    assert read_dataset("tiny")["splits"] == {"test": 1, "train": 3}


def test_a_broken_image_leaves_labels_in_step(tmp_path):
    files = {f"train/{name}/{n}.png": picture(colour=(n, 0, 0)) for n, name in enumerate("abcd")}
    files["train/b/1.png"] = files["train/b/1.png"][:50]
    import_archive(zip_of(tmp_path / "a.zip", files), "steps")
    images = np.load(archives.data_root() / "steps" / "train_images.npy")
    labels = np.load(archives.data_root() / "steps" / "train_labels.npy")
    assert images[:, 0, 0, 0].tolist() == labels.tolist() == [0, 2, 3]


@pytest.mark.parametrize("name", ["", "Upper", "a b", "../up", "a/b", "ä", "x" * 65, ".hidden", "a\n"])
def test_names_are_checked(name, tmp_path, home):
    with pytest.raises(CoreError, match="cannot name"):
        import_archive(zip_of(tmp_path / "a.zip", SPLIT_FILES), name)
    assert not home.exists()


def test_a_taken_name_is_refused_and_untouched(tmp_path):
    source = zip_of(tmp_path / "a.zip", SPLIT_FILES)
    target = import_archive(source, "tiny")
    before = (target / "dataset.json").read_bytes()
    with pytest.raises(CoreError, match="already") as caught:
        import_archive(source, "tiny")
    assert "another name" in caught.value.remedy
    assert (target / "dataset.json").read_bytes() == before


def test_a_missing_source(tmp_path):
    with pytest.raises(ArchiveError, match="no file or folder"):
        import_archive(tmp_path / "absent.zip", "tiny")


def test_a_folder_around_our_own_data_is_refused(home):
    folder_of(home, SPLIT_FILES)
    with pytest.raises(ArchiveError, match="own data"):
        import_archive(home, "tiny")


@pytest.mark.parametrize("kind", ["zip", "tar.xz", "folder"])
def test_without_images_nothing_is_left(kind, tmp_path, home):
    with pytest.raises(ArchiveError, match="no images"):
        import_archive(pack(kind, tmp_path, {"a/readme.txt": b"hello"}), "tiny")
    assert_nothing_is_left(home)


def test_only_broken_images(tmp_path, home):
    with pytest.raises(ArchiveError, match="None of the 1 images"):
        import_archive(zip_of(tmp_path / "a.zip", {"a/b/1.png": picture()[:50]}), "tiny")
    assert_nothing_is_left(home)


@pytest.mark.parametrize("stage", ["Unpacking", "Reading"])
def test_an_interrupted_import_leaves_nothing(stage, tmp_path, home):
    def interrupt(share, text):
        if text.startswith(stage):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_archive(zip_of(tmp_path / "a.zip", SPLIT_FILES), "tiny", interrupt)
    assert_nothing_is_left(home)


def test_what_a_killed_import_left_is_removed_a_day_later(tmp_path, home):
    old, young = home / "data" / ".tiny.importing-1", home / "data" / ".tiny.importing-2"
    old.mkdir(parents=True)
    young.mkdir()
    os.utime(old, (0, 0))
    import_archive(zip_of(tmp_path / "a.zip", SPLIT_FILES), "tiny")
    assert not old.exists()
    assert young.exists()


@pytest.mark.parametrize("where", ["open_source", "save_arrays"])
def test_a_full_disk_is_a_sentence(where, tmp_path, home, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archives, where, fail)
    with pytest.raises(CoreError, match="is full"):
        import_archive(zip_of(tmp_path / "a.zip", SPLIT_FILES), "tiny")
    assert_nothing_is_left(home)


def test_progress_grows_to_one(tmp_path):
    seen = []
    import_archive(tar_of(tmp_path / "a.tar.xz", SPLIT_FILES), "tiny", lambda share, text: seen.append((share, text)))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert seen[-1] == (1.0, "Done")
    assert all(0 <= share <= 1 and text for share, text in seen)


# Hostile archives


HOSTILE = [
    "../evil.png",
    "a/../../evil.png",
    "/etc/evil.png",
    "C:/evil.png",
    "a/C:evil.png",
    "..\\evil.png",
    "a\\..\\..\\evil.png",
    "\\\\server\\evil.png",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.xz"])
def test_names_that_lead_out_are_refused(kind, name, tmp_path, home):
    source = pack(kind, tmp_path, {**SPLIT_FILES, name: picture()})
    with pytest.raises(ArchiveError, match="leave the folder"):
        import_archive(source, "tiny")
    assert_nothing_is_left(home)
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_links_and_devices_in_tar_are_refused(kind, tmp_path, home):
    source = tmp_path / "a.tar"
    with tarfile.open(source, "w") as archive:
        entry = tarfile.TarInfo("train/cat/link.png")
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    with pytest.raises(ArchiveError, match="link or device"):
        import_archive(source, "tiny")
    assert_nothing_is_left(home)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_zip_are_refused(kind, tmp_path, home):
    source = tmp_path / "a.zip"
    with zipfile.ZipFile(source, "w") as archive:
        entry = zipfile.ZipInfo("train/cat/link.png")
        entry.external_attr = (kind | 0o644) << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(ArchiveError, match="link or device"):
        import_archive(source, "tiny")
    assert_nothing_is_left(home)


def test_links_in_a_folder_are_not_followed(tmp_path):
    outside = folder_of(tmp_path / "outside", {"secret.png": picture()})
    source = folder_of(tmp_path / "images", SPLIT_FILES)
    (source / "train" / "cat" / "link.png").symlink_to(outside / "secret.png")
    (source / "train" / "linked").symlink_to(outside, target_is_directory=True)
    os.mkfifo(source / "train" / "cat" / "pipe.png")
    import_archive(source, "tiny")
    assert read_dataset("tiny")["splits"] == {"test": 1, "train": 3}
    assert read_dataset("tiny")["classes"] == ["cat", "dog"]


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
def test_a_member_that_inflates_is_stopped_early(kind, tmp_path, home, monkeypatch):
    monkeypatch.setattr(archives, "LIMITS", Limits(file_bytes=2**20))
    source = pack(kind, tmp_path, {"train/cat/bomb.png": bytes(32 * 2**20)})
    assert source.stat().st_size < 2**17
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="unpacks to more than 1 MiB"):
            import_archive(source, "tiny")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * 2**20  # xz itself takes 8 MiB for its dictionary
    assert_nothing_is_left(home)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.xz"])
def test_the_total_is_counted_as_it_comes_out(kind, tmp_path):
    source = pack(kind, tmp_path, {f"train/cat/{n}.png": bytes(3000) for n in range(10)})
    with pytest.raises(ArchiveError, match="unpacks to more than"):
        extract_archive(source, tmp_path / "spool", Limits(total_bytes=20_000))
    assert (tmp_path / "spool").stat().st_size <= 20_000


def test_a_zip_that_claims_less_than_it_holds(tmp_path):
    source = zip_of(tmp_path / "a.zip", {"train/cat/a.png": bytes(100_000)})
    data = source.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    source.write_bytes(data)
    with pytest.raises(ArchiveError):
        import_archive(source, "tiny")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.xz", "folder"])
def test_too_many_members(kind, tmp_path, home, monkeypatch):
    monkeypatch.setattr(archives, "LIMITS", Limits(members=3))
    with pytest.raises(ArchiveError, match="more than 3 files"):
        import_archive(pack(kind, tmp_path, SPLIT_FILES), "tiny")
    assert_nothing_is_left(home)


def test_a_folder_beyond_the_total(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LIMITS", Limits(total_bytes=100))
    with pytest.raises(ArchiveError, match="more than"):
        import_archive(folder_of(tmp_path / "images", SPLIT_FILES), "tiny")


def test_a_huge_extended_header_is_not_read_into_memory(tmp_path, home):
    source = tmp_path / "a.tar.xz"
    entry = tarfile.TarInfo("pax")
    entry.type, entry.size = tarfile.XHDTYPE, 32 * 2**20
    with lzma.open(source, "wb") as file:
        file.write(entry.tobuf())
        file.write(b"64 comment=" + bytes(32 * 2**20))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="header of more than"):
            import_archive(source, "tiny")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * 2**20


def test_skipping_over_data_counts_too(tmp_path):
    source = tmp_path / "a.tar.xz"
    with lzma.open(source, "wb") as file:
        for number in range(8):
            entry = tarfile.TarInfo(f"folder{number}")
            entry.type, entry.size = b"Z", 2**20  # an unknown type, whose data tarfile skips
            file.write(entry.tobuf() + bytes(2**20))
        file.write(bytes(1024))
    with pytest.raises(ArchiveError):
        extract_archive(source, tmp_path / "spool", Limits(total_bytes=2**20, members=20))


def test_an_xz_dictionary_that_would_fill_the_memory(tmp_path):
    plain = tar_of(tmp_path / "a.tar", SPLIT_FILES, "w").read_bytes()
    compressor = lzma.LZMACompressor(filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}])
    data = bytearray(compressor.compress(plain) + compressor.flush())
    # The block header: size, flags, filter id, size of properties, then the dictionary's size as one byte.
    position = 12 + 4
    size = (data[12] + 1) * 4
    data[position] = 36  # 1 GiB
    data[12 + size - 4 : 12 + size] = zlib.crc32(bytes(data[12 : 12 + size - 4])).to_bytes(4, "little")
    source = tmp_path / "a.tar.xz"
    source.write_bytes(data)
    with pytest.raises(ArchiveError, match="memory"):
        import_archive(source, "tiny")


def test_a_password_is_named(tmp_path):
    source = zip_of(tmp_path / "a.zip", SPLIT_FILES)
    data = bytearray(source.read_bytes())
    for marker, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(marker)
        while start >= 0:
            data[start + offset] |= 1
            start = data.find(marker, start + 4)
    source.write_bytes(data)
    with pytest.raises(ArchiveError, match="password"):
        import_archive(source, "tiny")


@pytest.mark.parametrize(
    ("data", "looks"),
    [
        (b"", "empty"),
        (b"just words", "text file"),
        (picture(), "PNG image"),
        (b"7z\xbc\xaf\x27\x1crest", "7z"),
        (b"Rar!\x1a\x07", "RAR"),
        (b"\x80\x04pickle", "pickle"),
        (bytes(2000), "unknown"),
    ],
)
def test_what_is_no_archive_is_named(data, looks, tmp_path, home):
    source = tmp_path / "set.tar.xz"
    source.write_bytes(data)
    with pytest.raises(ArchiveError, match=looks) as caught:
        import_archive(source, "tiny")
    assert ".zip" in caught.value.remedy
    assert_nothing_is_left(home)


def test_a_compressed_file_that_is_no_tar(tmp_path):
    source = tmp_path / "a.tar.gz"
    source.write_bytes(gzip.compress(b"words " * 1000))
    with pytest.raises(ArchiveError, match="damaged"):
        import_archive(source, "tiny")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_truncated_archives(kind, share, tmp_path, home):
    noise = np.random.default_rng(0)
    files = {}
    for number in range(12):
        buffer = io.BytesIO()
        Image.fromarray(noise.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(buffer, "PNG")
        files[f"train/cat/{number}.png"] = buffer.getvalue()
    source = pack(kind, tmp_path, files)
    data = source.read_bytes()
    end = len(data) if kind != "tar" else data.rindex(b"train/cat/11.png") + 1024  # tar pads its end with zeros
    source.write_bytes(data[: int(end * share)])
    with pytest.raises(ArchiveError) as caught:
        import_archive(source, "tiny")
    assert caught.value.remedy
    assert_nothing_is_left(home)


def test_a_tar_cut_between_two_members(tmp_path):
    source = tar_of(tmp_path / "a.tar", SPLIT_FILES, "w")
    data = source.read_bytes()
    source.write_bytes(data[:1024])
    with pytest.raises(ArchiveError, match="ends in the middle"):
        import_archive(source, "tiny")


def test_garbage_between_members_is_no_end(tmp_path):
    source = tar_of(tmp_path / "a.tar", SPLIT_FILES, "w")
    data = bytearray(source.read_bytes())
    data[1024 : 1024 + 512] = b"\xaa" * 512
    source.write_bytes(data)
    with pytest.raises(ArchiveError, match="ends in the middle"):
        import_archive(source, "tiny")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
@given(edits=st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 255)), min_size=1, max_size=4))
@examples(40)
def test_damaged_archives_unpack_or_are_refused(kind, edits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    source = pack(kind, folder, SPLIT_FILES)
    data = bytearray(source.read_bytes())
    for position, value in edits:
        data[position % len(data)] = value
    source.write_bytes(data)
    with contextlib.suppress(CoreError):
        extract_archive(source, folder / "spool", Limits()).close()
    assert sorted(path.name for path in folder.iterdir()) in ([source.name], sorted([source.name, "spool"]))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_file_that_is_also_a_folder(kind, tmp_path, home):
    files = {"train/cat/a": picture((100, 100)), "train/cat/a/b.png": picture((100, 100))}
    with pytest.raises(ArchiveError, match="could not be written"):
        import_archive(pack(kind, tmp_path, files), "tiny")
    assert_nothing_is_left(home)


def test_undecodable_names_become_printable(tmp_path):
    source = tmp_path / "a.tar"
    with tarfile.open(source, "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as archive:
        for name in ("train/caf\xe9/1.png", "train/a\nb/2.png"):
            entry = tarfile.TarInfo(name)
            entry.size = len(picture((100, 100)))
            archive.addfile(entry, io.BytesIO(picture((100, 100))))
    import_archive(source, "tiny")
    assert read_dataset("tiny")["classes"] == ["a_b", "café"]
    assert all(path.is_file() for path, _ in list_files("tiny", "train"))


def test_pickles_are_never_opened(tmp_path, home):
    class Boom:
        def __reduce__(self):
            return (os.mkdir, (str(home / "boom"),))

    files = {**SPLIT_FILES, "train/cat/data.pkl": pickle.dumps(Boom()), "train_images.npy": pickle.dumps(Boom())}
    import_archive(zip_of(tmp_path / "a.zip", files), "tiny")
    assert not (home / "boom").exists()
    assert "pickle" in read_dataset("tiny")["skipped"]["train/cat/data.pkl"]


# The archives that the project is developed with


def real(name):
    path = REAL / f"{name}.tar.xz"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("archive", "name", "splits", "classes", "storage"),
    [
        ("cue_conflict", "cue_conflict", {"all": 160}, 16, "folder"),
        ("pacs", "pacs", dict.fromkeys(("art_painting", "cartoon", "photo", "sketch"), 280), 7, "folder"),
        ("imagenet_samples", "imagenet_samples", {"all": 500}, 500, "folder"),
        ("colorized_mnist", "coloured_mnist", {"train": 8835, "test": 10000}, 10, "arrays"),
    ],
)
def test_real_archives(archive, name, splits, classes, storage):
    import_archive(real(archive), name)
    info = read_dataset(name)
    assert info["splits"] == splits
    assert len(info["classes"]) == classes
    assert info["storage"] == storage
    assert info["skipped"] == {}
    assert info["title"] == archives.DATASETS[name].title


@pytest.mark.realdata
def test_real_cifar10g():
    import_archive(real("cifar10g"), "cifar10g")
    info = read_dataset("cifar10g")
    assert info["splits"] == dict.fromkeys(archives.DATASETS["cifar10g"].splits, 100)
    assert len(info["skipped"]) == 6


@pytest.mark.realdata
@pytest.mark.slow
def test_real_cifar10_says_that_it_is_a_jpeg_copy():
    import_archive(real("cifar10"), "cifar10")
    assert read_dataset("cifar10")["title"] == "CIFAR-10 (JPEG copy)"
    assert load_arrays("cifar10", "test").images.shape == (10_000, 32, 32, 3)
    assert len(load_arrays("cifar10", "val")) == 5000


@pytest.mark.realdata
@pytest.mark.slow
def test_real_tiny_imagenet_keeps_its_words():
    target = import_archive(real("tiny_imagenet"), "tiny_imagenet")
    info = read_dataset("tiny_imagenet")
    assert info["splits"] == {"train": 38_000, "val": 4_000}
    assert info["class_titles"][0] == "goldfish, Carassius auratus"
    assert len(info["class_titles"]) == 200
    assert json.loads((target / "dataset.json").read_text(encoding="utf-8")) == info
