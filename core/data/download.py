"""The data sets that torchvision knows: downloaded, or converted from files that are already here, into our arrays."""

from __future__ import annotations

import gzip
import json
import shutil
import urllib.error
import urllib.request
import uuid
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from core.data.arrays import save_arrays
from core.data.catalogue import DATASETS
from core.data.spec import DatasetSpec
from core.errors import ArchiveError, CoreError, OfflineError, UnknownNameError
from core.files import switch
from core.paths import data_root
from core.reports import OnProgress, silent

_ANSWER_SECONDS = 10
_CHUNK = 1 << 20
# The largest file of MNIST's kind has 47 MB; more than this is none of it.
_IDX_BYTES = 200 << 20
_DOWNLOAD_SHARE = 0.8


def get_dataset(name: str, source: Path | None = None, on_progress: OnProgress = silent) -> Path:
    """Download the data set `name` through torchvision's addresses, or convert its published files from `source`.

    Args:
        name: one of the catalogue's with kind "torchvision".
        source: a folder that holds the files as published (`train-images-idx3-ubyte.gz`, `cifar-10-python.tar.gz`,
            `stl10_binary.tar.gz`), directly or in torchvision's subfolders; then nothing is downloaded.
        on_progress: called with the share done and what is happening; may raise to cancel.

    Returns:
        The folder of the data set, which appears complete or not at all.

    Raises:
        UnknownNameError: torchvision has no such data set.
        OfflineError: it has to be downloaded and the server does not answer.
        ArchiveError: a file is missing or damaged.
        CoreError: there is a data set of that name already.
    """
    known = {spec.name for spec in DATASETS.values() if spec.torchvision_name}
    if name not in known:
        raise UnknownNameError("data set of torchvision", name, known)
    spec, target = DATASETS[name], data_root() / name
    if target.exists():
        raise CoreError(f"There is already a data set named {name!r}.", f"Delete {target} first.")
    target.parent.mkdir(parents=True, exist_ok=True)
    workshop = target.parent / f".{name}.importing-{uuid.uuid4().hex[:8]}"
    try:
        files = _published_files(spec)
        if source is None:
            for number, (urls, place) in enumerate(files):
                _download(spec, urls, workshop / place, _section(on_progress, number, len(files)))
        else:
            for _, place in files:
                _copy(Path(source), workshop / place, spec)
        on_progress(_DOWNLOAD_SHARE, f"Converting {spec.title}")
        _convert(spec, workshop, workshop / "built", "torchvision" if source is None else Path(source).name)
        switch(workshop / "built", target)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    on_progress(1.0, "Done")
    return target


def _kind(spec: DatasetSpec) -> Any:
    from torchvision import datasets

    return getattr(datasets, spec.torchvision_name)


def _published_files(spec: DatasetSpec) -> list[tuple[list[str], str]]:
    """Addresses of every file, and where torchvision expects it below its root."""
    kind = _kind(spec)
    if hasattr(kind, "mirrors"):
        return [
            ([f"{mirror}{file}" for mirror in kind.mirrors], f"{kind.__name__}/raw/{file}")
            for file, _ in kind.resources
        ]
    return [([kind.url], kind.filename)]


def _download(spec: DatasetSpec, urls: list[str], target: Path, report: OnProgress) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    reason: object = None
    for url in urls:
        try:
            with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer, target.open("wb") as file:
                total = int(answer.headers.get("Content-Length") or 0)
                while chunk := answer.read(_CHUNK):
                    file.write(chunk)
                    done = file.tell() / total if total else 0.0
                    text = f"Downloading {target.name}: {file.tell() / 2**20:.0f} MiB"
                    report(min(1.0, done), text)
            return
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
    raise OfflineError(
        f"{target.name} could not be downloaded: {urls[0].split('/')[2]} does not answer ({reason}).",
        f"Connect to the internet, or fetch the files elsewhere: python -m core data get {spec.name} --from FOLDER",
    )


def _section(report: OnProgress, number: int, files: int) -> OnProgress:
    """The progress of one file as a part of all downloads."""
    return lambda share, text: report(_DOWNLOAD_SHARE * (number + share) / files, text)


def _copy(source: Path, target: Path, spec: DatasetSpec) -> None:
    """Find the file of `target`'s name below `source`; packed or unpacked where it is a single file."""
    packed, plain = target.name, target.name.removesuffix(".gz")
    folders = [source, source / "raw", source / spec.torchvision_name / "raw", source / spec.torchvision_name]
    found = [
        folder / each for folder in folders for each in dict.fromkeys((plain, packed)) if (folder / each).is_file()
    ]
    if not found:
        raise ArchiveError(f"{source} holds no {packed}.", f"Give the folder with the published files of {spec.title}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    if packed.endswith(".tar.gz"):
        shutil.copyfile(found[0], target)
        return
    try:
        with gzip.open(found[0]) if found[0].suffix == ".gz" else found[0].open("rb") as file:
            content = file.read(_IDX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ArchiveError(f"{found[0].name} is damaged ({error}).", "Download it again.") from error
    if len(content) > _IDX_BYTES:
        raise ArchiveError(f"{found[0].name} unpacks to more than {_IDX_BYTES >> 20} MiB.", "Check the file.")
    target.with_name(plain).write_bytes(content)


def _convert(spec: DatasetSpec, root: Path, target: Path, source: str) -> None:
    """Let torchvision check (MD5) and read its files below `root`, and write our arrays into `target`."""
    counts: dict[str, int] = {}
    classes: list[str] = []
    size = (0, 0)
    for split in spec.splits:
        try:
            images, labels, classes = _read(spec, root, split)
        except (RuntimeError, OSError, EOFError, ValueError, AssertionError, KeyError, urllib.error.URLError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ArchiveError(
                f"The files of {spec.title} are incomplete or damaged ({reason}).", "Download them again."
            ) from error
        if len(images) != len(labels) or not len(images):
            raise ArchiveError(
                f"{split} of {spec.title} has {len(images)} images and {len(labels)} labels.", "Download it again."
            )
        save_arrays(target, split, images, labels)
        counts[split], size = len(labels), images.shape[1:3]
    info = {
        "name": spec.name,
        "title": spec.title,
        "classes": classes,
        "splits": counts,
        "storage": "arrays",
        "source": source,
        "image_size": size,
        "licence": spec.licence,
        "skipped": {},
    }
    (target / "dataset.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


def _read(spec: DatasetSpec, root: Path, split: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images (n, height, width, channels), labels (n,), names of the classes."""
    kind = _kind(spec)
    place: dict[str, Any] = {"split": split} if spec.name == "stl10" else {"train": split == "train"}
    # Everything is in place, so that `download` only checks and unpacks.
    data = kind(root, download=True, **place)
    images = np.asarray(data.data)
    if images.ndim == 3:
        images = images[..., None]
    elif images.shape[1] == 3:
        images = images.transpose(0, 2, 3, 1)  # STL-10
    labels = np.asarray(data.labels if spec.name == "stl10" else data.targets)
    names = [str(digit) for digit in range(10)] if spec.name == "mnist" else list(data.classes)
    return images, labels, names
