"""Finished data-set evaluations of the diffusion classifier: read from their run folders, drawn, in words."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
import streamlit as st
import torch

from core.data.loading import load_images
from core.errors import CoreError
from core.experiments.diffusion_zero_shot import PREDICTIONS, RESULT
from core.figures.confusion import plot_class_accuracies, plot_confusion
from core.figures.race_evaluation import plot_accuracy_by_calls, plot_replays
from core.figures.theme import Figure
from core.methods.accuracy.confusion import Accuracy, accuracy, class_accuracies, confusion_matrix, mistakes_sentence
from core.methods.accuracy.paired import Paired
from core.methods.diffusion.diffusion_batch import fitting_batch, pass_seconds
from core.methods.diffusion.diffusion_classifier import Plan
from core.methods.diffusion.race_evaluation import BudgetCurve, budget_curve
from core.models.diffusion import LatentDiffusion
from core.runs.store import RunFolder
from core.shares import counted, share_of
from pages.shared.background_results import result_stamp
from pages.shared.cache import in_use
from pages.shared.zero_shot import read_model_card


@dataclass(frozen=True, kw_only=True)
class RaceEvaluation:
    """One finished evaluation, from its run folder.

    Attributes:
        summary: `result.json`.
        columns: `predictions.npz` but for the errors of a full grid; a row for each image.
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

    @property
    def calls(self) -> np.ndarray:
        return self.columns["calls"]

    @property
    def accuracy(self) -> Accuracy:
        return accuracy(self.labels, self.predicted)

    @property
    def confusion(self) -> np.ndarray:
        return confusion_matrix(self.labels, self.predicted, len(self.classes))

    @property
    def curve(self) -> BudgetCurve:
        return budget_curve(self.labels, self.columns["leader"], self.columns["calls_by_draw"])


@st.cache_resource(max_entries=8, show_spinner=False)
def _read(name: str, stamp: int, _folder: RunFolder) -> RaceEvaluation:
    try:
        summary = json.loads((_folder.path / RESULT).read_text(encoding="utf-8"))
        with np.load(_folder.path / PREDICTIONS) as stored:
            columns = {key: stored[key] for key in stored.files if key not in _GRID}
        found = RaceEvaluation(name=name, summary=summary, columns=columns)
        headline(found), paired_sentences(found), found.curve
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoreError(f"The result of {name!r} cannot be read ({error}).", "Evaluate again.") from error
    return found


_GRID = ("noise_error", "reconstruction_error", "time_steps")


def read_race_evaluation(folder: RunFolder) -> RaceEvaluation:
    """The result in a run's folder.

    Raises:
        CoreError: there is none, or it is damaged.
    """
    return _read(folder.name, result_stamp(folder, RESULT), folder)


def headline(found: RaceEvaluation) -> str:
    """What was measured, at which cost, and the commonest mistakes."""
    summary, calls = found.summary, found.summary["calls"]
    what = (
        f"{summary['model_title']} on {counted(len(found.labels), 'random image')} of {summary['dataset_title']}, "
        f"{summary['split']}: {calls['mean']:,.0f} calls an image ({calls['quantile_0.1']:,.0f} to "
        f"{calls['quantile_0.9']:,.0f} for the middle 80 %), {calls['saved']:.1f} times fewer than the full grid's "
        f"{calls['full_grid']:,}; {summary['image_seconds']['mean']:.2g} s an image on {summary['device'].upper()}"
        f"{' for the full grid' * summary['full_grid']}. Guessing would give {1 / len(found.classes):.1%}."
    )
    return f"{what} {mistakes_sentence(found.classes, found.confusion)}".rstrip()


def paired_sentences(found: RaceEvaluation) -> list[str]:
    """Every other model beside the races, and the other objective."""
    sentences = []
    for row in found.summary["others"]:
        table = Paired(
            both=row["both"], only_first=row["only_race"], only_second=row["only_other"], neither=row["neither"]
        )
        right = Accuracy(correct=row["correct"], count=row["count"])
        sentences.append(f"{row['title']}: {right.sentence()}. {table.sentence('the race', row['title'])}")
    other = found.summary["other_objective"]
    right = Accuracy(correct=other["correct"], count=other["count"])
    name = {"noise": "noise error", "reconstruction": "reconstruction error"}[other["objective"]]
    same = share_of(other["same_answer"]["correct"], other["same_answer"]["count"], "image")
    sentences.append(f"By the {name}, without any further call: {right.sentence()}; the same answer on {same}.")
    return sentences


def replay_sentence(found: RaceEvaluation) -> str:
    """The cheapest plan that agrees with the full grid on at least 97 % of the images; empty without a full grid."""
    rows = found.summary.get("replays", [])
    if not rows:
        return ""
    faithful = [row for row in rows if row["same"]["accuracy"] >= 0.97]
    if not faithful:
        return "None of these plans gives the full grid's answer on 97 % of the images."
    row = max(faithful, key=lambda each: each["saved"])
    same = Accuracy(correct=row["same"]["correct"], count=row["same"]["count"])
    return (
        f"The cheapest plan with the full grid's answer on at least 97 %: {row['words']}, {row['saved']:.1f} times "
        f"fewer calls, the same answer on {same.sentence()}."
    )


