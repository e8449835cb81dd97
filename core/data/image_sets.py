"""Many pictures at once, with what is needed to show and name each: samples of data sets, photos, views of photos.

Small images that are stored as arrays stay as they are; photos are decoded when they are read, at the size asked for,
so that ten thousand of them do not have to be in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from core.data.arrays import ArrayDataset
from core.data.catalogue import list_files, read_dataset
from core.data.formats import has_image_suffix, listed
from core.data.images import decode_image
from core.data.loading import Rows
from core.data.transforms import IMAGENET_NORMALISATION, Preprocessing, crop_to_square
from core.errors import CoreError, UnknownNameError
from core.paths import data_root, local_path
from core.reports import Progress
from core.seeding import published_stream

# Sides of the thumbnails, in pixels; multiples of 16, so that tiles of one JPEG do not bleed into each other.
SMALL, LARGE = 32, 64
# Above this many, photos get small thumbnails too.
_MANY = 4000
_REPORT_EVERY = 16
_FILES_LOOKED_AT = 50_000


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One picture that is not decoded yet.

    Attributes:
        mark: what else is known of it, as `photo_set` is told by `marks`.
    """

    id: str
    open: Callable[[], Image.Image]
    label: int = 0
    mark: int = 0


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """What is known of every picture beside its label: its split, its condition.

    Attributes:
        title: what kind of thing that is.
        codes: (images,) int64 into `values`.
    """

    title: str
    codes: np.ndarray
    values: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        """What it says of each picture."""
        return [self.values[code] for code in self.codes]


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Pictures with names and labels.

    Attributes:
        name: tells this set from others, in addresses and caches.
        title: what people read.
        ids: of each picture: row of its split, or file name.
        labels: (images,) int64 into `classes`.
        classes: what people read; empty where nothing is known about the pictures.
        thumbnails: (images, side, side, 3) uint8, side 32 or 64.
        note: what was left out, and why; empty if nothing.
        kind: what a label is: "class", "photo", "folder".
        source: pictures as the network gets them, for a side in pixels.
        attributes: what is known beside the label, such as the split of each.
        vectors: (images, dim) that came with the set, in the place of what a network would make; mostly None.
        positions: (images, 2 or 3) where those lie on a plane, if that came too.
        pictured: whether there is anything to see on the thumbnails.
    """

    name: str
    title: str
    ids: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    thumbnails: np.ndarray
    source: Callable[[int], ArrayDataset]
    note: str = ""
    kind: str = "class"
    attributes: tuple[Attribute, ...] = ()
    vectors: np.ndarray | None = None
    positions: np.ndarray | None = None
    pictured: bool = True

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labelled(self) -> bool:
        """Whether the labels tell pictures apart, and some have company: else there is nothing that could be right."""
        _, counts = np.unique(self.labels, return_counts=True)
        return bool(self.classes) and len(counts) > 1 and bool(counts.max() > 1)


class Drawn:
    """Pictures that are made when they are read; indexed like the array (images, side, side, 3) they would fill."""

    def __init__(self, draw: Callable[[int, int], np.ndarray], rows: Sequence[int], side: int) -> None:
        """draw: (row, side) → (side, side, 3) uint8."""
        self._draw, self._rows = draw, np.asarray(rows)
        self.shape = (len(rows), side, side, 3)
        self.dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, chosen: Any) -> np.ndarray:
        rows = self._rows[chosen]
        if np.ndim(rows) == 0:
            return self._draw(int(rows), self.shape[1])
        return np.array([self._draw(int(row), self.shape[1]) for row in rows], np.uint8).reshape(-1, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)


def dataset_sample(name: str, split: str, count: int, seed: int) -> Generator[Progress, None, ImageSet]:
    """Up to `count` random pictures of a split of an imported data set; the same for the same seed.

    Raises:
        CoreError: the data set is not on this machine, or none of its pictures can be read.
        UnknownNameError: it has no such split.
    """
    info = read_dataset(name)
    if split not in info["splits"]:
        raise UnknownNameError(f"split of {name}", split, info["splits"])
    titles = _short(tuple(map(str, info.get("class_titles", info["classes"]))))
    key = f"data:{name}/{split}/{count}/{seed}"
    random = published_stream("data set sample", seed)
    if info["storage"] != "arrays":
        files = list_files(name, split)
        folder = data_root() / name / "files"
        chosen = [files[row] for row in random.permutation(len(files))[:count]]
        photos = [_file(path, str(path.relative_to(folder)), label) for path, label in chosen]
        return (yield from photo_set(photos, titles, name=key, title=f"{info['title']}, {split}"))
    images = np.load(data_root() / name / f"{split}_images.npy", mmap_mode="r")
    labels = np.load(data_root() / name / f"{split}_labels.npy", mmap_mode="r")
    rows = random.permutation(len(labels))[:count]
    if images.shape[-1] == 1:
        images = np.broadcast_to(images, (*images.shape[:3], 3))
    data = ArrayDataset(
        name=name,
        split=f"{split}, {len(rows):,} drawn with seed {seed}",
        images=Rows([images], rows),  # type: ignore[arg-type]
        labels=np.asarray(labels)[rows],
        classes=titles,
    )
    side = SMALL if images.shape[1] <= SMALL or len(rows) > _MANY else LARGE
    thumbnails = np.empty((len(rows), side, side, 3), np.uint8)
    for start in range(0, len(rows), 1000):
        yield Progress(step=start, steps=len(rows), text=f"reading {start:,} of {len(rows):,} images")
        some = data.images[start : start + 1000]
        thumbnails[start : start + 1000] = [square(Image.fromarray(image), side) for image in some]
    return ImageSet(
        name=key,
        title=f"{info['title']}, {split}",
        ids=tuple(f"{split}/{row}" for row in rows),
        labels=data.labels,
        classes=titles,
        thumbnails=thumbnails,
        source=lambda side: data,
    )


def photo_set(
    photos: Sequence[Photo],
    classes: tuple[str, ...],
    *,
    name: str,
    title: str,
    kind: str = "class",
    marks: tuple[str, tuple[str, ...]] | None = None,
) -> Generator[Progress, None, ImageSet]:
    """Photos as squares cut from their middle; those that cannot be decoded are left out and named in the note.

    `marks`: what the photos' marks are, and what each number of them is called.

    Raises:
        CoreError: none of them can be decoded.
    """
    side = SMALL if len(photos) > _MANY else LARGE
    kept: list[int] = []
    thumbnails: list[np.ndarray] = []
    bad: list[str] = []
    for index, photo in enumerate(photos):
        if index % _REPORT_EVERY == 0:
            yield Progress(step=index, steps=len(photos), text=f"decoding photo {index + 1:,} of {len(photos):,}")
        try:
            thumbnails.append(square(photo.open(), side))
        except (CoreError, OSError) as error:
            bad.append(f"{photo.id} ({error.cause if isinstance(error, CoreError) else error.strerror})")
        else:
            kept.append(index)
    if not kept:
        raise CoreError(
            f"None of the {len(photos):,} photos of {title} can be read." if photos else f"{title} holds no photos.",
            "Choose others.",
        )
    labels = np.array([photos[index].label for index in kept], np.int64)

    def source(side: int) -> ArrayDataset:
        images = Drawn(lambda row, size: square(photos[row].open(), size), kept, side)
        return ArrayDataset(name=name, split="photos", images=images, labels=labels, classes=classes)  # type: ignore[arg-type]

    return ImageSet(
        name=name,
        title=title,
        ids=tuple(photos[index].id for index in kept),
        labels=labels,
        classes=classes,
        thumbnails=np.stack(thumbnails),
        source=source,
        note=f"Left out: {_some(bad)}." if bad else "",
        kind=kind,
        attributes=(
            (Attribute(title=marks[0], codes=np.array([photos[index].mark for index in kept]), values=marks[1]),)
            if marks
            else ()
        ),
    )


def view_set(
    photos: Sequence[tuple[str, Image.Image]], views: int, *, seed: int, name: str, title: str
) -> Generator[Progress, None, ImageSet]:
    """Each photo, given with its title, in `views` ways: first as it is, then cut, mirrored and recoloured at random.

    The label is the photo, so that one can see whether a network knows that the views are of the same thing. A single
    view of each is the photo itself, without labels.
    """
    random = published_stream("views of photos", seed)
    made = [_View.draw(image.size, random, plain=view == 0) for _, image in photos for view in range(views)]
    items = [
        Photo(
            id=photos[index // views][0] + (f", view {index % views + 1}" if views > 1 else ""),
            open=lambda index=index: made[index].show(photos[index // views][1]),  # type: ignore[misc]
            label=index // views if views > 1 else 0,
        )
        for index in range(len(made))
    ]
    classes = tuple(photo for photo, _ in photos) if views > 1 else ()
    return (yield from photo_set(items, classes, name=name, title=title, kind="photo"))


def folder_photos(text: str, count: int, seed: int) -> tuple[list[Photo], tuple[str, ...]]:
    """Up to `count` random photos of a folder on this machine and all folders in it, and what their labels mean.

    The folder that a photo lies in is its label.

    Raises:
        CoreError: no such folder, or no photos in it.
    """
    try:
        folder = local_path(text)
        if not folder.is_dir():
            raise FileNotFoundError(text)
        found: list[Path] = []
        for looked_at, path in enumerate(folder.rglob("*")):
            if looked_at > _FILES_LOOKED_AT:
                break
            if has_image_suffix(path.name) and path.is_file():
                found.append(path)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: the home of a user who does not exist
        raise CoreError(f"{text!r} is no folder that can be read on this machine.", "Check the path.") from error
    if not found:
        raise CoreError(f"{text!r} holds no photos that can be read ({listed()}).", "Check the path.")
    found.sort()
    chosen = [found[row] for row in published_stream("folder photos", seed).permutation(len(found))[:count]]
    classes = tuple(sorted({path.parent.name for path in chosen}))
    photos = [_file(path, str(path.relative_to(folder)), classes.index(path.parent.name)) for path in chosen]
    return photos, classes if len(classes) > 1 else ()


@dataclass(frozen=True, kw_only=True)
class _View:
    """One way to look at a photo.

    Attributes:
        box: left, top and side of the square, in pixels of the photo.
        colour: factors of brightness, contrast and saturation.
    """

    box: tuple[float, float, float]
    mirrored: bool
    colour: tuple[float, float, float]

    @classmethod
    def draw(cls, size: tuple[int, int], random: np.random.Generator, *, plain: bool) -> _View:
        """Between half and all of the shorter side; one in seven without colours."""
        side = min(size) * (1.0 if plain else random.uniform(0.5, 1.0))
        left, top = ((extent - side) * (0.5 if plain else random.uniform()) for extent in size)
        colour = (1.0, 1.0, 1.0) if plain else tuple(random.uniform(0.6, 1.4, 3))
        if not plain and random.uniform() < 1 / 7:
            colour = (*colour[:2], 0.0)
        return cls(box=(left, top, side), mirrored=not plain and random.uniform() < 0.5, colour=colour)

    def show(self, photo: Image.Image) -> Image.Image:
        """The square, at its own resolution."""
        left, top, side = self.box
        view = photo.crop((round(left), round(top), round(left + side), round(top + side)))
        view.thumbnail((512, 512))
        if self.mirrored:
            view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for enhance, factor in zip(
            (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color), self.colour, strict=True
        ):
            view = view if factor == 1 else enhance(view).enhance(factor)
        return view


def _file(path: Path, name: str, label: int) -> Photo:
    return Photo(id=name, open=lambda: decode_image(path.read_bytes(), name=path.name), label=label)


def square(image: Image.Image, side: int) -> np.ndarray:
    """(side, side, 3) uint8, cut from the middle."""
    return np.asarray(crop_to_square(image, Preprocessing(size=side, normalisation=IMAGENET_NORMALISATION)))


def _short(titles: tuple[str, ...]) -> tuple[str, ...]:
    """WordNet's names to the first comma ("goldfish, Carassius auratus"), where that leaves them different."""
    first = [title.partition(",")[0].strip() for title in titles]
    return tuple(short if first.count(short) == 1 else title for short, title in zip(first, titles, strict=True))


def _some(names: list[str]) -> str:
    return "; ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
