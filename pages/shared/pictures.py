"""Pictures by their addresses, and the ones that somebody brought: kept for their browser, or for this session.

An address names a picture and, behind a semicolon, how its owner has it shown (`core.data.framing`).
"""

from __future__ import annotations

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

MOST_UPLOADS = 24  # that a session holds, and that are offered


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
    secret = browser_secret()
    held = _held()
    held.pop(picture.key, None)
    held[picture.key] = picture
    while len(held) > MOST_UPLOADS:
        held.pop(next(iter(held)))
    if secret and keep_upload(secret, Upload(image=picture.image, title=picture.title, note=picture.note)):
        st.session_state.setdefault("uploads_on_disk", set()).add(picture.key)


def own_pictures() -> list[Picture]:
    """What this browser or session brought, the newest first."""
    secret = browser_secret()
    keys = [f"upload:{key}" for key in list_uploads(secret)] if secret else []
    keys += [key for key in reversed(_held()) if key not in keys]
    found = (_own(key) for key in keys[:MOST_UPLOADS])
    return [picture for picture in found if picture is not None]


def delete_picture(key: str) -> None:
    """Forget what somebody brought, here and on the disk."""
    _held().pop(key, None)
    if secret := browser_secret():
        delete_upload(secret, key.partition(":")[2])


def _held() -> dict[str, Picture]:
    """What this session has decoded of its uploads, the newest last."""
    held: dict[str, Picture] = st.session_state.setdefault("uploads", {})
    return held


def _own(key: str) -> Picture | None:
    """An upload of this browser, from memory or from the disk; None if it is of another, or was deleted in another
    tab."""
    secret, name = browser_secret(), key.partition(":")[2]
    held = _held()
    if key in st.session_state.get("uploads_on_disk", ()) and secret and not is_upload(secret, name):
        held.pop(key, None)
    if key in held:
        return held[key]
    upload = find_upload(secret, name) if secret else None
    if upload is None:
        return None
    digest = image_digest(upload.image)
    held[key] = Picture(key=key, title=upload.title, image=upload.image, digest=digest, note=upload.note)
    st.session_state.setdefault("uploads_on_disk", set()).add(key)
    return held[key]


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