def race_evaluation_figures(found: RaceEvaluation) -> dict[str, Figure]:
    """All figures of a result, as they are exported."""
    others = [(row["title"], Accuracy(correct=row["correct"], count=row["count"])) for row in found.summary["others"]]
    figures = {
        "accuracy_by_calls": plot_accuracy_by_calls(found.curve, others=others, chance=1 / len(found.classes)),
        "confusion": plot_confusion(found.confusion, found.classes),
        "classes": plot_class_accuracies(
            found.classes, class_accuracies(found.confusion), overall=found.accuracy.value
        ),
    }
    if rows := found.summary.get("replays"):
        same = [Accuracy(correct=row["same"]["correct"], count=row["same"]["count"]) for row in rows]
        figures["pruning"] = plot_replays(
            [row["words"] for row in rows], [row["saved"] for row in rows], same, chosen=0
        )
    return figures


def race_evaluation_table(found: RaceEvaluation) -> pd.DataFrame:
    """Every image: where it is stored, true label, what was said by whom, calls, seconds, the seed of its race."""
    names, columns = np.array(found.classes), found.columns
    others = {row["title"]: names[said] for row, said in zip(found.summary["others"], columns["compared"], strict=True)}
    return pd.DataFrame(
        {
            "split": columns["split"],
            "row": columns["row"],
            "label": names[columns["label"]],
            "said": names[columns["predicted"]],
            "other objective": names[columns["other_objective"]],
            **others,
            "calls": columns["calls"],
            "seconds": columns["seconds"].round(3),
            "seed": columns["seed"],
        }
    )


def raced_picture(found: RaceEvaluation, index: int) -> np.ndarray:
    """An image of the evaluation, as it is stored.

    Raises:
        CoreError: its data set is no longer on this machine.
    """
    summary = found.summary
    data = load_images(summary["dataset"], str(found.columns["split"][index]), summary["image_size"])
    row = int(found.columns["row"][index])
    if row >= len(data):
        raise CoreError(f"{summary['dataset_title']} has other images than when it was evaluated.", "Evaluate again.")
    return np.asarray(data.images[row])


def card_figures(name: str) -> list[tuple[str, Accuracy]]:
    """What a pipeline of our own measured when it was made, from its card."""
    metrics = read_model_card(name).get("metrics", {})
    found = []
    for split, words in (("test", "test images"), ("val", "validation images")):
        share, count = metrics.get(f"{split}_accuracy"), metrics.get(f"{split}_count")
        if isinstance(share, float) and isinstance(count, int) and count:
            protocol = metrics.get(f"{split}_protocol", "")
            title = f"{words}: {protocol}" if protocol else words
            found.append((title, Accuracy(correct=round(share * count), count=count)))
    return found


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What a call of the network takes here, and where that is known from.

    Attributes:
        calls: that an image took in an earlier run of the same plan, on average; None where there was none.
        full_grid: what that plan would have cost at most, for an image.
    """

    call_seconds: float
    source: str
    calls: float | None = None
    full_grid: float | None = None


def earlier_pace(name: str, plan: Plan, finished: list[RunFolder]) -> Pace | None:
    """The pace of the newest evaluation of the same model under the same plan, or of any; None if there was none."""
    wanted, found = json.loads(json.dumps(asdict(plan))), None
    for run in finished:
        try:
            summary = read_race_evaluation(run).summary
        except CoreError:
            continue
        if summary["model"] != name:
            continue
        pace = Pace(call_seconds=summary["call_seconds"], source=f"as in {run.name}")
        if summary["plan"] == wanted:
            return replace(pace, calls=summary["calls"]["mean"], full_grid=summary["calls"]["full_grid"])
        # How much another plan saved says nothing about this one.
        found = found or pace
    return found


@st.cache_resource(max_entries=8, show_spinner=False)
def probed_pace(name: str) -> Pace:
    """Some passes in a batch that fits, measured now."""
    with in_use(name) as model, torch.inference_mode():
        module = cast(LatentDiffusion, model.module)
        denoise = module.denoiser(module.embed_prompts(["a photo."]))
        latent = torch.zeros(module.latent_shape, device=module.device)
        size = fitting_batch(denoise, latent, most=200, key=(name, "fp32"))
        began = time.perf_counter()
        seconds = [pass_seconds(denoise, latent, size)]
        while len(seconds) < 5 and time.perf_counter() - began < 2:
            seconds.append(pass_seconds(denoise, latent, size))
    return Pace(call_seconds=float(np.median(seconds)) / size, source=f"{len(seconds)} passes of {size}, just now")
