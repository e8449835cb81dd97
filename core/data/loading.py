"""Any imported data set at any size, as arrays that stay on disk: what experiments that are not about 32 pixels read.

Data sets that are stored as arrays come in their own size, to be resized on the device. Folders of photos are decoded
once into a memory-mapped array of the wanted size, which is kept in the cache.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.data.arrays import ArrayDataset, validation_indices
from core.data.catalogue import is_carved, list_files, read_dataset
from core.data.images import decode_image
from core.data.transforms import IMAGENET_NORMALISATION, Normalisation, Preprocessing, crop_to_square
from core.errors import ConfigError, CoreError, UnknownNameError
from core.files import switch
from core.paths import cache_root, data_root
from core.reports import Progress
from core.seeding import published_stream

HELD_OUT_SHARE = 0.2
_REPORT_EVERY = 32
# Photos that were decoded before the crop was torchvision's to the pixel are others.
_CROPPING = b"torchvision"
_STATISTICS_IMAGES = 5000


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The three parts of an experiment's data.

    Attributes:
        held_out: what `test` is, in words, for the card.
        skipped: images of folders that could not be decoded: path → why.
    """

    train: ArrayDataset
    val: ArrayDataset
    test: ArrayDataset
    held_out: str
    skipped: dict[str, str]


class Rows:
    """Chosen rows of arrays that stay where they are, such as on disk; reads like the array that they would make."""

    def __init__(self, parts: list[np.ndarray], rows: np.ndarray) -> None:
        """rows: indices into `parts` one after another."""
        self._parts, self._rows = parts, rows
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
        self.shape = (len(rows), *parts[0].shape[1:])
        self.dtype = parts[0].dtype
        self.nbytes = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, chosen: Any) -> np.ndarray:
        rows = self._rows[chosen]
        if np.ndim(rows) == 0:
            return self[np.array([chosen])][0]
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for part, start in zip(self._parts, self._starts, strict=False):
            inside = (rows >= start) & (rows < start + len(part))
            found[inside] = part[rows[inside] - start]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)


def load_images(name: str, split: str, size: int, *, grey_as_rgb: bool = True) -> ArrayDataset:
    """One split as RGB: photos as `size`-pixel squares, arrays as they are stored.

    Greyscale arrays are repeated over three channels without taking more memory. A split "train" of a data set without
    "val" is whole here; "val" is then what `load_splits` carves from it.

    Args:
        grey_as_rgb: False leaves greyscale arrays their one channel.

    Raises:
        CoreError: the data set was not imported, has no such split, or none of its images can be read.
    """
    info = read_dataset(name)
    if is_carved(info, split):
        whole = load_images(name, "train", size, grey_as_rgb=grey_as_rgb)
        return _pick(whole, validation_indices(whole.labels), split)
    if split not in info["splits"]:
        raise UnknownNameError(f"split of {name}", split, info["splits"])
    if info["storage"] == "arrays":
        return _load_stored(name, split, info, grey_as_rgb)
    for _ in decode_split(name, split, size):
        pass
    folder = _cache_folder(name, split, size)
    return ArrayDataset(
        name=name,
        split=split,
        images=np.load(folder / "images.npy", mmap_mode="r"),
        labels=np.load(folder / "labels.npy"),
        classes=tuple(info["classes"]),
    )


