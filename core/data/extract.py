"""Unpacking an archive from anyone: nothing leaves the target, nothing but plain files, limits that headers cannot lie
about.

Everything suspicious refuses the whole archive: an archive that tries to leave its folder once is not to be trusted
with the rest.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from core.data.archive_names import Parts, about_encoding, printable, safe_parts, unused, zip_names
from core.data.formats import HEAD_BYTES, describe
from core.data.name_encodings import decode_names
from core.errors import ArchiveError
from core.reports import OnProgress, silent

_Unpacked = IO[bytes] | gzip.GzipFile | lzma.LZMAFile

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

_CHUNK = 2**20
_BLOCK = 512
_LZMA_MEMORY = 512 * 2**20
_REPORT_EVERY = 256
# In front of names whose encoding is not known yet; no member's name begins so.
_RAW = "/?"
_SAVE_AGAIN = "Download or pack it again."
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    struct.error,
    EOFError,
    UnicodeError,
    NotImplementedError,
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much an archive may unpack to."""

    members: int = 1_000_000
    file_bytes: int = 50 * 2**20
    total_bytes: int = 20 * 2**30


class Unpacked:
    """The files of an archive, one after the other in a single file of ours.

    No name from the archive reaches the file system here, and 60,000 small images take seconds instead of a minute.

    Attributes:
        notes: sentences about names.
        lost: files that are not here → why.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._spans: dict[Parts, tuple[int, int]] = {}
        self._digests: dict[Parts, bytes] = {}
        self._written: dict[Parts, str] = {}
        self._folders: set[Parts] = set()
        self._end = 0
        self.notes: list[str] = []
        self.lost: dict[Parts, str] = {}

    def sizes(self) -> dict[Parts, int]:
        """Bytes of every file, by the components of its name."""
        return {parts: size for parts, (_, size) in self._spans.items()}

    def digests(self, files: Collection[Parts]) -> dict[Parts, bytes]:
        """What tells the contents of files apart."""
        return {parts: self._digests[parts] for parts in files}

    def folders(self) -> set[Parts]:
        """Folders that the archive lists, empty ones among them."""
        return self._folders

    def read(self, parts: Parts, count: int | None = None) -> bytes:
        """The content of a file, or its first `count` bytes."""
        start, size = self._spans[parts]
        self._file.seek(start)
        return self._file.read(size if count is None else min(size, count))

    def add_folder(self, parts: Parts) -> None:
        """Note a folder, which may be empty."""
        self._folders.add(parts)

    def add(self, parts: Parts, stream: IO[bytes], limits: Limits, name: str = "") -> None:
        """Copy `stream`, counting what really comes out; the size in its header proves nothing.

        As in tar, the later of two files of one name counts; `name` tells names apart that look alike once printable.
        """
        start, shown = self._end, "/".join(parts)[:120]
        digest = hashlib.blake2b(digest_size=16)
        while chunk := stream.read(_CHUNK):
            self._end += len(chunk)
            if self._end - start > limits.file_bytes:
                raise ArchiveError(
                    f"{shown} unpacks to more than {_size(limits.file_bytes)}.", "Leave out what is no image and retry."
                )
            if self._end > limits.total_bytes:
                raise _too_large(limits)
            self._file.write(chunk)
            digest.update(chunk)
        if parts in self._spans:
            if self._written.get(parts, name) == name:
                self.lost[(*parts[:-1], f"{parts[-1]} (earlier)")] = "a later file of the archive has the same name"
            else:
                parts = unused(parts, self._spans)
        if name:
            self._written[parts] = name
        self._spans[parts] = (start, self._end - start)
        self._digests[parts] = digest.digest()

    def rename(self, names: Mapping[Parts, Parts]) -> None:
        """Give files the names that were found for them."""
        for old, new in names.items():
            new = unused(new, self._spans) if new != old else new
            self._spans[new], self._digests[new] = self._spans.pop(old), self._digests.pop(old)

    def close(self) -> None:
        """Let go of the file; it is the caller's to delete."""
        self._file.close()


