"""Names of files in archives: safe on every system, printable, and in the alphabet that they were written in."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Sequence

from core.data.name_encodings import ENCODINGS, decode_names
from core.errors import ArchiveError

Parts = tuple[str, ...]

_UTF8_FLAG = 0x800
_UNICODE_FIELD = 0x7075


def safe_parts(name: str) -> Parts:
    """The components of a member's name, or a refusal if it could point outside of the target on any system.

    Windows' own tools separate them by backslashes, which no name can hold there.
    """
    plain = name.replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    drive = any(re.match(r"[A-Za-z]:", part) for part in parts)
    if plain.startswith("/") or "\0" in name or ".." in parts or drive:
        raise ArchiveError(
            f"The archive holds a file that would leave the folder: {printable(name)[:120]!r}.",
            "Do not use it, or pack the images again yourself.",
        )
    return tuple(printable(part) for part in parts)


def printable(part: str) -> str:
    """A file name that can be shown and written on every system: control and undecodable characters become `_`."""
    if part.isprintable():
        return part
    return "".join(character if character.isprintable() else "_" for character in part)


def unused(parts: Parts, taken: Collection[Parts]) -> Parts:
    """`parts`, or with a number before the ending where that name is taken."""
    number, (stem, mark, suffix) = 2, parts[-1].rpartition(".")
    while parts in taken:
        parts = (*parts[:-1], f"{stem}_{number}.{suffix}" if mark else f"{suffix}_{number}")
        number += 1
    return parts


def about_encoding(found: str) -> str:
    """What whoever brings names that were in the encoding `found` should know."""
    return (
        f"Some names are not in Unicode and were read as {ENCODINGS.get(found, found)}; if they look wrong, name "
        "another with --encoding."
    )


def zip_names(entries: Sequence[zipfile.ZipInfo], encoding: str, notes: list[str]) -> list[str]:
    """The name of every entry: Unicode where a flag or a field says so, else in an encoding that all names suggest."""
    names = [entry.orig_filename for entry in entries]
    unknown: dict[int, bytes] = {}
    for number, entry in enumerate(entries):
        if not names[number].isascii() and not entry.flag_bits & _UTF8_FLAG:
            raw = names[number].encode("cp437")  # which zipfile took it for
            field = _unicode_field(entry.extra, raw)
            if field is None:
                unknown[number] = raw
            else:
                names[number] = field
    if unknown:
        found, which = decode_names(list(unknown.values()), encoding)
        for number, name in zip(unknown, found, strict=True):
            names[number] = name
        if which != "utf-8":
            notes.append(about_encoding(which))
    return names


def _unicode_field(extra: bytes, raw: bytes) -> str | None:
    """The name in Info-ZIP's field for it, if that was written for the name `raw`."""
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        if kind == _UNICODE_FIELD and size > 5 and struct.unpack("<I", extra[5:9])[0] == zlib.crc32(raw):
            return extra[9 : 4 + size].decode("utf-8")
        extra = extra[4 + size :]
    return None
