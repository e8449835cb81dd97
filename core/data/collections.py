"""A collection of pictures that only one of two models names: what it holds, its past, and where it is kept.

`VITRINE_HOME/collections/OWNER/`: `collection.json` with the entries and what they were before each change, and the
pixels of each picture as `KEY.png`. Nothing of it goes by itself: a picture is deleted when no step of the past has it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from PIL import Image

from core.configs import from_dict
from core.data.images import image_digest
from core.errors import ConfigError, CoreError
from core.files import write_atomically, write_json
from core.json_files import read_json
from core.paths import collections_root

MOST_STEPS = 30
Side = Literal["only_clip", "only_classifier"]
_LOCK = threading.RLock()


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one model said: its title, the place of the true class (1 is best), and its best classes."""

    model: str
    place: int
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One picture of a collection.

    Attributes:
        key: its name here, a hash of its pixels.
        wnid: its class.
        who: which of the two has it among its best `top`.
        reason: why, as somebody wrote it.
        source: where the picture is from.
    """

    key: str
    wnid: str
    who: Side
    title: str
    top: int
    clip: Said
    classifier: Said
    reason: str = ""
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Entries, and what they were before each of the last changes, the newest last.

    Attributes:
        classes: of photos of one's own by their address, the ImageNet id that was given to them.
    """

    entries: tuple[Entry, ...] = ()
    past: tuple[tuple[Entry, ...], ...] = ()
    classes: dict[str, str] = field(default_factory=dict)

    def having(self, entries: tuple[Entry, ...]) -> Collection:
        """With other entries; as they were before is one step of the past."""
        if entries == self.entries:
            return self
        return replace(self, entries=entries, past=(*self.past, self.entries)[-MOST_STEPS:])

    def adding(self, entry: Entry) -> Collection:
        """With one more; the same picture for the same class takes its old place, and keeps what was written to it."""
        for place, old in enumerate(self.entries):
            if (old.key, old.wnid) == (entry.key, entry.wnid):
                kept = replace(entry, reason=entry.reason or old.reason, source=entry.source or old.source)
                return self.having((*self.entries[:place], kept, *self.entries[place + 1 :]))
        return self.having((*self.entries, entry))

    def without(self, entry: Entry) -> Collection:
        return self.having(tuple(each for each in self.entries if each != entry))

    def rewritten(self, key: str, wnid: str, **words: str) -> Collection:
        """With another reason or source to one picture."""
        return self.having(
            tuple(
                replace(each, **words) if (each.key, each.wnid) == (key, wnid) else each  # type: ignore[arg-type]
                for each in self.entries
            )
        )

    def undone(self) -> Collection:
        """As it was before the last change."""
        return replace(self, entries=self.past[-1], past=self.past[:-1]) if self.past else self

    def wnids(self) -> tuple[str, ...]:
        """Its classes, in the order in which they came."""
        return tuple(dict.fromkeys(each.wnid for each in self.entries))

    def of(self, wnid: str, who: Side) -> tuple[Entry, ...]:
        return tuple(each for each in self.entries if (each.wnid, each.who) == (wnid, who))

    def keys(self) -> set[str]:
        """Every picture that it has or had."""
        return {each.key for entries in (self.entries, *self.past) for each in entries}


def read_collection(owner: str) -> Collection:
    """What `owner`, the secret of a browser, has put together; empty where there is nothing yet.

    Raises:
        CoreError: the file is damaged; it is left as it is.
    """
    path = _folder(owner) / "collection.json"
    try:
        values = read_json(path)
        if not isinstance(values, dict):
            raise ValueError("it is no collection")
        return from_dict(Collection, values)
    except FileNotFoundError:
        return Collection()
    except (OSError, ValueError, LookupError, ConfigError) as error:
        raise CoreError(
            f"Your collection cannot be read ({error}).", f"Nothing was deleted. Mend {path.name} or move it away."
        ) from error


def change_collection(
    owner: str, change: Callable[[Collection], Collection], pictures: dict[str, Image.Image] | None = None
) -> Collection:
    """Apply `change` to what is kept for `owner` at this moment, whoever changed it meanwhile.

    Args:
        pictures: new ones by their keys.

    Raises:
        CoreError: it cannot be read, or this machine has no room; then nothing has changed.
    """
    folder = _folder(owner)
    with _LOCK:
        found = change(read_collection(owner))
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for key, image in (pictures or {}).items():
                write_atomically(folder / f"{key}.png", _png(image))
            write_json(folder / "collection.json", asdict(found))
        except OSError as error:
            raise CoreError(f"The collection cannot be kept ({error.strerror}).", "Make room on the disk.") from error
        kept = found.keys()
        for path in folder.glob("*.png"):
            if path.stem not in kept:
                with contextlib.suppress(OSError):
                    path.unlink()
    return found


def collected_picture(owner: str, key: str) -> Image.Image:
    """The pixels of an entry.

    Raises:
        CoreError: somebody deleted or damaged the file.
    """
    try:
        with Image.open(_folder(owner) / f"{os.path.basename(key)}.png", formats=("PNG",)) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise CoreError("A picture of the collection is gone from the disk.", "Remove its entry.") from error


def picture_key(image: Image.Image) -> str:
    """What a picture is called in a collection."""
    return image_digest(image)[:16]


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def _folder(owner: str) -> Path:
    return collections_root() / hashlib.sha256(owner.encode()).hexdigest()[:32]
