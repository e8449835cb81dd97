"""Importing image data: an archive or a folder becomes a data set below `core.paths.data_root()`.

It is read first (`core.data.reading`): which paths become which splits and classes, and what else there is. Images that
all have one size of at most 96 pixels are decoded once, to arrays (`core.data.arrays`); all others are kept as files.
`dataset.json` is written last:

| key          | meaning                                                                                     |
|--------------|---------------------------------------------------------------------------------------------|
| name, title  | key and words for people                                                                    |
| classes      | names in label order                                                                        |
| class_titles | readable names in the same order; absent where the classes are readable themselves          |
| splits       | name → number of images                                                                     |
| storage      | "arrays": `SPLIT_images.npy`, `SPLIT_labels.npy`; "folder": `files/`, listed with labels in |
|              | `SPLIT_files.json` as [path, label]                                                         |
| image_size   | [height, width] of arrays                                                                   |
| licence      | from the catalogue, where it knows the data set                                             |
| source       | name of the imported file or folder                                                         |
| layout       | how it was read, by the names of `core.data.layout`                                         |
| notes        | what was found on the way: duplicates, spellings that became one class                      |
| skipped      | path → why it was left out                                                                  |
| provenance   | how its images were made; of sets that a recipe of this project made                        |
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import unicodedata
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.archive_names import Parts
from core.data.arrays import save_arrays
from core.data.catalogue import DATASETS, imported_title
from core.data.extract import DISK_FULL, Limits
from core.data.formats import image_format
from core.data.images import MAX_BYTES, decode_image
from core.data.layout import Layout
from core.data.reading import Reading, first_pictures, read_files
from core.data.sources import Files, open_source
from core.data.spec import check_dataset_name
from core.errors import ArchiveError, CoreError, ImageError
from core.files import switch
from core.paths import data_root
from core.reports import OnProgress, silent

ARRAY_SIDE = 96
ARRAY_BYTES = 8 * 2**30
LIMITS = Limits(file_bytes=MAX_BYTES)

# Pictures of classes that a preview holds for each layout, and their longer side in pixels.
MOST_PICTURES, PICTURE_SIDE = 40, 96

_REPORT_EVERY = 256
_TITLES_FILE = "classes.tsv"
_STALE_SECONDS = 24 * 3600

OnReading = Callable[[Reading, Layout], None]


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What was understood, and small pictures of what it would store.

    Attributes:
        pictures: path of the first picture of a class under some layout → the picture; not of those that are broken.
    """

    reading: Reading
    pictures: dict[Parts, Image.Image]


def read_archive(source: Path, on_progress: OnProgress = silent, *, encoding: str = "") -> Preview:
    """What an archive or a folder holds and can mean; nothing is stored.

    Raises:
        CoreError: the disk is full.
        ArchiveError: the archive is damaged, unsafe or too large, or holds no images.
    """
    root = data_root()
    root.mkdir(parents=True, exist_ok=True)
    with _disk_named(root), tempfile.TemporaryDirectory(dir=root, prefix=".reading-") as folder:
        source = Path(source)
        files = open_source(source, Path(folder) / "spool", LIMITS, on_progress, encoding)
        with closing(files):
            on_progress(1.0, "Looking at names")
            reading = read_files(files, source.name, LIMITS)
            firsts = (list(first_pictures(layout).values()) for layout in reading.layouts)
            wanted = {path for each in firsts for path in each[:MOST_PICTURES]}
            pictures = {}
            for path in sorted(wanted):
                with suppress(ImageError):
                    pictures[path] = decode_image(files.read(path), name=path[-1], max_side=PICTURE_SIDE)
    return Preview(reading=reading, pictures=pictures)


