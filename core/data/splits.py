"""What people call the parts of a data set, and folders that are none."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from core.data.archive_names import Parts

WHOLE = "all"

ALIASES = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "pred": "unlabelled",
    "unlabelled": "unlabelled",
    "unlabeled": "unlabelled",
}
_FILLERS = frozenset({
    "set", "data", "dataset", "images", "image", "imgs", "img", "split", "files", "list", "jpg", "png", "photos",
    "labels", "label", "v",
})  # fmt: skip

# Folders that name what lies in them, not what is shown.
GENERIC = frozenset({
    "images", "image", "imgs", "img", "jpg", "jpeg", "jpegs", "jpegimages", "png", "photos", "pictures", "data",
    "dataset", "files",
})  # fmt: skip
_ANNOTATIONS = frozenset({
    "annotations", "annotation", "masks", "trimaps", "segmentations", "segmentation", "groundtruth", "ground_truth",
})  # fmt: skip


def split_of(name: str) -> str:
    """The usual name of the split that `name` means: `training`, `test1`, `train_images`; empty if it means none."""
    plain = name.casefold()
    if plain in ALIASES:
        return ALIASES[plain]
    words = re.findall(r"[^\W\d_]+", plain)
    found = [ALIASES[word] for word in words if word in ALIASES]
    return found[0] if len(found) == 1 and not {*words} - {*ALIASES} - _FILLERS else ""


def splits_of(names: Iterable[str]) -> dict[str, str]:
    """The splits that sibling folders mean; `cars_train` and `cars_test` tell each other that cars is no class."""
    names = list(names)
    found = {name: split for name in names if (split := split_of(name))}
    rest: dict[frozenset[str], dict[str, str]] = {}
    for name in names:
        words = re.findall(r"[^\W\d_]+", name.casefold())
        meant = [ALIASES[word] for word in words if word in ALIASES]
        if name not in found and len(meant) == 1:
            rest.setdefault(frozenset({*words} - {*ALIASES}), {})[name] = meant[0]
    for named in rest.values():
        if len(set(named.values())) > 1:
            found |= named
    return found


def split_names(folders: Iterable[str], known: dict[str, str]) -> dict[str, str]:
    """A name for every split folder: the usual ones under their usual names, others as safe file names."""
    names: dict[str, str] = {}
    for folder in sorted(folders):
        wanted = known.get(folder) or re.sub(r"[^a-z0-9_-]+", "_", folder.lower()).strip("_")[:64] or "split"
        name, number = wanted, 2
        while name in names.values():
            name, number = f"{wanted}_{number}", number + 1
        names[folder] = name
    return names


def annotation_folders(folders: Collection[Parts]) -> set[Parts]:
    """Those of masks beside a folder `images`: they hold pictures, but not of anything."""
    beside = {folder[:at] for folder in folders for at, part in enumerate(folder) if part.casefold() in GENERIC}
    return {
        folder
        for folder in folders
        if any(part.casefold() in _ANNOTATIONS and folder[:at] in beside for at, part in enumerate(folder))
    }
