"""The data sets we know, those on this machine, and a few pictures out of any of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.data.arrays import validation_indices
from core.data.images import decode_image
from core.data.spec import DatasetSpec, check_dataset_name
from core.errors import CoreError, UnknownNameError
from core.paths import data_root
from core.seeding import stream


def _from_archive(name: str) -> str:
    return f"Import an archive or a folder of it: python -m core data import FILE --name {name}"


def _from_torchvision(name: str) -> str:
    return (
        f"Download it: python -m core data get {name} (add --from FOLDER to convert published files that are already "
        f"here), or import an archive of images: python -m core data import FILE --name {name}"
    )


_ALL = (
    DatasetSpec(
        name="cifar10",
        title="CIFAR-10",
        kind="torchvision",
        classes=10,
        image_size=32,
        splits=("train", "test"),
        licence="none stated; cite Krizhevsky 2009",
        how=_from_torchvision("cifar10"),
        torchvision_name="CIFAR10",
        lossless=True,
    ),
    DatasetSpec(
        name="cifar100",
        title="CIFAR-100",
        kind="torchvision",
        classes=100,
        image_size=32,
        splits=("train", "test"),
        licence="none stated; cite Krizhevsky 2009",
        how=_from_torchvision("cifar100"),
        torchvision_name="CIFAR100",
        lossless=True,
    ),
    DatasetSpec(
        name="mnist",
        title="MNIST",
        kind="torchvision",
        classes=10,
        image_size=28,
        splits=("train", "test"),
        licence="CC BY-SA 3.0",
        how=_from_torchvision("mnist"),
        torchvision_name="MNIST",
        lossless=True,
    ),
    DatasetSpec(
        name="fashion_mnist",
        title="Fashion-MNIST",
        kind="torchvision",
        classes=10,
        image_size=28,
        splits=("train", "test"),
        licence="MIT",
        how=_from_torchvision("fashion_mnist"),
        torchvision_name="FashionMNIST",
        lossless=True,
    ),
    DatasetSpec(
        name="stl10",
        title="STL-10",
        kind="torchvision",
        classes=10,
        image_size=96,
        splits=("train", "test"),
        licence="none stated; the images come from ImageNet",
        how=_from_torchvision("stl10"),
        torchvision_name="STL10",
        lossless=True,
    ),
    DatasetSpec(
        name="coloured_mnist",
        title="Coloured MNIST",
        kind="archive",
        classes=10,
        image_size=28,
        splits=("train", "test"),
        licence="derived from MNIST (CC BY-SA 3.0)",
        how=_from_archive("coloured_mnist"),
        note="Digits in red, green or blue. Colour does not tell the digit, until a study makes it.",
        lossless=True,
    ),
    DatasetSpec(
        name="cifar10g",
        title="CIFAR-10G",
        kind="archive",
        classes=10,
        image_size=224,
        splits=(
            "contours",
            "contours_inverted",
            "line_drawings",
            "line_drawings_inverted",
            "silhouettes",
            "silhouettes_inverted",
        ),
        licence="CC BY-NC-SA 4.0 (Evans 2021)",
        how=_from_archive("cifar10g"),
        note="Ten drawings per class and style, for testing only.",
        lossless=True,
    ),
    DatasetSpec(
        name="pacs",
        title="PACS",
        kind="archive",
        classes=7,
        image_size=227,
        splits=("art_painting", "cartoon", "photo", "sketch"),
        licence="none stated; for research (Li et al. 2017, arXiv 1710.03077)",
        how=_from_archive("pacs"),
        note="Four domains, no official test split: train on some domains, test on another.",
    ),
    DatasetSpec(
        name="tiny_imagenet",
        title="Tiny-ImageNet",
        kind="archive",
        classes=200,
        image_size=64,
        splits=("train", "val"),
        licence="ImageNet terms: non-commercial research and teaching",
        how=_from_archive("tiny_imagenet"),
    ),
    DatasetSpec(
        name="cue_conflict",
        title="Cue conflict",
        kind="archive",
        classes=16,
        image_size=224,
        splits=("all",),
        licence="for research (Geirhos et al. 2019, arXiv 1811.12231)",
        how=_from_archive("cue_conflict"),
        note="The class is the shape; the file name also tells the texture. Where both agree there is no conflict, "
        "and an analysis must drop the image.",
    ),
    DatasetSpec(
        name="imagenet_samples",
        title="ImageNet samples",
        kind="archive",
        classes=500,
        image_size=None,
        splits=("all",),
        licence="ImageNet terms: non-commercial research and teaching",
        how=_from_archive("imagenet_samples"),
        note="One photo per class, every second class: accuracies on it have wide intervals.",
    ),
)

DATASETS: dict[str, DatasetSpec] = {spec.name: spec for spec in _ALL}


def imported_title(name: str, classes: int, *, lossy: bool) -> str:
    """The title of an imported data set: the catalogue's if it is the one it claims to be, else its name.

    Args:
        classes: how many the import found; another number means that only the name is the same.
        lossy: some of its images are JPEG, so that figures on it are not figures on exact pixels.
    """
    spec = DATASETS.get(name)
    if spec is None or spec.classes != classes:
        return name
    return f"{spec.title} (JPEG copy)" if spec.lossless and lossy else spec.title


def installed_datasets() -> dict[str, dict[str, Any]]:
    """`dataset.json` of every data set on this machine, by name.

    A folder without a readable `dataset.json` is no data set: the importer writes it last.
    """
    root = data_root()
    found = {}
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        try:
            found[folder.name] = read_dataset(folder.name)
        except CoreError:
            continue
    return found


def read_dataset(name: str) -> dict[str, Any]:
    """`dataset.json` of one data set; the keys are described in `core.data.archives`.

    Raises:
        CoreError: it was not imported, or the file is damaged.
    """
    check_dataset_name(name)
    folder = data_root() / name
    if not (folder / "dataset.json").is_file():
        how = DATASETS[name].how if name in DATASETS else _from_archive(name)
        raise CoreError(f"The data set {name!r} is not on this machine.", f"{how}.")
    try:
        info = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        if not isinstance(info, dict) or not isinstance(info["classes"], list):
            raise ValueError("no classes")
    except (ValueError, KeyError, OSError) as error:
        raise CoreError(f"dataset.json of {name!r} is damaged.", f"Delete {folder} and import it again.") from error
    # Arrays that a script wrote without the importer carry only a name and classes.
    info.setdefault("name", name)
    info.setdefault("title", name)
    info.setdefault("storage", "arrays")
    if "splits" not in info:
        labels = sorted(folder.glob("*_labels.npy"))
        info["splits"] = {path.name.removesuffix("_labels.npy"): len(np.load(path, mmap_mode="r")) for path in labels}
    return info


def is_carved(info: Mapping[str, Any], split: str) -> bool:
    """Whether `split` is "val" of a data set that stores none: a tenth of its "train", the same for everybody."""
    return split == "val" and split not in info["splits"] and "train" in info["splits"]


def usual_split(name: str) -> str:
    """The split whose pictures nothing learned from; photos where the splits are domains, as those of PACS.

    Raises:
        CoreError: the data set is not on this machine, or has no pictures.
    """
    splits = list(read_dataset(name)["splits"])
    if not splits:
        raise CoreError(f"The data set {name!r} has no pictures.", "Import it again, or choose another.")
    # Tiny-ImageNet's labelled test images are called val.
    return next((each for each in ("test", "val", "photo") if each in splits), splits[-1])


def sample_images(name: str, split: str, count: int, seed: int) -> list[tuple[Image.Image, int]]:
    """Up to `count` different pictures of a split in random order, each with the index of its class.

    The same `seed` gives the same pictures. `val` is carved from `train` where there is no such split, as in
    `core.data.arrays.load_arrays`.

    Raises:
        CoreError: the data set is not on this machine, or a picture of it is gone.
        UnknownNameError: it has no such split.
    """
    info = read_dataset(name)
    folder = data_root() / name
    carved = split in ("train", "val") and is_carved(info, "val")
    stored = "train" if carved else split
    if stored not in info["splits"]:
        raise UnknownNameError(f"split of {name}", split, info["splits"])
    files = None if info["storage"] == "arrays" else list_files(name, stored)
    if files is None:
        labels = np.load(folder / f"{stored}_labels.npy", mmap_mode="r")
    else:
        labels = np.array([label for _, label in files], dtype=np.int64)
    rows = np.arange(len(labels))
    if carved:
        held_out = validation_indices(labels)
        rows = held_out if split == "val" else np.setdiff1d(rows, held_out)
    chosen = stream("sample pictures", seed).permutation(rows)[:count]
    if files is None:
        images = np.load(folder / f"{stored}_images.npy", mmap_mode="r")
        return [(_from_array(images[row]), int(labels[row])) for row in chosen]
    return [(_from_file(files[row][0]), int(labels[row])) for row in chosen]


def list_files(name: str, split: str) -> list[tuple[Path, int]]:
    """Every picture of a split with storage "folder": its path and the index of its class.

    Raises:
        CoreError: the data set is not on this machine, or is stored as arrays.
        UnknownNameError: it has no such split.
    """
    info = read_dataset(name)
    if info["storage"] != "folder":
        raise CoreError(f"{name!r} is stored as arrays, not as files.", "Read it with load_arrays.")
    if split not in info["splits"]:
        raise UnknownNameError(f"split of {name}", split, info["splits"])
    folder = data_root() / name
    rows = json.loads((folder / f"{split}_files.json").read_text(encoding="utf-8"))
    return [(folder / "files" / path, label) for path, label in rows]


def _from_array(pixels: np.ndarray) -> Image.Image:
    """(height, width, channels) uint8 → RGB; one channel is grey."""
    return Image.fromarray(np.array(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)).convert("RGB")


def _from_file(path: Path) -> Image.Image:
    if not path.is_file():
        raise CoreError(f"{path.name} is no longer in {path.parent}.", "Import the data set again.")
    return decode_image(path.read_bytes(), name=path.name)
