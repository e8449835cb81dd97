"""What we know about a data set before it is on this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from core.errors import CoreError

DatasetKind = Literal["torchvision", "archive"]

_NAME = re.compile(r"[a-z0-9_-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """One row of the catalogue.

    Attributes:
        name: key in the catalogue, and the folder below `core.paths.data_root()`.
        title: what people read.
        kind: "torchvision" where torchvision can download it, "archive" where the user brings a file. Both can be
            imported from an archive.
        classes: how many.
        image_size: pixels per side of its square images; None where they differ.
        splits: names of the splits as published.
        licence: of the images.
        how: how to get it, as one sentence.
        note: what a viewer must know before drawing conclusions.
        torchvision_name: the class in `torchvision.datasets`.
        lossless: the published pixels are exact, so that a copy in JPEG differs and has to say so.
    """

    name: str
    title: str
    kind: DatasetKind
    classes: int
    image_size: int | None
    splits: tuple[str, ...]
    licence: str
    how: str
    note: str = ""
    torchvision_name: str = ""
    lossless: bool = False


def check_dataset_name(name: str) -> None:
    """Raise `CoreError` unless `name` may become a folder."""
    if not _NAME.fullmatch(name):
        raise CoreError(
            f"{name!r} cannot name a data set.", "Use 1 to 64 lower-case letters, digits, hyphens or underscores."
        )
