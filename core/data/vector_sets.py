"""A file of vectors as a set of pictures, and a set of pictures with its features as a file of vectors."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np

from core.data.arrays import ArrayDataset
from core.data.image_sets import LARGE, SMALL, Attribute, ImageSet, square
from core.data.images import decode_image
from core.data.vectors import VectorTable
from core.errors import CoreError, IncompatibleError
from core.paths import local_path
from core.reports import Progress

_GREY = 128
_MANY = 4000
_REPORT_EVERY = 16


def vector_set(
    table: VectorTable, *, name: str, title: str, beside: Path | None = None
) -> Generator[Progress, None, ImageSet]:
    """The pictures of a file of vectors; where it names none that can be read, grey tiles stand for them.

    `beside`: the folder from which its relative paths start; the current one if None.
    """
    labels, classes = _coded(table.columns.get("label"), len(table.ids))
    note, thumbnails = table.note, table.thumbnails
    if thumbnails is None and table.images:
        thumbnails, bad = yield from _thumbnails(table.images, beside)
        if bad:
            note = f"{note} Of {bad:,} of {len(table.ids):,} rows no picture can be read.".strip()
    pictured = thumbnails is not None
    if thumbnails is None:
        thumbnails = np.full((len(table.ids), SMALL, SMALL, 3), _GREY, np.uint8)

    def source(side: int) -> ArrayDataset:
        raise IncompatibleError(f"{title} holds vectors, and no network can be shown them.", "Choose pictures.")

    attributes = []
    for kind in ("split", "condition"):
        codes, values = _coded(table.columns.get(kind), len(table.ids))
        if len(values) > 1:
            attributes.append(Attribute(title=kind.capitalize(), codes=codes, values=values))
    return ImageSet(
        name=name,
        title=title,
        ids=table.ids,
        labels=labels,
        classes=classes,
        thumbnails=_tiles(thumbnails),
        source=source,
        note=note,
        kind="label",
        attributes=tuple(attributes),
        vectors=table.vectors,
        positions=table.positions,
        pictured=pictured,
    )


def vector_table(images: ImageSet, vectors: np.ndarray, positions: np.ndarray | None = None) -> VectorTable:
    """The features (images, dim) of a set with names, labels, splits and conditions, and its thumbnails."""
    columns = {"label": tuple(images.classes[label] for label in images.labels)} if images.classes else {}
    columns |= {each.title.lower(): tuple(each.words) for each in images.attributes}
    kind, _, rest = images.name.partition(":")
    if kind in ("data", "conditions") and "split" not in columns:
        columns["split"] = (rest.split("/")[1],) * len(images)
    return VectorTable(
        vectors=vectors,
        ids=images.ids,
        columns=columns,
        positions=positions,
        thumbnails=images.thumbnails if images.pictured else None,
    )


def _coded(texts: tuple[str, ...] | None, count: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """(images,) int64 into the distinct texts."""
    if texts is None:
        return np.zeros(count, np.int64), ()
    values, codes = np.unique(np.array(texts, dtype=np.str_), return_inverse=True)
    return codes.astype(np.int64), tuple(map(str, values))


def _thumbnails(
    paths: tuple[str, ...], beside: Path | None
) -> Generator[Progress, None, tuple[np.ndarray | None, int]]:
    """(images, side, side, 3) of files on this machine, and how many cannot be read; None if that is all of them."""
    side = SMALL if len(paths) > _MANY else LARGE
    found = np.full((len(paths), side, side, 3), _GREY, np.uint8)
    bad = 0
    for row, text in enumerate(paths):
        if row % _REPORT_EVERY == 0:
            yield Progress(step=row, steps=len(paths), text=f"decoding picture {row + 1:,} of {len(paths):,}")
        try:
            path = local_path(str(beside / text) if beside and not Path(text).is_absolute() else text)
            found[row] = square(decode_image(path.read_bytes(), name=path.name), side)
        except (CoreError, OSError, ValueError):
            bad += 1
    return (found if bad < len(paths) else None), bad


def _tiles(thumbnails: np.ndarray) -> np.ndarray:
    """Square, of 32 or 64 pixels a side."""
    from PIL import Image

    if thumbnails.shape[1:3] in ((SMALL, SMALL), (LARGE, LARGE)):
        return thumbnails
    side = SMALL if len(thumbnails) > _MANY or max(thumbnails.shape[1:3]) <= SMALL else LARGE
    return np.stack([square(Image.fromarray(each), side) for each in thumbnails])
