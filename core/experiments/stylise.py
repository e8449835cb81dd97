"""Images of a data set in the style of a picture, as a new data set with the same classes: is it shape that is seen?

    python -m core train stylise --name cifar10_swirl
    python -m core train stylise --name painted --set dataset=pacs --set style=painted:brush --set size=128

The pictures of a batch are made at once, each as if it were alone. What was made stays in the run's folder until all
are there; a run that was stopped goes on with the next batch. `dataset.json` says in `provenance` how they were made
and in `rows` which images of the split they were, in the new set's order.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from core.configs import check_options, option
from core.data.archives import import_archive
from core.data.arrays import ArrayDataset
from core.data.catalogue import read_dataset, usual_split
from core.data.loading import decode_split, load_images
from core.data.pictures import open_picture
from core.data.spec import check_dataset_name
from core.errors import CoreError
from core.experiments.samples import write_sheet
from core.files import write_atomically, write_json
from core.methods.style_transfer.networks import STYLE_ROWS, FeatureNetwork, feature_network
from core.methods.style_transfer.pictures import LEAST_SIDE, MOST_SIDE, covered, style_notes
from core.methods.style_transfer.transfer import StyleSettings, Transfer, settled, transfer_style
from core.models.weights import load
from core.paths import data_root
from core.reports import Progress, watched
from core.runs.store import RunFolder
from core.seeding import stream

_SHEET = 40


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which images, in which style."""

    dataset: str = option("cifar10", "Data set", "Any imported data set.")
    split: str = option("", "Split", "Empty: test, or what the data set has instead.")
    style: str = option(
        "painted:swirl",
        "Style",
        "painted:swirl, painted:brush or painted:mosaic; example:NAME; or the file of a picture on this machine.",
    )
    images: int = option(100, "Images", "As many of each class as of the others.", minimum=0, zero="all images")
    size: int = option(64, "Size", "Side of the painted images.", minimum=LEAST_SIDE, maximum=MOST_SIDE, unit="px")
    network: str = option("cnn_small", "Features of", f"One of {', '.join(STYLE_ROWS)}.")
    target: str = option("", "Name of the new data set", "Empty: that of the run.")
    batch_size: int = option(10, "Batch size", minimum=1, maximum=1024)
    transfer: StyleSettings = field(default_factory=StyleSettings)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class BatchReport:
    """A finished batch; losses are means over its images, the style's before the first step and after the last."""

    step: int
    steps: int
    count: int
    content_loss: float
    start_style_loss: float
    style_loss: float
    images_per_second: float


def run(config: Config, folder: RunFolder) -> Iterator[Progress | BatchReport]:
    """Make the pictures, batch by batch, and import them as a data set.

    Raises:
        CoreError: the data set, the network or the style is not on this machine, or the new name is taken.
    """
    name = config.target or folder.name
    check_dataset_name(name)
    if (data_root() / name).exists():
        raise CoreError(f"There is already a data set named {name!r}.", "Set target to another name.")
    info = read_dataset(config.dataset)
    split, style = config.split or usual_split(config.dataset), open_picture(config.style)
    yield Progress(step=0, steps=1, text="loading the network")
    network = feature_network(load(config.network, folder.read_spec().device), config.transfer.pooling)
    yield from decode_split(config.dataset, split, config.size)
    data = load_images(config.dataset, split, config.size)
    rows = chosen_rows(data.labels, config.images, config.transfer.seed)
    painted = covered(style, (config.size, config.size))
    made = folder.path / "stylised"
    yield from _make(config, folder, network, data, rows, painted, made / split)
    if titles := info.get("class_titles"):
        table = "\n".join(f"{each}\t{title}" for each, title in zip(info["classes"], titles, strict=True))
        write_atomically(made / "classes.tsv", table)
    settings = settled(network, config.transfer)
    provenance = {
        "recipe": "stylise",
        "dataset": config.dataset,
        "dataset_title": info["title"],
        "split": split,
        "rows": [int(path.stem) for path in _files(made)],
        "style": config.style,
        "size": config.size,
        "network": network.title,
        "network_note": network.row.note,
        "transfer": asdict(settings),
        "notes": list(style_notes(Image.fromarray(data.images[rows[0]]), style, config.size)),
        "command": folder.read_spec().command(folder.name),
    }
    sheet = np.stack([np.asarray(Image.open(path)) for path in _files(made)[:_SHEET]])
    write_sheet(folder.samples / "stylised.png", sheet, columns=10)
    steps = len(rows) * config.transfer.steps
    said = Progress(step=steps, steps=steps, text=f"importing {len(rows):,} images as {name}")
    yield from watched(partial(import_archive, made, name, provenance=provenance), said)
    write_json(folder.path / "result.json", {"dataset": name, "count": len(rows), "provenance": provenance})
    shutil.rmtree(made)


def chosen_rows(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Sorted indices of `count` random images, as many of every class as can be; of all for 0."""
    labels = np.asarray(labels)
    if not count or count >= len(labels):
        return np.arange(len(labels))
    shuffled = stream("stylised pictures", seed).permutation(len(labels))
    # The first of every class, then the second of every class, and so on.
    turns = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels[shuffled] == label)
        turns[members] = np.arange(len(members))
    return np.sort(shuffled[np.argsort(turns, kind="stable")[:count]])


def _make(
    config: Config,
    folder: RunFolder,
    network: FeatureNetwork,
    data: ArrayDataset,
    rows: np.ndarray,
    style: np.ndarray,
    target: Path,
) -> Iterator[Progress | BatchReport]:
    """The pictures that are not there yet, as `CLASS/ROW.png` below `target`."""
    each, steps = config.transfer.steps, len(rows) * config.transfer.steps
    for start in range(0, len(rows), config.batch_size):
        batch = rows[start : start + config.batch_size]
        paths = [target / data.classes[int(data.labels[row])].replace("/", "_") / f"{row:07d}.png" for row in batch]
        if all(path.is_file() for path in paths):
            continue
        pictures = [Image.fromarray(np.array(data.images[row])) for row in batch]
        content = np.stack([covered(picture, (config.size, config.size)) for picture in pictures])
        words = f"images {start + 1:,} to {start + len(batch):,} of {len(rows):,}"
        work = transfer_style(network, content, style, config.transfer, numbers=batch.tolist())
        now = yield from _told(work, start * each, len(batch), steps, words)
        for path, picture in zip(paths, now.pictures, strict=True):
            write_atomically(path, _png(picture))
        losses = np.einsum("l,slb->sb", settled(network, config.transfer).layer_weights, now.style)
        yield BatchReport(
            step=(start + len(batch)) * each,
            steps=steps,
            count=len(batch),
            content_loss=float(now.content[-1].mean()),
            start_style_loss=float(losses[0].mean()),
            style_loss=float(losses[-1].mean()),
            images_per_second=len(batch) / max(now.seconds, 1e-9),
        )


def _told(
    work: Generator[Transfer, None, Transfer], done: int, count: int, steps: int, words: str
) -> Generator[Progress, None, Transfer]:
    """A transfer, its steps told as those of the whole run."""
    while True:
        try:
            now = next(work)
        except StopIteration as end:
            return end.value
        yield Progress(step=done + now.step * count, steps=steps, text=f"{words}, step {now.step} of {now.steps}")


def _files(made: Path) -> list[Path]:
    """The pictures in the order in which the importer takes them."""
    return sorted(made.glob("*/*/*.png"), key=lambda path: path.relative_to(made).parts)


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
