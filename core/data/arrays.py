"""Small images of one size as one memory-mapped array per split, so that training never waits for decoding.

A data set is a folder: `dataset.json` (name, classes, source, licence), and per split `SPLIT_images.npy`
(images, height, width, channels) uint8 and `SPLIT_labels.npy` (images,) int64.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import CoreError
from core.paths import data_root
from core.seeding import published_stream, stream


@dataclass(frozen=True, kw_only=True)
class ArrayDataset:
    """One split in memory-mapped arrays: images (n, height, width, channels) uint8, labels (n,) int64."""

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: np.ndarray, split: str) -> ArrayDataset:
        """The rows `indices`, copied into memory, under another split's name."""
        return ArrayDataset(
            name=self.name, split=split, images=self.images[indices], labels=self.labels[indices], classes=self.classes
        )


def save_arrays(folder: Path, split: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Write one split into `folder`; `dataset.json` is the importer's to write, last."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{split}_images.npy", images.astype(np.uint8, copy=False))
    np.save(folder / f"{split}_labels.npy", labels.astype(np.int64, copy=False))


def load_arrays(name: str, split: str) -> ArrayDataset:
    """One split of an imported data set.

    `val` is a fixed, class-balanced tenth of `train` where the data set has no validation split of its own, and
    `train` is then the other nine tenths, so that choices never touch the test images.

    Raises:
        CoreError: the data set was not imported, or has no such split.
    """
    folder = data_root() / name
    if not (folder / "dataset.json").is_file():
        raise CoreError(
            f"The data set {name!r} is not on this machine.",
            f"Import it: python -m core data import ARCHIVE --name {name}",
        )
    carved = split in ("train", "val") and not (folder / "val_images.npy").is_file()
    stored = "train" if carved else split
    if not (folder / f"{stored}_images.npy").is_file():
        raise CoreError(f"The data set {name!r} has no split {split!r} stored as arrays.", "Import it again.")
    whole = ArrayDataset(
        name=name,
        split=stored,
        images=np.load(folder / f"{stored}_images.npy", mmap_mode="r"),
        labels=np.load(folder / f"{stored}_labels.npy", mmap_mode="r"),
        classes=tuple(json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["classes"]),
    )
    if not carved:
        return whole
    held_out = validation_indices(whole.labels)
    indices = held_out if split == "val" else np.setdiff1d(np.arange(len(whole)), held_out)
    return whole.subset(indices, split)


def validation_indices(labels: np.ndarray, share: float = 0.1, seed: int = 0) -> np.ndarray:
    """Sorted indices of a random `share` of every class, the same on every machine.

    Of a class too small for it one image is taken, as long as another one is left.
    """
    random = published_stream("validation split", seed)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = round(len(members) * share)
        chosen.append(random.choice(members, size=count, replace=False))
        if count == 0 and share > 0 and len(members) > 1:
            # In a stream of its own, so that other classes keep the images that they are known by.
            chosen.append(stream("held out of a small class", seed, int(label)).choice(members, size=1))
    return np.sort(np.concatenate(chosen))
