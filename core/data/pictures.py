"""Pictures by the addresses that pages and recipes name them with."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from PIL import Image

from core.data.catalogue import sample_images
from core.data.examples import EXAMPLES, load_example
from core.data.framing import framed, split_view
from core.data.grouped_sets import condition_set, split_set
from core.data.image_sets import ImageSet, dataset_sample, folder_photos, photo_set, view_set
from core.data.images import decode_image
from core.data.paintings import paint
from core.data.vector_sets import vector_set
from core.data.vectors import read_vectors
from core.errors import CoreError
from core.reports import Progress

# Pictures of one draw of a split; an address names one of them by its place.
SAMPLES = 12
_MOST_PHOTOS = 10_000


def open_picture(address: str) -> Image.Image:
    """The picture at `example:NAME`, `painted:NAME`, `data:DATASET/SPLIT/SEED/PLACE` (of twelve), or in a file.

    With `;squash`, `;pad` or `;crop=PLACE` behind it, where 0 is the left or upper end: that square of it.

    Raises:
        CoreError: there is none, or it cannot be decoded.
    """
    whole, view = split_view(address)
    return framed(_open_whole(whole), view)


def _open_whole(address: str) -> Image.Image:
    """The picture as it is."""
    kind, _, rest = address.partition(":")
    if kind == "example":
        return load_example(rest)
    if kind == "painted":
        return paint(rest)
    if kind == "data":
        name, split, (seed, place) = _of_dataset(address, rest)
        drawn = sample_images(name, split, SAMPLES, seed)
        if place >= len(drawn):
            raise CoreError(f"{address!r} names picture {place}, and {len(drawn)} were drawn.", "They count from 0.")
        return drawn[place][0]
    try:
        data = Path(address).read_bytes()
    except (OSError, ValueError) as error:
        raise CoreError(
            f"There is no picture {address!r} to read here.", "Save it under this name in the folder you are in."
        ) from error
    return decode_image(data, name=address)


def open_set(address: str) -> Generator[Progress, None, ImageSet]:
    """The pictures at `data:DATASET/SPLIT/COUNT/SEED`, `views:VIEWS/SEED` (of the bundled photos), or in a folder.

    `splits:DATASET/COUNT/SEED` are those of all its splits, `conditions:DATASET/SPLIT/COUNT/SEED` those of one split as
    they are and changed in four ways. `vectors:PATH` are those of a file of vectors, whose paths of pictures are looked
    up beside it. A folder's subfolders are its labels.

    Raises:
        CoreError: there are none.
    """
    kind, _, rest = address.partition(":")
    if kind == "data":
        name, split, (count, seed) = _of_dataset(address, rest)
        return (yield from dataset_sample(name, split, count, seed))
    if kind == "conditions":
        name, split, (count, seed) = _of_dataset(address, rest)
        return (yield from condition_set(name, split, count, seed))
    if kind == "splits":
        name, *parts = rest.split("/")
        count, seed = _numbers(address, parts)
        return (yield from split_set(name, count, seed))
    if kind == "vectors":
        try:
            data = Path(rest).read_bytes()
        except (OSError, ValueError) as error:
            raise CoreError(f"There is no file {rest!r} to read here.", "Save it under this name.") from error
        table = read_vectors(data, rest)
        return (yield from vector_set(table, name=address, title=Path(rest).name, beside=Path(rest).parent))
    if kind == "views":
        views, seed = _numbers(address, rest.split("/"))
        photos = [(example.title, load_example(example.name)) for example in EXAMPLES.values()]
        title = f"Views of {len(photos)} photos"
        return (yield from view_set(photos, views, seed=seed, name=address, title=title))
    found, classes = folder_photos(address, _MOST_PHOTOS, 0)
    return (yield from photo_set(found, classes, name=address, title=f"Photos in {address}"[:60], kind="folder"))


def _of_dataset(address: str, rest: str) -> tuple[str, str, tuple[int, int]]:
    """Data set, split, and the two numbers after them."""
    name, _, others = rest.partition("/")
    split, *numbers = others.split("/")
    return name, split, _numbers(address, numbers)


def _numbers(address: str, texts: list[str]) -> tuple[int, int]:
    if len(texts) != 2 or not all(text.isascii() and text.isdecimal() and len(text) < 7 for text in texts):
        raise CoreError(f"{address!r} names no pictures.", "Its last two parts are numbers, such as 3/0.")
    return int(texts[0]), int(texts[1])
