"""Finished zero-shot evaluations as the CLIP page shows them: read from their run folders, drawn, in words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.data.catalogue import DATASETS
from core.data.loading import load_images
from core.data.prompts import STRATEGIES
from core.errors import CoreError
from core.experiments.zero_shot import PREDICTIONS, RESULT
from core.figures.confusion import plot_class_accuracies, plot_compared_accuracies, plot_confusion
from core.figures.theme import Figure
from core.methods.accuracy.confusion import Accuracy, accuracy, class_accuracies, confusion_matrix, mistakes_sentence
from core.runs.store import RunFolder
from pages.shared.background_results import result_stamp
from pages.shared.zero_shot import read_model_card


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One finished evaluation, from its run folder.

    Attributes:
        summary: `result.json`.
        labels, predicted: (images,) class indices.
        confidence: (images,) probability of what was said.
        split, row: (images,) where each image is stored.
    """

    name: str
    summary: dict[str, Any]
    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    split: np.ndarray
    row: np.ndarray

    @property
    def classes(self) -> list[str]:
        return list(self.summary["labels"])

    @property
    def accuracy(self) -> Accuracy:
        return accuracy(self.labels, self.predicted)

    @property
    def confusion(self) -> np.ndarray:
        return confusion_matrix(self.labels, self.predicted, len(self.classes))


@st.cache_resource(max_entries=8, show_spinner=False)
def _read(name: str, stamp: int, _folder: RunFolder) -> Evaluation:
    try:
        summary = json.loads((_folder.path / RESULT).read_text(encoding="utf-8"))
        with np.load(_folder.path / PREDICTIONS) as stored:
            columns = dict(stored)
        return Evaluation(
            name=name,
            summary=summary,
            labels=columns["label"],
            predicted=columns["predicted"],
            confidence=columns["confidence"],
            split=columns["split"],
            row=columns["row"],
        )
    except (OSError, ValueError, KeyError) as error:
        raise CoreError(f"The result of {name!r} cannot be read ({error}).", "Evaluate again.") from error


def read_evaluation(folder: RunFolder) -> Evaluation:
    """The result in a run's folder.

    Raises:
        CoreError: there is none, or it is damaged.
    """
    return _read(folder.name, result_stamp(folder, RESULT), folder)


def headline(found: Evaluation) -> str:
    """What was measured, and the commonest mistakes."""
    summary = found.summary
    chosen = f", chosen on {summary['chosen_on']}" if summary["chosen_on"] else ""
    what = (
        f"{summary['model_title']} on {summary['dataset_title']}, {summary['test']['split']}; prompts: "
        f"{STRATEGIES[summary['strategy']].title}{chosen}. Guessing would give {1 / len(found.classes):.1%}."
    )
    return f"{what} {mistakes_sentence(found.classes, found.confusion)}".rstrip()


def comparison_figures(found: Evaluation) -> list[tuple[str, Figure, str]]:
    """Strategies on validation images, and the test splits, where there are several: title, figure, key."""
    summary, figures = found.summary, []
    if summary["compared"]:
        rows = summary["compared"]
        names = [row["strategy"] for row in rows]
        rights = [_right(row["val_accuracy"], row["val_count"]) for row in rows]
        title = f"Prompts, on {rows[0]['val_count']:,} validation images"
        titles = [STRATEGIES[name].title for name in names]
        figures.append(
            (title, plot_compared_accuracies(titles, rights, chosen=names.index(summary["strategy"])), "prompts")
        )
    if len(summary["splits"]) > 1:
        rows = summary["splits"]
        rights = [_right(row["test_accuracy"], row["test_count"]) for row in rows]
        figures.append(
            ("Split by split", plot_compared_accuracies([row["split"] for row in rows], rights, chosen=-1), "splits")
        )
    return figures


def card_accuracies(name: str) -> list[tuple[str, Accuracy]]:
    """What a model of our own measured when it was made, from its card: title and accuracy, seen labels first."""
    metrics = read_model_card(name).get("metrics", {})
    rows = [
        (f"{_title(data)}, {found.get('split', 'test')}: seen labels", found)
        for data, found in metrics.get("test", {}).items()
    ]
    rows += [
        (f"{_title(data)}, {split}: unseen pictures", found)
        for data, kinds in metrics.get("transfer", {}).items()
        for split, found in kinds.get("splits", {}).items()
    ]
    return [(title, _right(found["accuracy"], found["count"])) for title, found in rows]


def _title(data: str) -> str:
    return DATASETS[data].title if data in DATASETS else data


def _right(share: float, count: int) -> Accuracy:
    return Accuracy(correct=round(share * count), count=count)


def evaluation_figures(found: Evaluation) -> dict[str, Figure]:
    """All figures of a result, as they are exported."""
    figures = {
        "confusion": plot_confusion(found.confusion, found.classes),
        "classes": plot_class_accuracies(
            found.classes, class_accuracies(found.confusion), overall=found.accuracy.value
        ),
    }
    return figures | {key: figure for _, figure, key in comparison_figures(found)}


def error_picture(found: Evaluation, index: int) -> np.ndarray:
    """An image of the evaluation, as it is stored.

    Raises:
        CoreError: its data set is no longer on this machine.
    """
    summary = found.summary
    data = load_images(summary["dataset"], str(found.split[index]), summary["image_size"])
    row = int(found.row[index])
    if row >= len(data):
        raise CoreError(f"{summary['dataset_title']} has other images than when it was evaluated.", "Evaluate again.")
    return np.asarray(data.images[row])


def evaluation_table(found: Evaluation) -> pd.DataFrame:
    """Every image: split, row, true label, what was said, how surely."""
    names = np.array(found.classes)
    return pd.DataFrame(
        {
            "split": found.split,
            "row": found.row,
            "label": names[found.labels],
            "said": names[found.predicted],
            "confidence": found.confidence,
        }
    )
