"""Pictures to be classified, with what they are called where that is known: files and folders, draws from data sets."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from core.data.catalogue import read_dataset, sample_images
from core.data.formats import has_image_suffix, listed
from core.data.images import MAX_BYTES, decode_image
from core.data.prompts import dataset_labels
from core.data.wordnet import class_synset
from core.errors import CoreError

_WNID = re.compile(r"n\d{8}(?!\d)")
_ALL = 10**9


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One picture.

    Attributes:
        title: of a file, its path below the folder that was named.
        names: what its true class is called, as it is stored (a folder's name, an ImageNet id) and as people read it;
            empty where nobody knows.
        open: the picture; raises `CoreError` or `OSError` where it cannot be read.
    """

    title: str
    names: tuple[str, ...]
    open: Callable[[], Image.Image]

    @property
    def true_label(self) -> str:
        """The true class as people read it; empty where nobody knows."""
        return dataset_labels(self.names[:1], self.names[-1:])[0] if self.names else ""


def image_files(folder: Path) -> list[Path]:
    """Every image file in `folder` and the folders in it, sorted; hidden ones are left out.

    Raises:
        CoreError: it is no folder, or holds no images.
    """
    if not folder.is_dir():
        raise CoreError(f"There is no folder {folder}.", "Check the path.")
    found = sorted(
        path
        for path in folder.rglob("*")
        if has_image_suffix(path.name)
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not found:
        raise CoreError(f"{folder} holds no {listed()} files.", "Try another folder.")
    return found


def file_samples(paths: Sequence[Path]) -> list[Sample]:
    """The files of `paths`, and all that lie in its folders.

    A picture in a folder below one that was named is of the class that its own folder is called; an ImageNet id at the
    beginning of a file's name (`n02123045_tabby.jpg`) is its class, too.

    Raises:
        CoreError: a path leads nowhere, or to no images.
    """
    found = []
    for path in paths:
        if path.is_file():
            found.append(_file(path, path.name, ""))
            continue
        for file in image_files(path):
            inside = file.relative_to(path)
            found.append(_file(file, str(inside), "" if len(inside.parts) == 1 else file.parent.name))
    return found


def dataset_samples(name: str, split: str, count: int = 0, seed: int = 0) -> list[Sample]:
    """`count` random pictures of a split, the same as on the pages; 0 is all of them.

    Raises:
        CoreError: as `core.data.catalogue.sample_images`.
    """
    card = read_dataset(name)
    titles = card.get("class_titles") or card["classes"]
    return [
        Sample(
            title=f"{split} {place}",
            names=(str(card["classes"][label]), str(titles[label])),
            open=_held(image),
        )
        for place, (image, label) in enumerate(sample_images(name, split, count or _ALL, seed))
    ]


def sample_labels(samples: Sequence[Sample]) -> tuple[str, ...]:
    """The true classes of `samples` as labels, sorted, each once; empty where none is known."""
    known = sorted({sample.names for sample in samples if sample.names})
    return dataset_labels([names[0] for names in known], [names[-1] for names in known])


def _file(path: Path, title: str, folder: str) -> Sample:
    wnid = _WNID.match(path.name)
    name = folder or (wnid[0] if wnid and class_synset(wnid[0]) else "")

    def opened() -> Image.Image:
        with path.open("rb") as file:
            return decode_image(file.read(MAX_BYTES + 1), name=path.name)  # enough to see that it is too much

    return Sample(title=title, names=(name,) if name else (), open=opened)


def _held(image: Image.Image) -> Callable[[], Image.Image]:
    return lambda: image