@dataclass(frozen=True, kw_only=True)
class _Member:
    """One file of an archive, or a folder, which has no stream.

    Attributes:
        name: as the archive has it, where that is not what `parts` say.
        share: how far through the archive we are.
    """

    parts: Parts
    stream: IO[bytes] | None
    share: float
    name: str = ""


def extract_archive(
    source: Path, spool: Path, limits: Limits, on_progress: OnProgress = silent, encoding: str = ""
) -> Unpacked:
    """Unpack the zip or tar archive `source` into the one file `spool`.

    Args:
        encoding: of names that do not say which they are in; guessed from all of them where it is empty.

    Raises:
        OSError: the disk is full.
        ArchiveError: it is no such archive, is damaged or truncated, holds names that lead out of a folder, links or
            devices, or unpacks to more than `limits`.
    """
    unpacked = Unpacked(spool)
    try:
        for number, member in enumerate(_members(source, limits, encoding, unpacked.notes)):
            if member.stream is None:
                unpacked.add_folder(member.parts)
            else:
                unpacked.add(member.parts, member.stream, limits, member.name)
            if number % _REPORT_EVERY == 0:
                on_progress(member.share, f"Unpacking: {number:,} files")
        _name_the_unnamed(unpacked, encoding)
    except _DAMAGE as error:
        unpacked.close()
        raise ArchiveError(f"{source.name} is damaged or incomplete ({error}).", _SAVE_AGAIN) from error
    except OSError as error:
        unpacked.close()
        if error.errno in DISK_FULL:
            raise
        raise ArchiveError(f"{source.name} cannot be read ({error.strerror}).", _SAVE_AGAIN) from error
    except BaseException:
        unpacked.close()
        raise
    return unpacked


def _name_the_unnamed(unpacked: Unpacked, encoding: str) -> None:
    """Names in a tar archive that may be in any encoding, once all of them are known."""
    unnamed = [parts for parts in unpacked.sizes() if parts[0].startswith(_RAW)]
    if not unnamed:
        return
    raw = [parts[0].removeprefix(_RAW).encode("utf-8", "surrogateescape") for parts in unnamed]
    names, found = decode_names(raw, encoding)
    unpacked.rename({parts: safe_parts(name) for parts, name in zip(unnamed, names, strict=True)})
    if found != "utf-8":
        unpacked.notes.append(about_encoding(found))


def _members(source: Path, limits: Limits, encoding: str, notes: list[str]) -> Iterator[_Member]:
    """The files of the archive in order; the kind of archive is decided by content."""
    with source.open("rb") as raw:
        head = raw.read(HEAD_BYTES)
        raw.seek(0)
        if head.startswith(b"PK"):
            yield from _zip_members(source, limits, encoding, notes)
        elif head.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield from _tar_members(source, raw, unpacked, limits)
        elif head.startswith(b"\xfd7zXZ\x00"):
            _check_xz_memory(head)
            with lzma.LZMAFile(raw) as expanded:
                yield from _tar_members(source, raw, expanded, limits)
        elif head[257:262] == b"ustar":
            yield from _tar_members(source, raw, raw, limits)
        else:
            kind = describe(head)
            raise ArchiveError(
                f"{source.name} {'is' if kind == 'empty' else 'looks to be'} {kind}, not an archive that we read.",
                "Give a .zip, .tar, .tar.gz or .tar.xz file, or a folder of class folders.",
            )


def _zip_members(source: Path, limits: Limits, encoding: str, notes: list[str]) -> Iterator[_Member]:
    with zipfile.ZipFile(source) as archive:
        entries = archive.infolist()
        if len(entries) > limits.members:
            raise _too_many(limits)
        names = zip_names(entries, encoding, notes)
        for number, (entry, name) in enumerate(zip(entries, names, strict=True)):
            # zipfile cuts names at NUL and turns this system's separator into "/"; the original name is judged.
            parts = safe_parts(name)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _not_plain(entry.filename)
            if not parts:
                continue
            share = number / len(entries)
            if entry.is_dir() or name.endswith("\\"):
                yield _Member(parts=parts, stream=None, share=share)
                continue
            if entry.flag_bits & 0x1:
                raise ArchiveError(f"{source.name} is protected by a password.", "Pack it without one.")
            with archive.open(entry) as stream:
                yield _Member(parts=parts, stream=stream, share=share, name=name if "/".join(parts) != name else "")


