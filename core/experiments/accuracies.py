"""Every accuracy that finished runs and bundled models have measured, as rows of one table: models × data sets.

Cards of trained models, and results of the recipes that evaluate: whatever has an accuracy on labelled images, how many
there were, and its 95 % Wilson interval. Nothing is computed again, and what was not measured is not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from core.data.catalogue import DATASETS, installed_datasets
from core.errors import CoreError
from core.experiments.evaluation import RESULT
from core.intervals import wilson_interval
from core.methods.accuracy.measured import AccuracyTable, MeasuredAccuracy
from core.models.catalogue import MODELS
from core.models.checkpoint import ModelCard, read_card
from core.models.stamps import trained_anew
from core.paths import BUNDLED, FILES
from core.runs.status import read_state
from core.runs.store import RunFolder, list_runs

# `benchmarks/frozen_heads.py` writes it.
MEASURED = FILES / "benchmarks" / "results" / "frozen_heads.json"
# Of a card of `transfer`: what learned.
_MODES = {
    "linear_probe": "new head",
    "last_block": "last block",
    "full": "fine-tuned",
    "random": "from random weights",
}


def accuracy_table() -> AccuracyTable:
    """Of all finished runs of this machine and of what is bundled."""
    found: list[MeasuredAccuracy] = []
    unreadable = []
    for folder in sorted(list_runs(), key=lambda run: -(read_state(run).ended or 0.0)):
        try:
            found += run_accuracies(folder)
        except (CoreError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
            unreadable.append(folder.name)
    return AccuracyTable(found=(*found, *bundled_accuracies()), unreadable=tuple(unreadable))


def run_accuracies(folder: RunFolder) -> list[MeasuredAccuracy]:
    """What a finished run measured; nothing of one that has not finished, or measured no accuracy.

    Raises:
        CoreError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError: its result is damaged.
    """
    if read_state(folder).status != "finished":
        return []
    recipe = folder.read_spec().recipe
    if recipe in _READERS:
        return result_accuracies(recipe, _json(folder.path / RESULT), folder.name)
    if (folder.model / "card.json").is_file():
        card = read_card(folder.model)
        # Two runs of one recipe have one title.
        return card_accuracies(card, f"{card.title} ({folder.name})", f"run {folder.name}")
    return []


def bundled_accuracies() -> list[MeasuredAccuracy]:
    """Of the bundled models' cards, and of the frozen backbones that were measured for them."""
    found = []
    for path in sorted(BUNDLED.glob("*/card.json")):
        name = path.parent.name
        found += card_accuracies(read_card(path.parent), _model_title(name), f"bundled {name}")
    if MEASURED.is_file():
        measured = _json(MEASURED)
        anew = trained_anew(measured["weight_files"])
        for recipe, key in (("frozen_heads", "heads"), ("linear_probe", "probes")):
            for summary in measured[key]:
                for each in result_accuracies(recipe, summary, f"benchmarks/results/{MEASURED.name}"):
                    earlier = each.model in map(_model_title, anew)
                    found.append(replace(each, source=f"{each.source}, with earlier weights") if earlier else each)
    return found


def card_accuracies(card: ModelCard, title: str, source: str) -> list[MeasuredAccuracy]:
    """What the card of the model called `title` says of test images."""
    metrics = card.metrics
    if "test_accuracy" in metrics:
        low, high = metrics["test_interval_95"]
        protocol = "zero-shot" if card.family == "diffusion" or "test_protocol" in metrics else "trained"
        if "mode" in metrics:
            protocol, title = _MODES[metrics["mode"]], _model_title(str(metrics["backbone"]))
        return [
            MeasuredAccuracy(
                model=title, dataset=card.dataset, protocol=protocol, accuracy=metrics["test_accuracy"], low=low,
                high=high, count=metrics["test_count"], split=str(metrics.get("split", "test")).partition(",")[0],
                source=source,
                train_count=metrics.get("train_count"),
            )
        ]  # fmt: skip
    found = []
    named = metrics.get("test")
    for key, values in named.items() if isinstance(named, Mapping) else ():
        low, high = values["interval_95"]
        found.append(
            MeasuredAccuracy(
                model=title, dataset=_dataset_title(key, card.dataset), protocol="zero-shot",
                accuracy=values["accuracy"], low=low, high=high, count=values["count"], split=str(values["split"]),
                source=source,
            )
        )  # fmt: skip
    for key, values in (metrics.get("transfer") or {}).items():
        splits = values["splits"]
        right = sum(round(each["accuracy"] * each["count"]) for each in splits.values())
        count = sum(each["count"] for each in splits.values())
        found.append(
            _of_counts(right, count, model=title, dataset=_dataset_title(key, card.dataset), protocol="zero-shot",
                       split=", ".join(splits), source=source)
        )  # fmt: skip
    return found


