"""What models rely on: any number of them on the same labelled images, as they are and under manipulations.

python -m core train stress --name first                                    four bundled models on CIFAR-10
python -m core train stress --name patches --set 'conditions=["noise_patch:64", "noise_patch:128+grey:100"]'
python -m core train stress --name cues --set dataset=cue_conflict --set 'conditions=[]' --set max_images=0 \\
    --set 'models=["efficientnet_lite0", "clip_small"]'

Answers are kept by content (core/methods/biases/asking.py): a run that was stopped goes on where it was, and other
conditions beside those of an earlier run ask for nothing twice. Conditions are written as `core.methods.manipulations`
reads them: `scramble:4+grey:100`.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from core.configs import check_options, option
from core.data.catalogue import read_dataset
from core.data.loading import decode_split
from core.data.prompts import check_template
from core.device import Precision
from core.errors import ConfigError
from core.experiments.cue_conflict import stored_textures
from core.experiments.evaluation import (
    EvaluatedImages,
    accuracy_values,
    check_labels,
    choose_images,
    choose_labels,
    evaluated_splits,
    save_evaluation,
)
from core.experiments.run_precision import precision_facts, settle_precision
from core.experiments.stress_models import open_model
from core.methods.biases.asking import Asked, ask_models
from core.methods.biases.stress_table import StressRow, condition_words, model_pairs, stress_table
from core.methods.manipulations.steps import format_steps, parse_steps
from core.models.spec import LoadedModel
from core.models.weights import load
from core.paths import cache_root
from core.precision_choice import PrecisionChoice
from core.reports import Progress, shifted
from core.runs.store import RunFolder

# Photos are shown to models at the largest of their input sizes, but not above.
_LARGEST = 224
MOST_MODELS = 12


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which models, which images, which manipulations."""

    models: tuple[str, ...] = option(
        ("vit_p4", "differential_vit_p4", "cnn_small", "clip_small"),
        "Models",
        "One a line: of the catalogue, run:NAME, folder:PATH or hub:OWNER/NAME; classifiers, CLIP, diffusion.",
    )
    dataset: str = option("cifar10", "Data set", "Any imported data set.")
    test_split: str = option(
        "", "Test on", "Splits joined by +, each measured by itself; empty: test or val, or every domain."
    )
    conditions: tuple[str, ...] = option(
        ("grey:100", "elastic:4", "noise_patch:128", "scramble:4"),
        "Manipulations",
        "One a line, steps joined by +: scramble:4+grey:100. The images as they are always come first.",
    )
    max_images: int = option(
        1000, "Images", "A random part of all of them, not stratified.", minimum=0, zero="all images"
    )
    classes: tuple[str, ...] = option(
        (), "Classes", "Only images of these, which are then all there is to choose among; empty: every class."
    )
    labels: tuple[str, ...] = option(
        (), "Labels", "For models of images and texts: one for each class; empty: the data set's own names."
    )
    template: str = option("a photo of a {}.", "Prompt", "One sentence with {} for the label.")
    image_size: int = option(
        0, "Side of photos", "At which they are manipulated; by itself the largest that a model sees, 224 at most.",
        minimum=0, maximum=1024, unit="px", zero="by itself",
    )  # fmt: skip
    diffusion_images: int = option(20, "Images for diffusion", "Such a model takes seconds an image.", minimum=1)
    diffusion_samples: int = option(20, "Samples", "Of noise and time step, for each label.", minimum=2, maximum=1000)
    batch_size: int = option(64, "Batch size", minimum=1, maximum=8192)
    # Not auto: tables compare models, and what they compare should not depend on the machine.
    precision: PrecisionChoice = option("fp32", "Precision", "Of the networks' matrix products.")
    seed: int = option(0, "Seed", "Of the images, and of what manipulations draw.", minimum=0)

    def __post_init__(self) -> None:
        check_options(self)
        check_template(self.template)
        check_labels(self.labels)
        if not 1 <= len(self.models) <= MOST_MODELS or len(set(self.models)) < len(self.models):
            raise ConfigError(f"There are {len(self.models)} models.", f"Choose 1 to {MOST_MODELS}, each once.")
        for text in self.conditions:
            parse_steps(text)

    @property
    def model(self) -> str:
        """All of them, as a result names what was evaluated."""
        return ", ".join(self.models)

    @property
    def all_conditions(self) -> tuple[str, ...]:
        """Each once, as `format_steps` writes it; the first is no manipulation."""
        return tuple(dict.fromkeys(("", *(format_steps(parse_steps(text)) for text in self.conditions))))


@dataclass(frozen=True, kw_only=True)
class ConditionReport:
    """One model under one condition; `step` counts images that were asked about.

    Attributes:
        corrected: share of what the model can beyond chance that the manipulation leaves.
        p_value: that as many images are named right as without it (exact McNemar test); None without it.
    """

    step: int
    steps: int
    model: str
    condition: str
    test_accuracy: float
    test_low: float
    test_high: float
    test_count: int
    corrected: float | None
    p_value: float | None


