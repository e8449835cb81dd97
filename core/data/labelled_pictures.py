"""Pictures with labels that are not read yet: of a split, of a folder on this machine, of the bundled photos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.catalogue import list_files, read_dataset
from core.data.examples import EXAMPLES, load_example
from core.data.images import decode_image
from core.data.layout import choose_layout, equally_good, read_layouts
from core.data.splits import WHOLE
from core.errors import ArchiveError, CoreError, UnknownNameError
from core.paths import data_root, local_path
from core.seeding import stream

_MOST_FILES = 50_000
_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
_HOW = "Put them into folders: CONDITION/CATEGORY/*.jpg, CONDITION/categoryN.jpg, or CATEGORY/*.jpg."


@dataclass(frozen=True, kw_only=True)
class LabelledPicture:
    """One picture; `label` is an index into the classes it came with."""

    label: int
    title: str
    open: Callable[[], Image.Image]


@dataclass(frozen=True, kw_only=True)
class LabelledPictures:
    """Pictures in groups (splits, domains, conditions) that share their classes.

    Attributes:
        classes: names as they are stored: folder names, ids.
        titles: what people read, one for each class.
    """

    title: str
    classes: tuple[str, ...]
    titles: tuple[str, ...]
    groups: dict[str, tuple[LabelledPicture, ...]]


def dataset_pictures(name: str, splits: tuple[str, ...] = ()) -> LabelledPictures:
    """Splits of an imported data set, all of them where none is named; nothing is decoded yet.

    Raises:
        CoreError: it is not on this machine.
        UnknownNameError: it has no such split.
    """
    info = read_dataset(name)
    for split in splits:
        if split not in info["splits"]:
            raise UnknownNameError(f"split of {name}", split, info["splits"])
    return LabelledPictures(
        title=str(info["title"]),
        classes=tuple(map(str, info["classes"])),
        titles=tuple(map(str, info.get("class_titles") or info["classes"])),
        groups={split: tuple(_split(name, split)) for split in splits or info["splits"]},
    )


def folder_pictures(text: str) -> LabelledPictures:
    """A folder `GROUP/CLASS/*` or `GROUP/class12.jpg` on this machine; `CLASS/*` is one group of the folder's name.

    Raises:
        CoreError: there is no such folder, or it holds no pictures in folders of their classes.
    """
    try:
        folder = local_path(text)
        found = (path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS and path.is_file())
        inside = [path.relative_to(folder).parts for path, _ in zip(found, range(_MOST_FILES), strict=False)]
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: the home of a user who does not exist
        raise CoreError(f"{text!r} is no folder that can be read on this machine.", "Check the path.") from error
    if not inside:
        raise CoreError(f"{text!r} holds no pictures.", _HOW)
    readings = read_layouts(inside)
    # Here groups are wanted, wherever it could be either.
    grouped = [each for each in readings if each.name.startswith("condition")] if equally_good(readings) else []
    layout = grouped[0] if grouped else choose_layout(readings)
    if len(layout.classes) < 2:
        raise ArchiveError(f"{folder.name} has pictures of one class only.", _HOW)
    groups = {
        (folder.name if name == WHOLE else name): tuple(
            LabelledPicture(label=label, title="/".join(parts), open=_file(folder.joinpath(*parts)))
            for parts, label in rows
        )
        for name, rows in layout.splits.items()
    }
    titles = tuple(layout.titles.get(name, name) for name in layout.classes)
    return LabelledPictures(title=folder.name, classes=layout.classes, titles=titles, groups=groups)


def example_pictures() -> LabelledPictures:
    """The bundled photos, each a class of its own by its ImageNet word; those without one by their title."""
    titles = tuple(example.word or example.title for example in EXAMPLES.values())
    pictures = tuple(
        LabelledPicture(label=index, title=example.title, open=_example(example.name))
        for index, example in enumerate(EXAMPLES.values())
    )
    return LabelledPictures(title="The bundled photos", classes=titles, titles=titles, groups={"examples": pictures})


def choose_pictures(
    pictures: tuple[LabelledPicture, ...], per_class: int, seed: int = 0
) -> tuple[LabelledPicture, ...]:
    """At most so many random ones of each class, in their old order."""
    left: dict[int, int] = {}
    kept = []
    for index in stream("pictures of each class", seed).permutation(len(pictures)):
        label = pictures[index].label
        if left.setdefault(label, per_class):
            left[label] -= 1
            kept.append(int(index))
    return tuple(pictures[index] for index in sorted(kept))


def _split(name: str, split: str) -> list[LabelledPicture]:
    if read_dataset(name)["storage"] != "arrays":
        return [
            LabelledPicture(label=label, title=path.name, open=_file(path)) for path, label in list_files(name, split)
        ]
    images = np.load(data_root() / name / f"{split}_images.npy", mmap_mode="r")
    labels = np.load(data_root() / name / f"{split}_labels.npy", mmap_mode="r")
    return [
        LabelledPicture(label=int(label), title=f"{split} {row}", open=_stored(images, row))
        for row, label in enumerate(labels)
    ]


def _file(path: Path) -> Callable[[], Image.Image]:
    return lambda: decode_image(path.read_bytes(), name=path.name)


def _stored(images: np.ndarray, row: int) -> Callable[[], Image.Image]:
    # One channel is grey.
    return lambda: Image.fromarray(np.squeeze(np.array(images[row]))).convert("RGB")


def _example(name: str) -> Callable[[], Image.Image]:
    return lambda: load_example(name)