def result_accuracies(recipe: str, summary: Mapping[str, Any], source: str) -> list[MeasuredAccuracy]:
    """What `result.json` of an evaluating recipe says."""
    return _READERS[recipe](summary, source)


def _of_probe(summary: Mapping[str, Any], source: str) -> list[MeasuredAccuracy]:
    return [
        _of_report(probe, model=summary["title"], dataset=summary["dataset"], protocol="linear probe",
                   split=summary["test"], source=source, pooling=probe["pooling"])
        for probe in summary["probes"]
        if probe["probe"] == "linear"
    ]  # fmt: skip


def _of_heads(summary: Mapping[str, Any], source: str) -> list[MeasuredAccuracy]:
    models = {each["name"]: each["title"] for each in summary["models"]}
    datasets = {each["name"]: each for each in summary["datasets"]}
    protocols = {"head": "new head", "zero_shot": "zero-shot"}
    return [
        _of_report(cell, model=models[cell["model"]], dataset=datasets[cell["dataset"]]["title"],
                   protocol=protocols[cell["protocol"]], split=datasets[cell["dataset"]]["split"], source=source)
        for cell in summary["cells"]
    ]  # fmt: skip


def _of_shift(summary: Mapping[str, Any], source: str) -> list[MeasuredAccuracy]:
    models = {each["name"]: each["title"] for each in summary["models"]}
    others = {each["name"]: each["title"] for each in summary["semantic"]}
    found = []
    for shift in summary["shifts"]:
        away = shift["shift"] == "covariate"
        dataset = f"{summary['dataset_title']}, {shift['place']} unseen" if away else others[shift["place"]]
        split = shift["place"] if away else "test"
        found.append(
            _of_report(shift, model=models[shift["model"]], dataset=dataset, protocol="linear probe", split=split,
                       source=source)
        )  # fmt: skip
    return found


def _of_test(protocol: str) -> Callable[[Mapping[str, Any], str], list[MeasuredAccuracy]]:
    """Of a recipe with one model and one accuracy."""

    def read(summary: Mapping[str, Any], source: str) -> list[MeasuredAccuracy]:
        test = summary["test"]
        return [
            _of_counts(test["correct"], test["count"], model=summary["model_title"], dataset=summary["dataset_title"],
                       protocol=protocol, split=str(summary.get("split") or test.get("split")), source=source)
        ]  # fmt: skip

    return read


def _of_stress(summary: Mapping[str, Any], source: str) -> list[MeasuredAccuracy]:
    """Images as they are alone; what is manipulated has a page of its own."""
    return [
        _of_counts(row["correct"], row["count"], model=summary["models"][row["model"]]["title"],
                   dataset=summary["dataset_title"], protocol="own answers", split=summary["split"], source=source)
        for row in summary["table"]
        if row["condition"] == 0
    ]  # fmt: skip


_READERS: dict[str, Callable[[Mapping[str, Any], str], list[MeasuredAccuracy]]] = {
    "linear_probe": _of_probe,
    "frozen_heads": _of_heads,
    "domain_shift": _of_shift,
    "zero_shot": _of_test("zero-shot"),
    "diffusion_zero_shot": _of_test("zero-shot by denoising"),
    "stress": _of_stress,
}


def _of_report(values: Mapping[str, Any], **rest: Any) -> MeasuredAccuracy:
    """Of a line that holds `test_accuracy` and so on."""
    return MeasuredAccuracy(
        accuracy=values["test_accuracy"], low=values["test_low"], high=values["test_high"], count=values["test_count"],
        train_count=values.get("train_count") or None, **rest,
    )  # fmt: skip


def _of_counts(correct: int, count: int, **rest: Any) -> MeasuredAccuracy:
    low, high = wilson_interval(correct, count)
    return MeasuredAccuracy(accuracy=correct / max(1, count), low=low, high=high, count=count, **rest)


def _json(path: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _model_title(name: str) -> str:
    return MODELS[name].title if name in MODELS else name


def _dataset_title(name: str, stated: str) -> str:
    """Of a data set by its key: as a card states it, with what is said in brackets of a copy; else as it is here."""
    title = DATASETS[name].title if name in DATASETS else name
    if match := re.search(re.escape(title) + r"( \([^)]*\))?", stated):
        return match[0]
    here = installed_datasets()
    return str(here[name]["title"]) if name in here else title


def published() -> dict[str, dict[str, dict[str, float]]]:
    """What others reported of frozen backbones: "heads" and "probes" → model → data set or pooling → accuracy."""
    found: dict[str, dict[str, dict[str, float]]] = _json(MEASURED)["published"] if MEASURED.is_file() else {}
    return found
