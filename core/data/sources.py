"""What is brought to be imported: the files of an archive or of a folder, told apart by their first bytes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.data.archive_names import Parts, about_encoding, printable, unused
from core.data.extract import Limits, extract_archive
from core.data.formats import HEAD_BYTES, describe, image_format
from core.data.name_encodings import decode_names
from core.data.tables import MOST_TABLES, SUFFIXES, TABLE_BYTES
from core.errors import ArchiveError
from core.reports import OnProgress, silent

# Tables of class, tab, readable name.
_TITLES_FILES = ("classes.tsv", "words.txt")
_TITLES_BYTES = 4 * 2**20


class Files(Protocol):
    """Where images come from: an unpacked archive or a folder.

    Attributes:
        notes: sentences about names.
        lost: files that are not here → why.
    """

    notes: list[str]
    lost: dict[Parts, str]

    def sizes(self) -> dict[Parts, int]: ...

    def folders(self) -> set[Parts]: ...

    def digests(self, files: Collection[Parts]) -> dict[Parts, bytes]: ...

    def read(self, parts: Parts, count: int | None = None) -> bytes: ...

    def close(self) -> None: ...


class Folder:
    """The plain files below a folder; links are not followed."""

    def __init__(self, folder: Path, encoding: str = "") -> None:
        self.notes: list[str] = []
        self.lost: dict[Parts, str] = {}
        self._paths: dict[Parts, Path] = {}
        self._folders: set[Parts] = set()
        undecoded: dict[Path, bytes] = {}
        for directory, folders, files in os.walk(folder):
            for name in [*folders, *files]:
                path = Path(directory) / name
                mode = path.lstat().st_mode
                inside = os.fsencode(path.relative_to(folder))
                if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    self.lost[_parts(os.fsdecode(inside))] = "a link or device, which is not followed"
                elif stat.S_ISDIR(mode):
                    self._folders.add(_parts(os.fsdecode(inside)))
                elif os.fsdecode(inside).isprintable():
                    self._add(os.fsdecode(inside), path)
                else:
                    undecoded[path] = inside
        names, found = decode_names(list(undecoded.values()), encoding)
        for path, name in zip(undecoded, names, strict=True):
            self._add(name, path)
        if undecoded and found != "utf-8":
            self.notes.append(about_encoding(found))

    def _add(self, name: str, path: Path) -> None:
        parts = _parts(name)
        if ".." in parts:
            self.lost[tuple(part.replace("..", "_") for part in parts)] = "its name leads out of the folder"
        else:
            self._paths[unused(parts, self._paths)] = path

    def sizes(self) -> dict[Parts, int]:
        """Bytes of every file, by the components of its name."""
        return {parts: path.lstat().st_size for parts, path in self._paths.items()}

    def folders(self) -> set[Parts]:
        """All folders, empty ones among them."""
        return self._folders

    def digests(self, files: Collection[Parts]) -> dict[Parts, bytes]:
        """What tells the contents of files apart; only of those that share their size with another."""
        sizes = {parts: self._paths[parts].lstat().st_size for parts in files}
        counts = Counter(sizes.values())
        return {
            parts: hashlib.blake2b(self.read(parts), digest_size=16).digest()
            for parts, size in sizes.items()
            if counts[size] > 1
        }

    def read(self, parts: Parts, count: int | None = None) -> bytes:
        """The content of a file, or its first `count` bytes."""
        with self._paths[parts].open("rb") as file:
            return file.read(-1 if count is None else count)

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """The files of a source, by what to do with them.

    Attributes:
        tables: text files that may say what images are.
        titles: lines of class, tab, readable name; empty if there is no such file.
    """

    images: list[Parts]
    tables: dict[Parts, bytes]
    titles: bytes
    skipped: dict[Parts, str]


def open_source(
    source: Path, spool: Path, limits: Limits, on_progress: OnProgress = silent, encoding: str = ""
) -> Files:
    """The files of an archive, unpacked into the one file `spool`, or of a folder, which stay where they are.

    Raises:
        ArchiveError: there is no such file, or the archive is damaged, unsafe or too large.
    """
    if source.is_dir():
        return Folder(source, encoding)
    if not source.is_file():
        raise ArchiveError(f"There is no file or folder {source}.", "Check the path.")
    return extract_archive(source, spool, limits, on_progress, encoding)


def sort_files(files: Files, source: str, limits: Limits) -> Sorted:
    """Every visible file, told apart by its first bytes.

    Raises:
        ArchiveError: there are more files than `limits` allow, or no images among them.
    """
    images: list[Parts] = []
    texts: dict[Parts, str] = {}
    skipped = {parts: why for parts, why in files.lost.items() if not any(is_hidden(part) for part in parts)}
    titles = b""
    sizes = {parts: size for parts, size in files.sizes().items() if not any(is_hidden(part) for part in parts)}
    # Archives were held to the limits as they were unpacked; a folder is asked here.
    if len(sizes) > limits.members or sum(sizes.values()) > limits.total_bytes:
        most = f"{limits.members:,} files or {limits.total_bytes / 2**30:.0f} GiB"
        raise ArchiveError(f"{source} holds more than {most}.", "Import a part of it.")
    for parts, size in sizes.items():
        if parts[-1] in _TITLES_FILES and size <= _TITLES_BYTES:
            titles = titles or files.read(parts)
        elif size > limits.file_bytes:
            skipped[parts] = f"larger than {limits.file_bytes // 2**20} MiB"
        else:
            head = files.read(parts, HEAD_BYTES)
            if image_format(head):
                images.append(parts)
                continue
            kind = describe(head)
            skipped[parts] = kind if kind == "empty" else f"not an image ({kind})"
            if "." + parts[-1].rpartition(".")[2].casefold() in SUFFIXES and 0 < size <= TABLE_BYTES:
                texts[parts] = kind
    if not images:
        raise ArchiveError(
            f"{source} holds no images.", "Give JPEG, PNG, WebP, GIF, BMP or TIFF images; links are not followed."
        )
    tables = sorted(texts, key=lambda parts: (len(parts), parts))[:MOST_TABLES]
    for parts in tables:
        del skipped[parts]
    return Sorted(images=images, tables={each: files.read(each) for each in tables}, titles=titles, skipped=skipped)


def is_hidden(name: str) -> bool:
    """What systems leave in folders, which nobody means as data."""
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini")


def _parts(name: str) -> Parts:
    """The components of a path; a tool that knew no folders may have left backslashes in a name."""
    return tuple(printable(part) for part in name.replace("\\", "/").split("/") if part)
