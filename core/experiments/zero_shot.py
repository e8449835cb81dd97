"""How many images of a data set a model of images and texts names right, untrained, by the names of the classes.

python -m core train zero_shot --name cifar                                       Small CLIP on CIFAR-10
python -m core train zero_shot --name pacs --set dataset=pacs --set strategy=photo
python -m core train zero_shot --name own --set dataset=my_images --set 'labels=["a cup", "a plate"]'

Where several prompt strategies are compared, validation images choose one, and test images are read once. Image
features stay in the cache (core/methods/embeddings/features.py): other labels or prompts on the same images compute no
image.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal, cast

import numpy as np

from core.configs import check_options, option
from core.data.arrays import ArrayDataset, validation_indices
from core.data.catalogue import read_dataset
from core.data.loading import Rows, decode_split, load_images, skipped_images
from core.data.prompts import STRATEGIES, StrategyName, check_template, strategy_templates
from core.errors import ConfigError
from core.experiments.evaluation import (
    accuracy_metrics,
    accuracy_values,
    check_labels,
    choose_labels,
    evaluated_splits,
    save_evaluation,
)
from core.experiments.run_precision import settle_precision
from core.methods.accuracy.confusion import Accuracy, accuracy
from core.methods.clip.zero_shot import Scale, text_classifier, zero_shot_scores
from core.methods.embeddings.features import Features, extract_features
from core.models.clip import ImageTextEncoder
from core.models.spec import LoadedModel
from core.models.weights import load
from core.precision_choice import PrecisionChoice
from core.reports import Progress, shifted, watched
from core.runs.store import RunFolder
from core.seeding import published_stream

# Where nothing but what is tested on is there to choose a strategy by.
HELD_OUT_SHARE = 0.2
_JUDGES = {"train": "the tenth of train that no training here learns from", "": "a fifth of each class, not tested on"}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which model, which images, which words."""

    model: str = option(
        "clip_small", "Model", "A model of images and texts: of the catalogue, run:NAME, folder:PATH or hub:OWNER/NAME."
    )
    dataset: str = option("cifar10", "Data set", "Any imported data set.")
    test_split: str = option(
        "", "Test on", "Splits joined by +, each measured by itself; empty: test or val, or every domain."
    )
    strategy: Literal["choose", StrategyName] = option(
        "choose", "Prompts", "choose compares the strategies on validation images and tests the best."
    )
    templates: tuple[str, ...] = option((), "Own prompts", "One a line, with {} for the label; choose tries them too.")
    domain: str = option("", "Domain", "What kind of things the classes are, such as animal; for the domain prompts.")
    labels: tuple[str, ...] = option(
        (), "Labels", "One for each class, in the order of the data set's classes; empty: its own names."
    )
    max_images: int = option(0, "Test images", "A fixed random part of each split.", minimum=0, zero="all images")
    max_validation: int = option(
        1000, "Validation images", "To choose the prompts by: a fixed random part.", minimum=20, maximum=1_000_000
    )
    batch_size: int = option(64, "Batch size", minimum=1, maximum=8192)
    # Not auto: tables compare prompts and models, and what they compare should not depend on the machine.
    precision: PrecisionChoice = option(
        "fp32", "Precision", "Of the image tower's matrix products. auto: bf16 where it was measured to be faster."
    )

    def __post_init__(self) -> None:
        check_options(self)
        for template in self.templates:
            check_template(template)
        if self.strategy == "custom" and not self.templates:
            raise ConfigError("There are no prompts of your own.", "Write some, or choose another strategy.")
        check_labels(self.labels)


@dataclass(frozen=True, kw_only=True)
class StrategyReport:
    """One strategy on the validation images."""

    step: int
    steps: int
    strategy: str
    val_accuracy: float
    val_low: float
    val_high: float
    val_count: int


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """The chosen strategy on one test split, or on all of them together."""

    step: int
    steps: int
    strategy: str
    split: str
    test_accuracy: float
    test_low: float
    test_high: float
    test_count: int