def decode_split(name: str, split: str, size: int) -> Iterator[Progress]:
    """Fill the cache for `load_images`, saying how far it is; nothing to do for arrays and where it was done before.

    A photo that cannot be decoded is left out and named in `skipped_images`.

    Raises:
        CoreError: the data set was not imported, has no such split, or none of its images can be read.
    """
    info = read_dataset(name)
    split = "train" if is_carved(info, split) else split
    if info["storage"] == "arrays" or (target := _cache_folder(name, split, size)).is_dir():
        return
    files = list_files(name, split)
    workshop = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}"
    workshop.mkdir(parents=True)
    skipped: dict[str, str] = {}
    labels: list[int] = []
    square = Preprocessing(size=size, normalisation=IMAGENET_NORMALISATION)
    try:
        path = workshop / "images.npy"
        images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(files), size, size, 3))
        for done, (file, label) in enumerate(files):
            if done % _REPORT_EVERY == 0:
                yield Progress(step=done, steps=len(files), text=f"decoding {split}: {done:,} of {len(files):,} photos")
            try:
                images[len(labels)] = np.asarray(
                    crop_to_square(decode_image(file.read_bytes(), name=file.name), square)
                )
            except (CoreError, OSError) as error:
                skipped[file.name] = str(error)
            else:
                labels.append(label)
        images.flush()
        if not labels:
            raise CoreError(f"None of the images in {split} of {name} can be read.", "Import the data set again.")
        kept = np.array(images[: len(labels)]) if skipped else None
        del images  # Windows neither overwrites a file that is mapped nor renames its folder
        if kept is not None:
            np.save(path, kept)
        np.save(workshop / "labels.npy", np.array(labels, dtype=np.int64))
        (workshop / "skipped.json").write_text(json.dumps(skipped), encoding="utf-8")
        try:
            switch(workshop, target)
        except OSError:
            if not target.is_dir():  # otherwise another process was quicker, with the same content
                raise
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def skipped_images(name: str, split: str, size: int) -> dict[str, str]:
    """What `decode_split` had to leave out: file name → why."""
    path = _cache_folder(name, split, size) / "skipped.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def choose_splits(name: str, train: str = "", test: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which stored splits to learn from and to test on.

    Args:
        train, test: names joined by "+"; empty means the usual ones: `train` and `test` (or `val`) where they exist;
            of several domains the last to test on and the others to learn from; a lone split is both.

    Raises:
        UnknownNameError: there is no such split.
        ConfigError: the two overlap without being the same.
    """
    stored = tuple(read_dataset(name)["splits"])
    chosen_test = _names(name, test, stored) or _usual_test(stored, _names(name, train, stored))
    rest = tuple(split for split in stored if split not in chosen_test) or chosen_test
    usual = ("train",) if "train" in stored else rest
    chosen_train = _names(name, train, stored) or usual
    overlap = set(chosen_train) & set(chosen_test)
    if overlap and set(chosen_train) != set(chosen_test):
        raise ConfigError(
            f"{', '.join(sorted(overlap))} would be learned from and tested on.",
            "Choose different splits, or the same ones for both: then a fifth of each class is held out.",
        )
    return chosen_train, chosen_test


def load_splits(name: str, size: int, train: str = "", test: str = "", *, grey_as_rgb: bool = True) -> Splits:
    """Training, validation and test images of a data set; see `choose_splits` and `load_images` for the arguments.

    Where the same splits serve both, a fifth of every class is held out for testing. Validation is the data set's own
    `val` where only `train` is learned from, else a tenth of every class of what is learned from. All of it is the same
    on every machine.
    """
    chosen_train, chosen_test = choose_splits(name, train, test)
    parts = {
        split: load_images(name, split, size, grey_as_rgb=grey_as_rgb)
        for split in dict.fromkeys((*chosen_train, *chosen_test))
    }
    learned = _join([parts[split] for split in chosen_train], "train")
    if chosen_train == chosen_test or set(chosen_train) == set(chosen_test):
        rows = validation_indices(learned.labels, HELD_OUT_SHARE, seed=1)
        tested = _pick(learned, rows, "test")
        learned = _pick(learned, np.setdiff1d(np.arange(len(learned)), rows), "train")
        held_out = f"a fifth of {'+'.join(chosen_test)}"
    else:
        tested = _join([parts[split] for split in chosen_test], "test")
        held_out = "+".join(chosen_test)
    own_val = chosen_train == ("train",) and "val" in read_dataset(name)["splits"] and "val" not in chosen_test
    if own_val:
        val = load_images(name, "val", size, grey_as_rgb=grey_as_rgb)
    else:
        rows = validation_indices(learned.labels)
        val = _pick(learned, rows, "val")
        learned = _pick(learned, np.setdiff1d(np.arange(len(learned)), rows), "train")
    if not len(val):
        raise ConfigError(f"{name} has too few images per class to hold some out.", "Import more images per class.")
    used = dict.fromkeys((*chosen_train, *chosen_test, *(("val",) if own_val else ())))
    skipped = {
        file: why
        for split in used
        if read_dataset(name)["storage"] == "folder"
        for file, why in skipped_images(name, split, size).items()
    }
    return Splits(train=learned, val=val, test=tested, held_out=held_out, skipped=skipped)


def limit_images(data: ArrayDataset, count: int | None, seed: int = 0) -> ArrayDataset:
    """At most `count` random images of `data`, in their old order; all of them for None."""
    if count is None or count >= len(data):
        return data
    rows = published_stream("limited images", seed).permutation(len(data))[:count]
    return _pick(data, np.sort(rows), data.split)


def measure_normalisation(data: ArrayDataset) -> Normalisation:
    """Mean and standard deviation per channel of (up to 5,000 of) the images, pixels in [0, 1]."""
    pixels = np.asarray(limit_images(data, _STATISTICS_IMAGES).images[:], dtype=np.float32) / 255
    mean, std = pixels.mean(axis=(0, 1, 2)), pixels.std(axis=(0, 1, 2))
    # A channel that never changes must not divide by zero.
    return Normalisation(mean=tuple(map(float, mean)), std=tuple(float(max(value, 1e-3)) for value in std))


def _names(name: str, text: str, stored: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split("+") if part.strip())
    if names == ("all",) and "all" not in stored:
        return stored
    for each in names:
        if each not in stored:
            raise UnknownNameError(f"split of {name}", each, stored)
    return names


def _usual_test(stored: tuple[str, ...], train: tuple[str, ...]) -> tuple[str, ...]:
    for usual in ("test", "val"):
        if usual in stored and usual not in train:
            return (usual,)
    free = [split for split in stored if split not in train]
    return (free[-1],) if free else train


def _load_stored(name: str, split: str, info: dict[str, Any], grey_as_rgb: bool) -> ArrayDataset:
    folder = data_root() / name
    # Not `load_arrays`: it carves validation images out of `train`, in memory.
    whole = ArrayDataset(
        name=name,
        split=split,
        images=np.load(folder / f"{split}_images.npy", mmap_mode="r"),
        labels=np.load(folder / f"{split}_labels.npy", mmap_mode="r"),
        classes=tuple(info["classes"]),
    )
    if whole.images.shape[-1] != 1 or not grey_as_rgb:
        return whole
    return replace(whole, images=np.broadcast_to(whole.images, (*whole.images.shape[:3], 3)))


def _pick(data: ArrayDataset, rows: np.ndarray, split: str) -> ArrayDataset:
    """Rows of `data` without copying its images."""
    images = data.images
    picked = Rows(images._parts, images._rows[rows]) if isinstance(images, Rows) else Rows([images], rows)
    return replace(data, split=split, images=picked, labels=np.asarray(data.labels)[rows])  # type: ignore[arg-type]


def _join(parts: list[ArrayDataset], split: str) -> ArrayDataset:
    if len(parts) == 1:
        return replace(parts[0], split=split)
    images = [part.images for part in parts]
    labels = np.concatenate([part.labels for part in parts])
    return replace(parts[0], split=split, images=Rows(images, np.arange(len(labels))), labels=labels)  # type: ignore[arg-type]


def _cache_folder(name: str, split: str, size: int) -> Path:
    """Where the decoded images lie; a data set that was deleted and imported anew has another place."""
    folder = data_root() / name
    digest = hashlib.sha256((folder / f"{split}_files.json").read_bytes())
    digest.update(str((folder / "dataset.json").stat().st_mtime_ns).encode())
    digest.update(_CROPPING)
    return cache_root() / "images" / name / f"{split}-{size}-{digest.hexdigest()[:12]}"
