"""What somebody uploaded, kept on this machine for the browser that sent it: photos, sets of them, files of vectors.

`VITRINE_HOME/uploads/OWNER/KEY.png`, and `.json` and `.npz` for the others: OWNER is a hash of the browser's secret, so
that the folder tells nobody how to ask for its photos; KEY is a hash of the pixels. Decoded pixels are kept and not the
file that was sent: where a photo was taken, and with what, stays behind. What nobody has looked at for a month goes,
and so does what takes too much room, the photos seen longest ago first.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from core.data.images import MAX_PIXELS, image_digest
from core.files import write_atomically
from core.paths import uploads_root

MOST_BYTES = 256 * 2**20  # of one browser
MOST_BYTES_OF_ALL = 4 * 2**30
MOST_DAYS = 30
_KEY = re.compile(r"[0-9a-f]{16}")
Kind = Literal["png", "json", "npz"]


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A photo of one's own.

    Attributes:
        title: what the file was called.
        note: what was decided in decoding it, as a sentence; mostly nothing.
    """

    image: Image.Image
    title: str
    note: str = ""

    @property
    def key(self) -> str:
        """Its name: the same pixels have the same."""
        return image_digest(self.image)[:16]


def are_kept() -> bool:
    """Whether uploads outlive a session here; not on a server that is read only (`VITRINE_READ_ONLY`)."""
    return os.environ.get("VITRINE_READ_ONLY", "").strip().lower() not in ("1", "true", "yes", "on")


def keep_upload(owner: str, upload: Upload) -> bool:
    """Keep a photo for `owner`, the secret of a browser; False where this machine keeps none or has no room.

    What is too old or too much goes.
    """
    said = PngInfo()
    said.add_itxt("Title", upload.title)
    said.add_itxt("Note", upload.note)
    buffer = io.BytesIO()
    upload.image.save(buffer, "PNG", compress_level=1, pnginfo=said)
    return keep_file(owner, upload.key, "png", buffer.getvalue())


def keep_file(owner: str, key: str, kind: Kind, data: bytes) -> bool:
    """Keep other things of `owner` under the same rules, each by a key of 16 hexadecimal digits; False if it is not."""
    folder = _folder(owner)
    if not are_kept() or not _KEY.fullmatch(key):
        return False
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(folder / f"{key}.{kind}", data)
    except OSError:
        return False
    tidy_uploads()
    return (folder / f"{key}.{kind}").is_file()


def find_file(owner: str, key: str, kind: Kind) -> bytes | None:
    """What `keep_file` kept; None if there is none, or none any more."""
    path = _folder(owner) / f"{key}.{kind}"
    if not are_kept() or not _KEY.fullmatch(key):
        return None
    try:
        data = path.read_bytes()
        os.utime(path)  # it has been looked at
    except OSError:
        return None
    return data


def find_upload(owner: str, key: str) -> Upload | None:
    """The photo that `owner` uploaded, as it was; None if there is none, or none any more."""
    if not is_upload(owner, key):
        return None
    path = _folder(owner) / f"{key}.png"
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS or not isinstance(image, PngImageFile):
                return None
            pixels = image.convert("RGB")
            pixels.info = {}
            found = Upload(image=pixels, title=str(image.text.get("Title", key)), note=str(image.text.get("Note", "")))
        if found.key != key:
            return None
        os.utime(path)  # it has been looked at
    except (OSError, ValueError, SyntaxError):  # damaged, or gone meanwhile
        return None
    return found


def is_upload(owner: str, key: str) -> bool:
    """Whether `owner` has such a photo here."""
    return bool(are_kept() and _KEY.fullmatch(key) and (_folder(owner) / f"{key}.png").is_file())


def list_uploads(owner: str, kind: Kind = "png") -> list[str]:
    """The keys of all photos, or other things, that `owner` uploaded, what was looked at last first."""
    found = _files(_folder(owner)) if are_kept() else []
    return [path.stem for path, _, _ in reversed(found) if path.suffix == f".{kind}"]


def delete_upload(owner: str, key: str, kind: Kind = "png") -> None:
    """Take a photo, or another thing, of `owner` off this machine."""
    if _KEY.fullmatch(key):
        with contextlib.suppress(OSError):
            (_folder(owner) / f"{key}.{kind}").unlink(missing_ok=True)


def tidy_uploads(now: float | None = None) -> None:
    """Delete what is older than a month, and the oldest of what is too much."""
    now = time.time() if now is None else now
    try:
        folders = [folder for folder in uploads_root().iterdir() if folder.is_dir()]
    except OSError:
        return
    kept = []
    for folder in folders:
        files = _files(folder)
        old = [path for path, seen, _ in files if now - seen > MOST_DAYS * 86_400]
        young = [each for each in files if each[0] not in old]
        _delete([*old, *_surplus(young, MOST_BYTES)])
        kept += [each for each in young if each[0].exists()]
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()
    _delete(_surplus(sorted(kept, key=lambda each: each[1]), MOST_BYTES_OF_ALL))


def _surplus(files: list[tuple[Path, float, int]], most: int) -> list[Path]:
    """Those of `files`, oldest first, without which the others fit into `most` bytes; the newest always stays."""
    total, surplus = sum(size for _, _, size in files), []
    for path, _, size in files[:-1]:
        if total <= most:
            break
        total -= size
        surplus.append(path)
    return surplus


def _delete(paths: list[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def _files(folder: Path) -> list[tuple[Path, float, int]]:
    """The things of a folder with the time that they were last looked at and their bytes, oldest first."""
    found = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.suffix.removeprefix(".") in get_args(Kind) and _KEY.fullmatch(path.stem):
                with contextlib.suppress(OSError):
                    status = path.stat()
                    found.append((path, status.st_mtime, status.st_size))
    return sorted(found, key=lambda each: (each[1], each[0].name))


def _folder(owner: str) -> Path:
    return uploads_root() / hashlib.sha256(owner.encode()).hexdigest()[:32]
