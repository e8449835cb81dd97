"""Uploads on the disk: found again by the browser that sent them, and by nobody else; limited in age and room."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data import uploads
from core.data.uploads import (
    Upload,
    delete_upload,
    find_file,
    find_upload,
    keep_file,
    keep_upload,
    list_uploads,
    tidy_uploads,
)

MINE, YOURS = "1" * 32, "2" * 32


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_READ_ONLY", raising=False)
    return tmp_path / "uploads"


def photo(seed: int = 0, side: int = 20) -> Upload:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side + 5, 3), dtype=np.uint8)
    return Upload(image=Image.fromarray(pixels), title=f"Fähre {seed}.jpg", note="It uses 12 of its 16 bits.")


def files(place: Path) -> list[Path]:
    return sorted(place.rglob("*.png"))


def test_the_same_pixels_come_back_with_what_was_said_of_them() -> None:
    sent = photo()
    assert keep_upload(MINE, sent)
    found = find_upload(MINE, sent.key)
    assert found is not None
    np.testing.assert_array_equal(np.asarray(found.image), np.asarray(sent.image))
    assert (found.title, found.note, found.key) == (sent.title, sent.note, sent.key)
    assert list_uploads(MINE) == [sent.key]


def test_nobody_else_finds_it_and_the_folder_tells_no_secret(place: Path) -> None:
    sent = photo()
    keep_upload(MINE, sent)
    assert find_upload(YOURS, sent.key) is None
    assert list_uploads(YOURS) == []
    delete_upload(YOURS, sent.key)
    assert find_upload(MINE, sent.key) is not None
    assert not any(MINE in str(path) for path in place.rglob("*"))
    if os.name == "posix":
        assert all(folder.stat().st_mode & 0o077 == 0 for folder in place.iterdir())


def test_what_is_deleted_is_gone(place: Path) -> None:
    keep_upload(MINE, photo())
    delete_upload(MINE, photo().key)
    assert find_upload(MINE, photo().key) is None
    assert files(place) == []


@pytest.mark.parametrize("key", ["../secret", "0" * 15, "G" * 16, "", "0" * 16 + "\n", "..%2f" + "0" * 11])
def test_keys_are_no_paths(key: str, place: Path) -> None:
    keep_upload(MINE, photo())
    assert find_upload(MINE, key) is None
    delete_upload(MINE, key)
    assert len(files(place)) == 1


def test_a_read_only_service_keeps_and_shows_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_upload(MINE, photo(1))
    monkeypatch.setenv("VITRINE_READ_ONLY", "1")
    assert not keep_upload(MINE, photo(2))
    assert find_upload(MINE, photo(1).key) is None
    assert list_uploads(MINE) == []
    assert len(files(place)) == 1


def test_what_nobody_looked_at_for_a_month_goes(place: Path) -> None:
    for seed in (1, 2):
        keep_upload(MINE, photo(seed))
    long_ago = time.time() - (uploads.MOST_DAYS + 1) * 86_400
    for path in files(place):
        os.utime(path, (long_ago, long_ago))
    assert find_upload(MINE, photo(2).key) is not None  # which counts as looking at it
    tidy_uploads()
    assert list_uploads(MINE) == [photo(2).key]
    tidy_uploads(time.time() + (uploads.MOST_DAYS + 1) * 86_400)
    assert list(place.iterdir()) == []


def test_too_much_of_one_browser_costs_its_oldest(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_upload(YOURS, photo(9))
    keep_upload(MINE, photo(0))
    one = files(place)[0].stat().st_size
    monkeypatch.setattr(uploads, "MOST_BYTES", int(2.5 * one))
    for seed in range(1, 5):
        time.sleep(0.01)  # so that the times of the files differ
        keep_upload(MINE, photo(seed))
    assert list_uploads(MINE) == [photo(4).key, photo(3).key]
    assert list_uploads(YOURS) == [photo(9).key]
    monkeypatch.setattr(uploads, "MOST_BYTES_OF_ALL", int(2.5 * one))
    tidy_uploads()
    assert list_uploads(MINE) == [photo(4).key, photo(3).key]
    assert list_uploads(YOURS) == []


def test_a_damaged_file_is_no_photo_and_no_crash(place: Path) -> None:
    keep_upload(MINE, photo())
    (path,) = files(place)
    for data in (path.read_bytes()[:-200], b"", b"\x89PNG\r\n\x1a\nnothing"):
        path.write_bytes(data)
        assert find_upload(MINE, photo().key) is None
    other = photo(3)
    keep_upload(MINE, other)
    next(each for each in files(place) if each.stem == other.key).replace(path)  # pixels of another name
    assert find_upload(MINE, photo().key) is None


def test_a_disk_that_takes_nothing_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(uploads, "write_atomically", refuse)
    assert not keep_upload(MINE, photo())


def test_other_things_are_kept_by_the_same_rules_and_are_no_photos(place: Path) -> None:
    keep_upload(MINE, photo())
    assert keep_file(MINE, "0" * 16, "npz", b"numbers")
    assert find_file(MINE, "0" * 16, "npz") == b"numbers"
    assert find_file(YOURS, "0" * 16, "npz") is None
    assert find_file(MINE, "0" * 16, "json") is None
    assert (list_uploads(MINE), list_uploads(MINE, "npz")) == ([photo().key], ["0" * 16])
    for forged in ("../" + "0" * 13, "0" * 15, "x" * 16):
        assert not keep_file(MINE, forged, "npz", b"")
        assert find_file(MINE, forged, "npz") is None
    tidy_uploads(time.time() + 31 * 86_400)
    assert not list(place.rglob("*.npz"))
    assert keep_file(MINE, "1" * 16, "npz", b"numbers")
    delete_upload(MINE, "1" * 16, "npz")
    assert find_file(MINE, "1" * 16, "npz") is None
