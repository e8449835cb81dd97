"""One's own photos and files of vectors: kept for the browser that brought them where that can be, else the session."""

from __future__ import annotations

import hashlib
import json

import streamlit as st
from PIL import Image

from core.data.images import decode_image, image_digest
from core.data.uploads import (
    Upload,
    delete_upload,
    find_file,
    find_upload,
    keep_file,
    keep_upload,
    list_uploads,
)
from core.data.vectors import FORMATS, VectorTable, read_vectors, write_vectors
from core.errors import CoreError
from pages.shared.browser import browser_secret
from pages.shared.errors import show_error
from pages.shared.foreign import plain
from pages.shared.pickers import UPLOAD_TYPES

MOST_UPLOADS = 300
_SIDE = 448
Photos = dict[str, tuple[str, Image.Image]]


def own_photos(digest: str = "") -> Photos:
    """The photos of this session, by their keys; those of a set that this browser brought where its digest is given.

    A session begins with the last set of its browser.
    """
    photos: Photos | None = st.session_state.get("set_photos")
    if photos is not None and digest in ("", digest_of(photos)):
        return photos
    secret = browser_secret()
    wanted = digest or next(iter(_sets(secret)), "") if secret else ""
    found = _kept(secret, wanted) if secret and wanted else {}
    if digest and digest_of(found) != digest:
        return {}
    st.session_state["set_photos"] = found
    return found


def digest_of(photos: Photos) -> str:
    """Tells a set of photos from others; also the key that it is kept under."""
    return short_digest("/".join(photos))


def short_digest(text: str) -> str:
    """Sixteen digits that tell a text from others."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def take_photos(name: str) -> Photos:
    """The uploader; what came is decoded once, and a reduced copy of each photo is kept."""
    files = st.file_uploader(
        "Photos or a folder from your computer",
        type=UPLOAD_TYPES,
        accept_multiple_files=True,
        key=f"{name}_upload",
        help=f"Up to {MOST_UPLOADS} photos. They stay on the machine that runs Vitrine, for this browser alone.",
    )
    handled: dict[str, CoreError | None] = st.session_state.setdefault(f"{name}_handled", {})
    photos = own_photos()
    new = [file for file in files if file.file_id not in handled]
    bar = st.progress(0.0) if new else None
    for index, file in enumerate(new):
        if bar is not None:
            bar.progress(index / len(new), text=f"Reading {plain(file.name)} …")
        if len(photos) >= MOST_UPLOADS:
            handled[file.file_id] = CoreError(f"{file.name} is one too many: the limit is {MOST_UPLOADS} photos.")
            continue
        try:
            image = decode_image(file.getvalue(), name=file.name, max_side=_SIDE)
        except CoreError as error:
            # A fresh one: the traceback of the caught one keeps the whole file in memory.
            handled[file.file_id] = CoreError(error.cause, error.remedy)
            continue
        handled[file.file_id] = None
        photos[image_digest(image)[:16]] = (_free(file.name, photos), image)
    if bar is not None:
        bar.empty()
    for file in files:
        problem = handled.get(file.file_id)
        if problem is not None:
            show_error(problem)
    st.session_state["set_photos"] = photos
    if new and photos:
        _keep(photos)
    return photos


def forget_photos() -> None:
    """Take the photos of this set off this machine, and out of the session."""
    photos: Photos = st.session_state.get("set_photos", {})
    if secret := browser_secret():
        for key in photos:
            delete_upload(secret, key)
        for digest in _sets(secret):
            if set(_keys(secret, digest)) & set(photos):
                delete_upload(secret, digest, "json")
    st.session_state["set_photos"] = {}


def own_vectors(key: str = "") -> tuple[str, str, VectorTable] | None:
    """Key, title and table of a file of vectors that this browser brought: of `key`, or the last one."""
    held: dict[str, tuple[str, VectorTable]] = st.session_state.setdefault("vector_tables", {})
    secret = browser_secret()
    key = key or next(reversed(held), "") or (next(iter(list_uploads(secret, "npz")), "") if secret else "")
    if key not in held:
        data = find_file(secret, key, "npz") if secret and key else None
        if data is None or secret is None:
            return None
        try:
            title = json.loads(find_file(secret, key, "json") or b"{}").get("title", "Vectors")
            held[key] = (str(title), read_vectors(data, "kept.npz"))
        except (CoreError, ValueError, AttributeError):  # damaged
            return None
    return key, *held[key]


def take_vectors(name: str) -> None:
    """The uploader of a file of vectors; what it holds is kept, or a sentence says why not."""
    file = st.file_uploader(
        "A file of vectors",
        type=list(FORMATS),
        key=f"{name}_vectors",
        help="CSV or Parquet with columns id, label, split, condition, x, y and v0, v1 …, or NPZ with arrays vectors, "
        "id, label, positions, thumbnails. Only the vectors are needed. What this page exports can be read again.",
    )
    handled: dict[str, CoreError | None] = st.session_state.setdefault(f"{name}_vectors_handled", {})
    if file is None:
        return
    if file.file_id not in handled:
        try:
            with st.spinner(f"Reading {plain(file.name)} …"):
                table = read_vectors(file.getvalue(), file.name)
                data = write_vectors(table, "npz")
            handled[file.file_id] = None
        except CoreError as error:
            handled[file.file_id] = CoreError(error.cause, error.remedy)
        else:
            key = short_digest(repr((file.name, hashlib.sha256(data).hexdigest())))
            held = st.session_state.setdefault("vector_tables", {})
            held.pop(key, None)
            held[key] = (file.name[:40], table)
            while len(held) > 4:
                held.pop(next(iter(held)))
            if secret := browser_secret():
                keep_file(secret, key, "json", json.dumps({"title": file.name[:40]}).encode())
                keep_file(secret, key, "npz", data)
    if (problem := handled[file.file_id]) is not None:
        show_error(problem)


def forget_vectors(key: str) -> None:
    """Take a file of vectors off this machine, and out of the session."""
    st.session_state.get("vector_tables", {}).pop(key, None)
    if secret := browser_secret():
        delete_upload(secret, key, "npz")
        delete_upload(secret, key, "json")


def _keep(photos: Photos) -> None:
    """On this machine for this browser, if it may be."""
    if (secret := browser_secret()) is None:
        return
    known = set(list_uploads(secret))
    for key, (title, image) in photos.items():
        if key not in known:
            keep_upload(secret, Upload(image=image, title=title))
    keep_file(secret, digest_of(photos), "json", json.dumps({"photos": list(photos)}).encode())


def _sets(secret: str) -> list[str]:
    """The sets of photos that a browser brought, the last first."""
    return [key for key in list_uploads(secret, "json") if _keys(secret, key)]


def _keys(secret: str, digest: str) -> list[str]:
    try:
        said = json.loads(find_file(secret, digest, "json") or b"{}").get("photos", [])
    except (ValueError, AttributeError):  # damaged
        return []
    return [str(key) for key in said][:MOST_UPLOADS] if isinstance(said, list) else []


def _kept(secret: str, digest: str) -> Photos:
    """A set from the disk; without the photos that are gone by now it is another one."""
    found = {key: find_upload(secret, key) for key in _keys(secret, digest)}
    return {key: (each.title, each.image) for key, each in found.items() if each is not None}


def _free(title: str, photos: Photos) -> str:
    """The title, with a number where another photo has it already."""
    taken = {each for each, _ in photos.values()}
    title = title[:40]
    return title if title not in taken else f"{title} ({len(photos) + 1})"