def _tar_members(source: Path, raw: IO[bytes], unpacked: _Unpacked, limits: Limits) -> Iterator[_Member]:
    size = max(source.stat().st_size, 1)
    bounded = _Bounded(unpacked, limits)
    # "r:" on our own stream, never "r:*": tarfile must not choose another reader around the bounded one.
    with tarfile.open(fileobj=bounded, mode="r:") as archive:  # type: ignore[call-overload]
        number = 0
        while (entry := archive.next()) is not None:
            number += 1
            if number > limits.members:
                raise _too_many(limits)
            archive.members.clear()  # tarfile keeps every header it has seen
            # Names that nobody declared to be UTF-8 are judged when all of them are known.
            decoded = entry.name.isascii() or "path" in entry.pax_headers
            parts = safe_parts(entry.name) if decoded else (_RAW + entry.name,)
            if entry.isdir():
                if parts and decoded:
                    yield _Member(parts=parts, stream=None, share=0.0)
                continue
            if not entry.isreg() or entry.issparse():
                raise _not_plain(entry.name)
            stream = archive.extractfile(entry)
            if parts and stream is not None:
                name = entry.name if "/".join(parts) != entry.name else ""
                yield _Member(parts=parts, stream=stream, share=min(raw.tell() / size, 1.0), name=name)
    # tarfile takes garbage between members for the end; the end is a block of zeros.
    if bounded.last_block != bytes(_BLOCK):
        raise ArchiveError(f"{source.name} ends in the middle.", _SAVE_AGAIN)
    while bounded.read(_CHUNK):  # to the end of the stream, so that its checksum is verified
        pass


class _Bounded:
    """A stream that refuses to be read further than the limits allow.

    tarfile reads a member's extended header whole, whatever size it claims, and skips over data without counting it;
    both happen here, where they are bounded.
    """

    def __init__(self, stream: _Unpacked, limits: Limits) -> None:
        self._stream = stream
        # Headers and padding come on top of the files themselves.
        self._end = limits.total_bytes + 4 * _BLOCK * limits.members
        self._limits = limits
        self.last_block = b""

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _CHUNK:
            raise ArchiveError(f"The archive holds a header of more than {_size(_CHUNK)}.", _SAVE_AGAIN)
        data = self._stream.read(size)
        if self._stream.tell() > self._end:
            raise _too_large(self._limits)
        if size == _BLOCK:
            self.last_block = data
        return data

    def seek(self, position: int) -> int:
        if position > self._end:
            raise _too_large(self._limits)
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True


def _check_xz_memory(head: bytes) -> None:
    """Refuse an xz file whose dictionary would fill the memory."""
    try:
        lzma.LZMADecompressor(memlimit=_LZMA_MEMORY).decompress(head, max_length=1)
    except lzma.LZMAError as error:
        raise ArchiveError(
            f"The xz archive is damaged, or needs more than {_size(_LZMA_MEMORY)} of memory.", _SAVE_AGAIN
        ) from error


def _not_plain(name: str) -> ArchiveError:
    return ArchiveError(
        f"The archive holds a link or device: {printable(name)[:120]!r}.", "Pack the files themselves, without links."
    )


def _too_many(limits: Limits) -> ArchiveError:
    return ArchiveError(f"The archive holds more than {limits.members:,} files.", "Import a part of it.")


def _too_large(limits: Limits) -> ArchiveError:
    return ArchiveError(f"The archive unpacks to more than {_size(limits.total_bytes)}.", "Import a part of it.")


def _size(count: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.0f} {unit}"
    return f"{count} bytes"
