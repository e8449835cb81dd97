"""Pictures by their addresses, and the ones that somebody brought: kept for their browser, or for this session.

An address names a picture and, behind a semicolon, how its owner has it shown (`core.data.framing`).
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import cast

import streamlit as st
from PIL import Image

from core.data.catalogue import installed_datasets, sample_images
from core.data.examples import EXAMPLES, load_example
from core.data.framing import View, framed, split_view
from core.data.images import decode_photo, image_digest
from core.data.paintings import PAINTINGS, paint
from core.data.uploads import Upload, delete_upload, find_upload, is_upload, keep_upload, list_uploads
from core.errors import CoreError
from pages.shared.address import whole_number
from pages.shared.browser import browser_secret
from pages.shared.foreign import literal
from pages.shared.results import shared

MOST_UPLOADS = 24  # that are offered, and that a session holds packed where no disk keeps them
# Bytes of photos that a session holds decoded: those that the page asks for, and the last ones that it did not.
IN_USE_BYTES = 160 * 2**20
AT_REST_BYTES = 8 * 2**20
PACKED_BYTES = 96 * 2**20
THUMBNAIL = 120  # pixels


@dataclass(frozen=True)
class Picture:
    """A decoded, upright photo and how to find it again.

    Attributes:
        key: its address.
        image: as models get it: a square where the address says which.
        whole: the photo itself where `image` is a part of it or changed.
        note: what was decided in decoding it, as a sentence.
    """

    key: str
    title: str
    image: Image.Image
    digest: str
    whole: Image.Image | None = None
    note: str = ""

    @property
    def photo(self) -> Image.Image:
        """The photo as it was brought."""
        return self.image if self.whole is None else self.whole


@dataclass(frozen=True)
class Thumbnail:
    """A photo that somebody brought, as it is offered: small and square."""

    key: str
    title: str
    image: Image.Image


def picture_at(key: str) -> Picture:
    """The image behind an address.

    Raises:
        CoreError: nothing is known under that key, or it belongs to another browser.
    """
    address, view = split_view(key)
    found = _whole(address)
    return found if view.framing is None else _framed(key, found.digest, found, view)


def example_picture(name: str) -> Picture:
    """A bundled photo."""
    return _example(f"example:{name}")


@shared("Painting …", most=8)
def painted_picture(name: str) -> Picture:
    """One of `core.data.paintings`."""
    image = paint(name)
    return Picture(key=f"painted:{name}", title=PAINTINGS[name][0], image=image, digest=image_digest(image))


@shared("Reading images …", most=16)
def dataset_pictures(name: str, split: str, seed: int) -> tuple[Picture, ...]:
    """Up to twelve random images of a split.

    Raises:
        CoreError: the data set is not on this machine.
    """
    card = installed_datasets().get(name)
    if card is None:
        raise CoreError(f"The data set {name!r} is not on this machine.", "Import it, or choose an example.")
    titles = card.get("class_titles", card["classes"])
    return tuple(
        Picture(
            key=f"data:{name}/{split}/{seed}/{position}",
            title=f"{titles[label]} ({name})",
            image=image,
            digest=image_digest(image),
        )
        for position, (image, label) in enumerate(sample_images(name, split, 12, seed))
    )


def read_picture(data: bytes, title: str) -> Picture:
    """A file that somebody brought.

    Raises:
        CoreError: it is no picture that can be decoded.
    """
    decoded = decode_photo(data, name=title)
    digest = image_digest(decoded.image)
    return Picture(key=f"upload:{digest[:16]}", title=title[:40], image=decoded.image, digest=digest, note=decoded.note)


def keep_picture(picture: Picture) -> None:
    """Keep what somebody brought: on this machine for their browser where that can be, else in this session."""
    _offer(_hold(picture))
    secret = browser_secret()
    if secret and keep_upload(secret, Upload(image=picture.image, title=picture.title, note=picture.note)):
        _on_disk().add(picture.key)
    else:
        _pack(picture)


def own_pictures() -> list[Thumbnail]:
    """What this browser or session brought, the newest first."""
    secret = browser_secret()
    keys = [f"upload:{key}" for key in list_uploads(secret)] if secret else []
    keys += [key for key in reversed({**_packed(), **_held()}) if key not in keys]
    found = (_offered(key) for key in keys[:MOST_UPLOADS])
    return [each for each in found if each is not None]


def delete_picture(key: str) -> None:
    """Forget what somebody brought, here and on the disk."""
    _forget(key)
    if secret := browser_secret():
        delete_upload(secret, key.partition(":")[2])


def let_go_of_pictures() -> None:
    """After a run of a page: of what can be read again only so much stays decoded as is in use, or was just before."""
    held, asked = _held(), _asked()
    again = _on_disk() | _packed().keys()
    use = rest = 0
    for key in reversed(list(held)):  # the one used last first: it always stays
        size = _size(held[key].image)
        fits = use + size <= IN_USE_BYTES if key in asked else rest + size <= AT_REST_BYTES
        if not fits and use + rest and key in again:
            del held[key]
        elif key in asked:
            use += size
        else:
            rest += size
    asked.clear()


def _held() -> dict[str, Picture]:
    """What this session has decoded of its uploads, the one used last at the end."""
    held: dict[str, Picture] = st.session_state.setdefault("uploads", {})
    return held


def _packed() -> dict[str, tuple[bytes, Picture]]:
    """Those that no disk keeps, as PNG, the newest last; beside each what is said of it, with no pixels."""
    packed: dict[str, tuple[bytes, Picture]] = st.session_state.setdefault("uploads_packed", {})
    return packed


def _on_disk() -> set[str]:
    """Those that were seen on the disk: what is there no more was deleted in another tab."""
    found: set[str] = st.session_state.setdefault("uploads_on_disk", set())
    return found


def _asked() -> set[str]:
    """What this run of a page has asked for so far."""
    asked: set[str] = st.session_state.setdefault("uploads_asked", set())
    return asked


def _thumbnails() -> dict[str, Thumbnail]:
    """Those made in this session, 50 KB each."""
    found: dict[str, Thumbnail] = st.session_state.setdefault("upload_thumbnails", {})
    return found


def _hold(picture: Picture) -> Picture:
    """It is in use."""
    held = _held()
    held.pop(picture.key, None)
    held[picture.key] = picture
    _asked().add(picture.key)
    return picture


def _pack(picture: Picture) -> None:
    """Keep what no disk does, at an eighth to a half of its size; the oldest of what is too much goes."""
    buffer, packed = io.BytesIO(), _packed()
    picture.image.save(buffer, "PNG", compress_level=1)
    packed.pop(picture.key, None)
    packed[picture.key] = buffer.getvalue(), replace(picture, image=Image.new("RGB", (1, 1)), whole=None)
    while len(packed) > 1 and (len(packed) > MOST_UPLOADS or _packed_bytes() > PACKED_BYTES):
        _forget(next(iter(packed)))


def _packed_bytes() -> int:
    return sum(len(data) for data, _ in _packed().values())


def _unpack(key: str) -> Picture | None:
    """One that no disk keeps, the very same pixels."""
    if key not in _packed():
        return None
    data, said = _packed()[key]
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        pixels = image.convert("RGB")
    pixels.info = {}
    return replace(said, image=pixels)


def _forget(key: str) -> None:
    for each in (_held(), _packed(), _thumbnails()):
        each.pop(key, None)


def _size(image: Image.Image) -> int:
    """Bytes that Pillow takes for it."""
    return image.width * image.height * (1 if image.mode in ("1", "L", "P") else 4)


def _offer(picture: Picture) -> None:
    """Make its thumbnail."""
    image, small = picture.image, _thumbnails()
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    cut = image.resize((THUMBNAIL, THUMBNAIL), box=(left, top, left + side, top + side))
    small[picture.key] = Thumbnail(key=picture.key, title=picture.title, image=cut)
    while len(small) > 2 * MOST_UPLOADS:
        small.pop(next(iter(small)))


def _is_deleted(key: str) -> bool:
    """Whether it was on the disk, and is there no more."""
    secret = browser_secret()
    return bool(secret and key in _on_disk() and not is_upload(secret, key.partition(":")[2]))


def _offered(key: str) -> Thumbnail | None:
    """An upload of this browser, small; None if there is none, or none any more."""
    if _is_deleted(key):
        _forget(key)
    elif key not in _thumbnails() and (found := _read(key)) is not None:
        _offer(found)
    return _thumbnails().get(key)


def _own(key: str) -> Picture | None:
    """An upload of this browser, from memory or from the disk; None if it is of another, or was deleted in another
    tab."""
    if _is_deleted(key):
        _forget(key)
    found = _read(key)
    return None if found is None else _hold(found)


def _read(key: str) -> Picture | None:
    """An upload of this browser, wherever it is."""
    if (found := _held().get(key) or _unpack(key)) is not None:
        return found
    secret = browser_secret()
    upload = find_upload(secret, key.partition(":")[2]) if secret else None
    if upload is None:
        return None
    _on_disk().add(key)
    digest = image_digest(upload.image)
    return Picture(key=key, title=upload.title, image=upload.image, digest=digest, note=upload.note)


def _whole(key: str) -> Picture:
    """The photo at an address without an ending."""
    kind, _, rest = key.partition(":")
    if kind == "example" and rest in EXAMPLES:
        return _example(key)
    if kind == "painted" and rest in PAINTINGS:
        return painted_picture(rest)
    if kind == "upload":
        if (found := _own(key)) is not None:
            return found
        raise CoreError(
            "This address points to a photo that only the browser that uploaded it can see, while it is kept there.",
            "Upload the photo here, or choose another; an example is shown instead.",
        )
    parts = rest.split("/")
    numbers = [whole_number(part, 10_000) for part in parts[2:]]
    if kind == "data" and len(parts) == 4 and None not in numbers:
        seed, place = cast(list[int], numbers)
        pictures = dataset_pictures(parts[0], parts[1], seed)
        if place < len(pictures):
            return pictures[place]
    raise CoreError(f"The address names an unknown image, {literal(key, 120)!r}.", "The example is shown instead.")


@st.cache_resource(max_entries=64, show_spinner=False)
def _example(key: str) -> Picture:
    example = EXAMPLES[key.partition(":")[2]]
    image = load_example(example.name)
    return Picture(key=key, title=example.title, image=image, digest=image_digest(image))


@st.cache_resource(max_entries=32, show_spinner=False)
def _framed(key: str, digest: str, _picture: Picture, _view: View) -> Picture:
    image = framed(_picture.image, _view)
    return replace(_picture, key=key, image=image, digest=image_digest(image), whole=_picture.image)