Report = Progress | StrategyReport | SplitReport


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Some images of a stored split: which rows of it, and what the image tower made of them."""

    split: str
    rows: np.ndarray
    features: Features

    def pick(self, chosen: np.ndarray) -> _Part:
        """The images `chosen`, by their place in this part."""
        features = Features(vectors=self.features.vectors[chosen], labels=self.features.labels[chosen])
        return _Part(split=self.split, rows=self.rows[chosen], features=features)


def run(config: Config, folder: RunFolder) -> Iterator[Report]:
    """Read the labels, read the images, compare; `result.json` and `predictions.npz` in the folder hold all of it.

    Raises:
        CoreError: the model or the data set is not on this machine.
        IncompatibleError: the model knows no texts.
        ConfigError: the number of labels is not that of the classes.
    """
    yield Progress(step=0, steps=1, text="loading the model")
    model = load(config.model, folder.read_spec().device)
    model.spec.require("image_text", "Zero-shot classification")
    config = replace(config, precision=settle_precision(folder, config.precision, "inference").precision)
    info = read_dataset(config.dataset)
    labels, names = choose_labels(config.labels, info), _compared(config)
    tested = evaluated_splits(config.test_split, info)
    elsewhere = _validation_split(info, tested) if len(names) > 1 else ""
    rows = yield from _choose_rows(config, model, tested, elsewhere)
    images = sum(map(len, rows.values()))
    steps = images + len(names) + len(tested)

    began = time.perf_counter()
    weights = yield from _read_labels(config, model, labels, names, steps)
    text_seconds = time.perf_counter() - began
    began = time.perf_counter()
    parts = yield from _read_images(config, model, rows, len(names), steps)
    image_seconds = time.perf_counter() - began

    judges, parts = _set_aside(parts, elsewhere) if len(names) > 1 else ([], parts)
    compared = []
    for name in names if judges else ():
        _, right = _answer(judges, weights[name], labels, model)
        metrics = accuracy_metrics(right, "val")
        compared.append(StrategyReport(step=images + len(names), steps=steps, strategy=name, **metrics))
        yield compared[-1]
    # Of equally good ones the simplest: they stand in that order.
    chosen = max(compared, key=lambda report: report.val_accuracy).strategy if compared else names[0]
    answers = []
    for place, part in enumerate(parts, 1):
        found, right = _answer([part], weights[chosen], labels, model)
        answers.append(found)
        done = images + len(names) + place
        yield SplitReport(step=done, steps=steps, strategy=chosen, split=part.split, **accuracy_metrics(right))
    columns = {key: np.concatenate([found[key] for found in answers]) for key in answers[0]}
    overall, split = accuracy(columns["label"], columns["predicted"]), "+".join(tested)
    if len(parts) > 1:
        yield SplitReport(step=steps, steps=steps, strategy=chosen, split=split, **accuracy_metrics(overall))
    summary = {
        "model_title": model.spec.title,
        "dataset_title": info["title"],
        "labels": list(labels),
        "image_size": model.network.preprocessing.size,
        "split": split,
        "strategy": chosen,
        "templates": list(config_templates(config, chosen)),
        "chosen_on": _JUDGES.get(elsewhere, elsewhere) if compared else "",
        "compared": [asdict(report) for report in compared],
        "test": accuracy_values(overall),
        "skipped": _skipped(config, info, tested, model.network.preprocessing.size),
        "text_seconds": text_seconds,
        "image_seconds": image_seconds,
    }
    save_evaluation(folder, config, summary, columns)


def config_templates(config: Config, strategy: str) -> tuple[str, ...]:
    """The templates of a strategy under this config."""
    return strategy_templates(strategy, domain=config.domain, custom="\n".join(config.templates))


def _compared(config: Config) -> tuple[str, ...]:
    """The strategies to try, the simplest first."""
    if config.strategy != "choose":
        return (config.strategy,)
    return tuple(name for name in STRATEGIES if name != "custom" or config.templates)


def _validation_split(info: dict[str, Any], tested: tuple[str, ...]) -> str:
    """A split to choose by that is not tested on; empty if there is none."""
    return next((split for split in ("val", "train") if split in info["splits"] and split not in tested), "")


def _some_rows(rows: np.ndarray, limit: int) -> np.ndarray:
    """All of `rows`, or a fixed random part of them, in order."""
    return np.sort(published_stream("tested rows", 0).permutation(rows)[:limit]) if limit else rows


def _choose_rows(
    config: Config, model: LoadedModel, tested: tuple[str, ...], elsewhere: str
) -> Generator[Progress, None, dict[str, np.ndarray]]:
    """Of every split that is needed, the rows that are read; images that wait to be decoded are decoded."""
    chosen = {}
    for split in (*tested, *([elsewhere] if elsewhere else [])):
        for progress in decode_split(config.dataset, split, model.network.preprocessing.size):
            yield Progress(step=0, steps=1, text=progress.text)
        data = _load(config, model, split)
        held_out = split == elsewhere == "train"
        rows = validation_indices(np.asarray(data.labels)) if held_out else np.arange(len(data))
        chosen[split] = _some_rows(rows, config.max_validation if split == elsewhere else config.max_images)
    return chosen


def _read_labels(
    config: Config, model: LoadedModel, labels: tuple[str, ...], names: tuple[str, ...], steps: int
) -> Generator[Progress, None, dict[str, np.ndarray]]:
    """The (labels, dim) weights of every strategy."""

    def read(templates: tuple[str, ...]) -> np.ndarray:
        with model.lock:
            return text_classifier(cast(ImageTextEncoder, model.module), labels, templates)

    weights = {}
    for done, name in enumerate(names):
        templates = config_templates(config, name)
        text = f"{name}: reading {len(labels) * len(templates):,} sentences"
        reading = Progress(step=done, steps=steps, text=text)
        yield reading
        weights[name] = yield from watched(partial(read, templates), reading)
    return weights


def _read_images(
    config: Config, model: LoadedModel, rows: dict[str, np.ndarray], done: int, steps: int
) -> Generator[Progress, None, list[_Part]]:
    """What the image tower makes of the chosen rows."""
    parts = []
    for split, chosen in rows.items():
        extraction = _features(config, model, _load(config, model, split), chosen)
        features = yield from shifted(extraction, done, steps)
        parts.append(_Part(split=split, rows=chosen, features=features))
        done += len(chosen)
    return parts


def _load(config: Config, model: LoadedModel, split: str) -> ArrayDataset:
    return load_images(config.dataset, split, model.network.preprocessing.size)


def _features(
    config: Config, model: LoadedModel, data: ArrayDataset, rows: np.ndarray
) -> Generator[Progress, None, Features]:
    """The image tower's embeddings of some rows of a split, from the cache where they are."""
    part = data
    if len(rows) < len(data):
        images: Any = Rows([data.images], rows)
        part = replace(data, images=images, labels=np.asarray(data.labels)[rows])
    found = yield from extract_features(
        model.module,
        part,
        model=config.model,
        size=model.network.preprocessing.size,
        normalisation=model.network.preprocessing.normalisation,
        poolings=("embedding",),
        batch_size=config.batch_size,
        precision=config.precision,
        lock=model.lock,
        side_by_side=True,
    )
    return found["embedding"]


