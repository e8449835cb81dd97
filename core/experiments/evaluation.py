"""An evaluation on labelled images: which images, what their classes are called, and every answer as a result on disk.

Whatever names the images (CLIP, a diffusion model, several models under manipulations) leaves two files in its run's
folder: `predictions.npz` with a row for each image, and `result.json` with what is true of all of them.
`read_evaluation` reads both, also as earlier versions wrote them.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from core.data.arrays import ArrayDataset
from core.data.catalogue import is_carved
from core.data.loading import Rows, load_images
from core.data.prompts import dataset_labels
from core.errors import ConfigError, CoreError, UnknownNameError
from core.files import replaced, write_json
from core.methods.accuracy.confusion import Accuracy, accuracy, confusion_matrix
from core.runs.store import RunFolder
from core.seeding import published_stream

RESULT, PREDICTIONS = "result.json", "predictions.npz"
# Columns and keys as they were called once.
_RENAMED = {"calls_by_draw": "calls_by_sample", "only_race": "only_first", "only_other": "only_second"}
# What every row of `predictions.npz` has.
COLUMNS = ("split", "row", "label", "predicted")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
        name: of its run.
        summary: `result.json`.
        columns: `predictions.npz`, but for tables that have no row for each image; a row for each image, among them
            `split` and `row`, where the image is stored, `label` and `predicted`, class indices.
    """

    name: str
    summary: dict[str, Any]
    columns: dict[str, np.ndarray]

    @property
    def classes(self) -> list[str]:
        return list(self.summary["labels"])

    @property
    def labels(self) -> np.ndarray:
        return self.columns["label"]

    @property
    def predicted(self) -> np.ndarray:
        return self.columns["predicted"]

    @cached_property
    def accuracy(self) -> Accuracy:
        return accuracy(self.labels, self.predicted)

    @cached_property
    def confusion(self) -> np.ndarray:
        """(classes, classes), rows the truth."""
        return confusion_matrix(self.labels, self.predicted, len(self.classes))

    @property
    def split_accuracies(self) -> dict[str, Accuracy]:
        """Of every split that was tested on, in the order in which they were asked for."""
        splits = self.columns["split"]
        found = {split: splits == split for split in self.summary["split"].split("+")}
        return {split: accuracy(self.labels[rows], self.predicted[rows]) for split, rows in found.items()}

    @property
    def answers(self) -> np.ndarray:
        """(images, models, conditions) class indices, below 0 where a model was not asked; the first condition is no
        manipulation. An evaluation of one model has one of each."""
        return self.columns.get("answers", self.predicted[:, None, None])

    def image(self, index: int) -> np.ndarray:
        """An image by its row, (height, width, 3) uint8, as it is stored.

        Raises:
            CoreError: its data set is no longer on this machine, or is another one.
        """
        data = load_images(self.summary["dataset"], str(self.columns["split"][index]), self.summary["image_size"])
        row = int(self.columns["row"][index])
        if row >= len(data):
            raise CoreError(
                f"{self.summary['dataset_title']} has other images than when it was evaluated.", "Evaluate again."
            )
        return np.asarray(data.images[row])


@dataclass(frozen=True, kw_only=True)
class EvaluatedImages:
    """Images in the order in which they are evaluated, a random one: what is true of the first is of all.

    Attributes:
        data: of each split.
        split, row: where each image is stored.
        label: (images,) indices of the data set's classes.
    """

    data: dict[str, ArrayDataset]
    split: np.ndarray
    row: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, place: int) -> np.ndarray:
        return np.asarray(self.data[str(self.split[place])].images[int(self.row[place])])

    @property
    def images(self) -> Rows:
        """All of them, to be read in parts: (images, height, width, 3) uint8."""
        starts = dict(zip(self.data, np.cumsum([0, *map(len, self.data.values())]).tolist(), strict=False))
        first = np.array([starts[str(split)] for split in self.split], dtype=np.int64)
        return Rows([each.images for each in self.data.values()], first + self.row)


def choose_images(
    dataset: str, splits: tuple[str, ...], size: int, count: int = 0, seed: int = 0, among: Sequence[int] | None = None
) -> EvaluatedImages:
    """The images that an evaluation is about: the first 100 of 300 are those that 100 would be.

    Args:
        size: of photos in pixels, as in `core.data.loading.load_images`.
        count: at most so many, not stratified; 0 is all.
        among: labels of the classes that count; None is every class.

    Raises:
        ConfigError: there are no such images.
    """
    data = {split: load_images(dataset, split, size) for split in splits}
    names = np.concatenate([np.full(len(each), split) for split, each in data.items()])
    rows = np.concatenate([np.arange(len(each)) for each in data.values()])
    truth = np.concatenate([np.asarray(each.labels) for each in data.values()])
    order = published_stream("tested pictures", seed).permutation(len(rows))
    chosen = (order if among is None else order[np.isin(truth[order], among)])[: count or None]
    if not len(chosen):
        raise ConfigError(f"There are no images in {'+'.join(splits)} of {dataset}.", "Choose another split.")
    return EvaluatedImages(data=data, split=names[chosen], row=rows[chosen], label=truth[chosen])