def import_archive(
    source: Path,
    name: str,
    on_progress: OnProgress = silent,
    *,
    layout: str = "",
    encoding: str = "",
    on_reading: OnReading = lambda reading, layout: None,
    provenance: Mapping[str, object] | None = None,
) -> Path:
    """Import an archive (.zip, .tar, .tar.gz, .tar.xz) or a folder of images as the data set `name`.

    Everything is built beside the target and moved there in one step, so an import that is interrupted leaves nothing
    to trip over. A broken image is left out and named in `dataset.json`.

    Args:
        on_progress: called with the share done and what is happening; may raise to cancel.
        layout: how to read it, by the names of `core.data.layout`; by default the one that explains the files best.
        encoding: of names in archives that do not say which they are in.
        on_reading: called with what was understood before anything is stored; may raise to cancel.
        provenance: how the images were made, for `dataset.json`.

    Returns:
        The folder of the data set.

    Raises:
        CoreError: `name` cannot name a data set or is taken, or the disk is full.
        ArchiveError: the archive is damaged, unsafe or too large, holds no images with classes, or can be read in
            several ways that are equally good.
        UnknownNameError: it cannot be read by `layout`.
    """
    check_dataset_name(name)
    source, target = Path(source), data_root() / name
    _check_paths(source, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(name)
    workshop = target.parent / f".{name}.importing-{uuid.uuid4().hex[:8]}"
    workshop.mkdir()
    start = 0.0 if source.is_dir() else 0.4
    try:
        with _disk_named(target.parent):
            files = open_source(
                source, workshop / "spool", LIMITS, lambda share, text: on_progress(0.4 * share, text), encoding
            )
            with closing(files):
                reading = read_files(files, source.name, LIMITS)
                chosen = reading.choose(layout)
                on_reading(reading, chosen)
                builder = _Builder(files, workshop / "built", provenance)
                builder.build(name, reading, chosen, lambda share, text: on_progress(start + (1 - start) * share, text))
            try:
                switch(workshop / "built", target)
            except OSError as error:
                raise _taken(target) from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    on_progress(1.0, "Done")
    return target


@contextmanager
def _disk_named(folder: Path) -> Iterator[None]:
    """A full disk is a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise CoreError(f"The disk that holds {folder} is full.", "Free some space and retry.") from error


def _check_paths(source: Path, target: Path) -> None:
    if target.exists():
        raise _taken(target)
    if not source.is_dir() and not source.is_file():
        raise ArchiveError(f"There is no file or folder {source}.", "Check the path.")
    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise ArchiveError(f"{source} holds Vitrine's own data folder.", "Import a folder of images only.")


def _taken(target: Path) -> CoreError:
    return CoreError(
        f"There is already a data set named {target.name!r}.", f"Choose another name, or delete {target} first."
    )


def _remove_stale(name: str) -> None:
    """Remove what killed imports of this name left; a young folder may belong to one that is still at work."""
    for folder in data_root().glob(f".{name}.importing-*"):
        if time.time() - folder.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


class _Builder:
    """Turns files into a finished data set folder."""

    def __init__(self, files: Files, target: Path, provenance: Mapping[str, object] | None) -> None:
        self._files = files
        self._provenance = provenance
        self._target = target
        self._lossy = False

    def build(self, name: str, reading: Reading, layout: Layout, report: OnProgress) -> None:
        """Decode and write everything; `dataset.json` last."""
        self._target.mkdir()
        kept, broken, size = self._decode(layout, report)
        counts = {split: len(rows) for split, rows in kept.items() if rows}
        if not counts:
            raise ArchiveError(
                f"None of the {len(broken):,} images in {reading.source} can be read: {next(iter(broken.values()))}",
                "Download or pack them again.",
            )
        if size is None:
            self._keep_files(kept)
        spec, classes = DATASETS.get(name), len(layout.classes)
        info: dict[str, object] = {
            "name": name,
            "title": imported_title(name, classes, lossy=self._lossy),
            "classes": layout.classes,
            "splits": counts,
            "storage": "folder" if size is None else "arrays",
            "source": reading.source,
            "layout": layout.name,
        }
        table = reading.files.titles
        titles = {**layout.titles, **_read_titles(table)}
        if any(each in titles for each in layout.classes):
            info["class_titles"] = [titles.get(each, each) for each in layout.classes]
        if size is not None:
            info["image_size"] = size
        if spec is not None and spec.classes == classes:
            info["licence"] = spec.licence
        skipped = {**reading.skipped(layout), **broken}
        info["skipped"] = {"/".join(parts): reason for parts, reason in sorted(skipped.items())}
        info["notes"] = reading.warnings(layout)
        if self._provenance is not None:
            info["provenance"] = dict(self._provenance)
        if table:
            (self._target / "meta").mkdir()
            (self._target / "meta" / _TITLES_FILE).write_bytes(table)
        (self._target / "dataset.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")

    def _decode(
        self, layout: Layout, report: OnProgress
    ) -> tuple[dict[str, list[tuple[Parts, int]]], dict[Parts, str], tuple[int, int] | None]:
        """Decode every image once: to find the broken ones, and to arrays for as long as all have one small size.

        Returns:
            The images that can be read with their labels per split, the reasons of those that cannot, and the common
            (height, width) if the images are now stored as arrays.
        """
        kept: dict[str, list[tuple[Parts, int]]] = {split: [] for split in layout.splits}
        broken: dict[Parts, str] = {}
        total = sum(len(rows) for rows in layout.splits.values())
        done = 0
        with closing(_Scratch(self._target.parent / "scratch.bin", total)) as scratch:
            for split, rows in layout.splits.items():
                for parts, label in rows:
                    if done % _REPORT_EVERY == 0:
                        report(done / total, f"Reading images: {done:,} of {total:,}")
                    done += 1
                    data = self._files.read(parts)
                    try:
                        # One pixel more than arrays take is enough to know that an image is too large for them.
                        image = decode_image(data, name=parts[-1], max_side=ARRAY_SIDE + 1)
                    except ImageError as error:
                        broken[parts] = error.cause
                        continue
                    self._lossy = self._lossy or image_format(data) == "JPEG"
                    kept[split].append((parts, label))
                    scratch.add(np.asarray(image))
            if scratch.size is not None:
                self._save_arrays(kept, scratch)
        return kept, broken, scratch.size

    def _save_arrays(self, kept: dict[str, list[tuple[Parts, int]]], scratch: _Scratch) -> None:
        start = 0
        images = scratch.images()
        for split, rows in kept.items():
            if rows:
                labels = np.array([label for _, label in rows])
                save_arrays(self._target, split, images[start : start + len(rows)], labels)
                start += len(rows)

    def _keep_files(self, kept: dict[str, list[tuple[Parts, int]]]) -> None:
        taken: set[str] = set()
        for split, rows in kept.items():
            listed = []
            for parts, label in rows:
                stored = _distinct(parts, taken)
                path = self._target.joinpath("files", *stored)
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(self._files.read(parts))
                except OSError as error:
                    if error.errno in DISK_FULL:
                        raise
                    cause = f"{'/'.join(parts)[:120]} could not be written ({error.strerror})."
                    raise ArchiveError(cause, "Pack it under a plain, shorter name.") from error
                listed.append(["/".join(stored), label])
            if rows:
                (self._target / f"{split}_files.json").write_text(json.dumps(listed), encoding="utf-8")


def _distinct(parts: Parts, taken: set[str]) -> Parts:
    """`parts`, or with a number where another system would take it for a name in `taken`, which it joins."""
    number, stored = 2, parts
    while (key := unicodedata.normalize("NFC", "/".join(stored)).casefold()) in taken:
        stem, mark, suffix = parts[-1].rpartition(".")
        stored, number = (*parts[:-1], f"{stem or suffix}_{number}{mark}{suffix if mark else ''}"), number + 1
    taken.add(key)
    return stored


class _Scratch:
    """Images of one size, appended to a file: data sets need not fit into memory, and broken images leave no gaps.

    `size` is None before the first image, and from the first one on that does not fit.
    """

    def __init__(self, path: Path, total: int) -> None:
        self._path = path
        self._file = path.open("wb")
        self._total = total
        self._count = 0
        self._open = True
        self.size: tuple[int, int] | None = None

    def add(self, pixels: np.ndarray) -> None:
        """pixels: (height, width, 3) uint8."""
        if not self._open:
            return
        height, width = pixels.shape[:2]
        if self._count == 0:
            self.size = (height, width)
        if self.size != (height, width) or max(height, width) > ARRAY_SIDE or self._total * pixels.nbytes > ARRAY_BYTES:
            self.size, self._open = None, False
            self._file.truncate(0)
            return
        self._file.write(pixels.tobytes())
        self._count += 1

    def images(self) -> np.ndarray:
        """(images, height, width, 3) uint8, mapped from the file."""
        self._file.flush()
        assert self.size is not None
        return np.memmap(self._path, dtype=np.uint8, mode="r", shape=(self._count, *self.size, 3))

    def close(self) -> None:
        self._file.close()
        with suppress(PermissionError):  # Windows, where an error on its way still holds the map; the folder goes later
            self._path.unlink()


def _read_titles(table: bytes) -> dict[str, str]:
    """Class → readable name, from lines of class, tab, name."""
    rows = (line.split("\t") for line in table.decode("utf-8", errors="replace").splitlines())
    return {row[0].strip(): row[1].strip() for row in rows if len(row) > 1 and row[1].strip()}