def _set_aside(parts: list[_Part], elsewhere: str) -> tuple[list[_Part], list[_Part]]:
    """Images to choose by, and images to test on: another split, or a fifth of every class of each part."""
    if elsewhere:
        return parts[-1:], parts[:-1]
    held_out = [validation_indices(part.features.labels, HELD_OUT_SHARE) for part in parts]
    rest = [np.setdiff1d(np.arange(len(part.rows)), held) for part, held in zip(parts, held_out, strict=True)]
    judges = [part.pick(held) for part, held in zip(parts, held_out, strict=True)]
    if not sum(len(judge.rows) for judge in judges):
        raise ConfigError(
            "There are too few images to choose prompts by and to test on others.", "Choose one strategy yourself."
        )
    return judges, [part.pick(kept) for part, kept in zip(parts, rest, strict=True)]


def _answer(
    parts: list[_Part], weights: np.ndarray, labels: tuple[str, ...], model: LoadedModel
) -> tuple[dict[str, np.ndarray], Accuracy]:
    """What the classifier says about every image of `parts`, and how often it is right."""
    scaling = Scale.of(cast(ImageTextEncoder, model.module))
    vectors = np.concatenate([part.features.vectors for part in parts])
    truth = np.concatenate([part.features.labels for part in parts])
    found = zero_shot_scores(vectors, weights, labels, scaling)
    predicted = found.logits.argmax(axis=1)
    answer = {
        "split": np.concatenate([np.full(len(part.rows), part.split) for part in parts]),
        "row": np.concatenate([part.rows for part in parts]),
        "label": truth,
        "predicted": predicted,
        "confidence": found.probabilities[np.arange(len(truth)), predicted],
        "true_confidence": found.probabilities[np.arange(len(truth)), truth],
    }
    return answer, accuracy(truth, predicted)


def _skipped(config: Config, info: dict[str, Any], tested: tuple[str, ...], size: int) -> dict[str, str]:
    """Images of folders that could not be decoded: file → why."""
    if info["storage"] != "folder":
        return {}
    return {file: why for split in tested for file, why in skipped_images(config.dataset, split, size).items()}