def run(config: Config, folder: RunFolder) -> Iterator[Progress | ConditionReport]:
    """Ask every model under every condition; `result.json` and `predictions.npz` in the folder hold every answer.

    Raises:
        CoreError: a model or the data set is not on this machine.
        IncompatibleError: a model knows other classes, or names nothing.
        ConfigError: there is one class only, or another number of labels than of classes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("This evaluation is one process.", "Start several runs instead.")
    yield Progress(step=0, steps=1, text="loading the models")
    info = read_dataset(config.dataset)
    classes, labels = chosen_classes(config, info)
    place = folder.read_spec().device
    loaded = [load(name, place) for name in config.models]
    size = config.image_size or canvas_size(loaded)
    splits = evaluated_splits(config.test_split, info)
    for split in splits:
        for progress in decode_split(config.dataset, split, size):
            yield Progress(step=0, steps=1, text=progress.text)
    among = [list(info["classes"]).index(name) for name in classes]
    images = choose_images(config.dataset, splits, size, config.max_images, config.seed, among)
    truth = np.searchsorted(among, images.label)
    asked = [open_model(model, classes, labels, config) for model in loaded]
    precision = settle_precision(folder, config.precision, "inference").precision
    folder.truncate_metrics(0)
    answers, shares = yield from _ask_all(config, asked, images, truth, len(classes), precision)
    table = stress_table(truth, answers, len(classes), seed=config.seed)
    save_evaluation(
        folder,
        config,
        {
            **_asked_what(config, loaded, asked),
            "dataset_title": info["title"],
            "labels": list(labels),
            "classes": list(classes),
            "image_size": size,
            "split": "+".join(splits),
            "of_images": sum(len(data) for data in images.data.values()),
            "template": config.template,
            "seed": config.seed,
            **precision_facts(folder),
            "device": str(place),
            "threads": torch.get_num_threads(),
            "test": accuracy_values(table[0].accuracy),
            "table": [row.values() for row in table],
            "pairs": [pair.values() for pair in model_pairs(truth, answers)],
        },
        {
            "split": images.split,
            "row": images.row,
            "label": truth.astype(np.int64),
            "predicted": answers[:, 0, 0].astype(np.int64),
            "answers": answers,
            "share": shares,
            **stored_textures(config.dataset, images, classes, size),
        },
    )


def _asked_what(config: Config, loaded: list[LoadedModel], asked: list[Asked]) -> dict[str, Any]:
    """Who was asked under which conditions, for the result."""
    titles = [model.spec.title for model in loaded]
    return {
        "model_title": ", ".join(titles),
        "models": [
            {"name": name, "title": title, "most": each.most}
            for name, title, each in zip(config.models, titles, asked, strict=True)
        ],
        "conditions": [{"steps": text, "words": condition_words(text)} for text in config.all_conditions],
    }


def chosen_classes(config: Config, info: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the models choose among: the data set's names of the classes, in its order, and a label for each.

    Raises:
        ConfigError: there are fewer than two, or a name is no class.
    """
    stored = [str(name) for name in info["classes"]]
    unknown = [name for name in config.classes if name not in stored]
    if unknown:
        raise ConfigError(
            f"{info['title']} has no class {unknown[0]!r}.",
            f"Its classes are {', '.join(stored[:8])}{' …' * (len(stored) > 8)}.",
        )
    kept = [place for place, name in enumerate(stored) if not config.classes or name in config.classes]
    if len(kept) < 2:
        raise ConfigError(
            f"{info['title']} leaves one class to choose among: every answer would be right.",
            "Take a data set, or a choice of its classes, with at least two.",
        )
    if len(config.labels) not in (0, len(kept)):
        raise ConfigError(
            f"There are {len(config.labels)} labels for {len(kept)} classes.",
            f"Give one for each, in this order: {', '.join(stored[place] for place in kept[:8])}.",
        )
    usual = choose_labels((), info)
    return tuple(stored[place] for place in kept), config.labels or tuple(usual[place] for place in kept)


def canvas_size(models: list[LoadedModel]) -> int:
    """At which side photos are manipulated: the largest input of the models, within bounds."""
    return min(_LARGEST, max(model.network.preprocessing.size for model in models))


def _ask_all(
    config: Config, asked: list[Asked], images: EvaluatedImages, truth: np.ndarray, classes: int, precision: Precision
) -> Generator[Progress | ConditionReport, None, tuple[np.ndarray, np.ndarray]]:
    """(images, models, conditions) answers and their shares."""
    each = sum(len(images) if model.most is None else min(len(images), model.most) for model in asked)
    conditions, steps = config.all_conditions, each * len(config.all_conditions)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for place, text in enumerate(conditions):
        asking = ask_models(
            asked,
            images.images,
            images.row.tolist(),
            parse_steps(text),
            seed=config.seed,
            batch_size=config.batch_size,
            precision=precision,
            kept=cache_root() / "answers",
        )
        found.append((yield from shifted(asking, place * each, steps)))
        # Every condition is compared with the first, the images as they are.
        pair = np.stack([answers for answers, _ in found[:: max(1, place)]], axis=2)
        for row in stress_table(truth, pair, classes, seed=config.seed):
            if row.condition == min(place, 1):
                yield _report(row, config.models[row.model], condition_words(text), (place + 1) * each, steps)
    return np.stack([answers for answers, _ in found], axis=2), np.stack([share for _, share in found], axis=2)


def _report(row: StressRow, model: str, condition: str, step: int, steps: int) -> ConditionReport:
    low, high = row.accuracy.interval
    ratio = row.ratio
    return ConditionReport(
        step=step,
        steps=steps,
        model=model,
        condition=condition,
        test_accuracy=row.accuracy.value,
        test_low=low,
        test_high=high,
        test_count=row.accuracy.count,
        corrected=ratio.corrected.value if ratio else None,
        p_value=ratio.paired.p_value if ratio and ratio.paired else None,
    )