def read_evaluation(folder: RunFolder, leave_out: Sequence[str] = ()) -> Evaluation:
    """The result in a run's folder, without the columns `leave_out`.

    Raises:
        CoreError: there is none, or it is damaged.
    """
    try:
        summary = read_summary(folder)
        with np.load(folder.path / PREDICTIONS, allow_pickle=False) as stored:
            columns = {_RENAMED.get(key, key): stored[key] for key in stored.files if key not in leave_out}
        found = Evaluation(name=folder.name, summary=summary, columns=columns)
        rows = {len(columns[key]) for key in COLUMNS}
        named = summary["model_title"], summary["dataset_title"], summary["dataset"], summary["command"]
        if len(rows) != 1 or found.accuracy.count != sum(each.count for each in found.split_accuracies.values()):
            raise ValueError(f"its tables have {rows} rows, of {', '.join(map(str, named))}")
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise CoreError(f"The result of {folder.name!r} cannot be read ({error}).", "Evaluate again.") from error


def read_summary(folder: RunFolder) -> dict[str, Any]:
    """`result.json` of a run, with the names of today.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError: there is none, or it is damaged.
    """
    summary: dict[str, Any] = json.loads((folder.path / RESULT).read_text(encoding="utf-8"))
    # Once only the part that described the test said on which splits it was.
    summary.setdefault("split", summary["test"].get("split"))
    if "others" in summary:
        summary["others"] = [{_RENAMED.get(key, key): value for key, value in row.items()} for row in summary["others"]]
    return summary


def save_evaluation(folder: RunFolder, config: Any, summary: dict[str, Any], columns: dict[str, np.ndarray]) -> None:
    """Write every answer, and then the summary, which says that all is there."""
    with replaced(folder.path / PREDICTIONS) as file:
        np.savez_compressed(file, allow_pickle=False, **columns)
    facts = {"model": config.model, "dataset": config.dataset, "command": folder.read_spec().command(folder.name)}
    write_json(folder.path / RESULT, {**facts, **summary})


def accuracy_values(right: Accuracy) -> dict[str, float | int]:
    """An accuracy as results hold it: a share with its interval, and both counts."""
    low, high = right.interval
    return {"accuracy": right.value, "low": low, "high": high, "correct": right.correct, "count": right.count}


def accuracy_metrics(right: Accuracy, prefix: str = "test") -> dict[str, Any]:
    """An accuracy as a run's metrics hold it: `test_accuracy`, `test_low`, `test_high`, `test_count`."""
    values = accuracy_values(right)
    return {f"{prefix}_{key}": values[key] for key in ("accuracy", "low", "high", "count")}


def check_labels(labels: Sequence[str]) -> None:
    """
    Raises:
        ConfigError: two classes have the same label.
    """
    if len({label.casefold() for label in labels}) < len(labels):
        raise ConfigError("A label occurs twice.", "Give every class a label of its own.")


def choose_labels(wanted: tuple[str, ...], info: dict[str, Any]) -> tuple[str, ...]:
    """One label a class: those wanted, or where there are none the data set's own names made readable.

    Raises:
        ConfigError: there is another number of labels than of the data set's classes.
    """
    if not wanted:
        return dataset_labels(info["classes"], info.get("class_titles"))
    if len(wanted) != len(info["classes"]):
        raise ConfigError(
            f"{info['title']} has {len(info['classes'])} classes, but {len(wanted)} labels were given.",
            f"Give one for each, in this order: {', '.join(info['classes'][:8])}{' …' * (len(info['classes']) > 8)}",
        )
    return wanted


def evaluated_splits(text: str, info: dict[str, Any], *, carved: bool = False) -> tuple[str, ...]:
    """The splits that `text` names, joined by +; empty: test, or val, or all there are (the domains of PACS).

    Args:
        carved: "val" may be what trainings of a data set without such a split set aside.

    Raises:
        UnknownNameError: there is no such split.
    """
    stored = tuple(info["splits"])
    names = tuple(dict.fromkeys(part.strip() for part in text.split("+") if part.strip()))
    for name in names:
        if name not in stored and not (carved and is_carved(info, name)):
            raise UnknownNameError(f"split of {info['title']}", name, stored)
    return names or next(((usual,) for usual in ("test", "val") if usual in stored), stored)
