"""What frozen features are worth in a domain that their linear probe never saw, and on classes of another kind.

python -m core train domain_shift --name pacs                             leave one domain of PACS out, four backbones
python -m core train domain_shift --name shifts --set 'semantic=["cifar100", "tiny_imagenet"]'

Covariate shift: of every domain a fifth of each class is set aside; a probe learns from the rest of all domains but
one, and is tested on what was set aside of its own domains (at home) and on the whole domain that it never saw (away).
Semantic shift: an ordinary probe for the classes of other data sets, whose training images it learns from. The probe's
protocol is CLIP's (core/methods/embeddings/probes.py); features stay in the cache.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from core.configs import check_options, option
from core.data.arrays import ArrayDataset, validation_indices
from core.data.catalogue import read_dataset
from core.data.loading import choose_splits, decode_split, limit_images, load_images, load_splits
from core.errors import ConfigError
from core.experiments.run_precision import precision_facts, settle_precision
from core.files import write_json
from core.methods.accuracy.confusion import Accuracy
from core.methods.biases.ratios import two_sets_ratio
from core.methods.biases.shifts import ShiftReport
from core.methods.embeddings.features import Features, extract_features, feature_poolings
from core.methods.embeddings.probes import LinearHead, fit_probe
from core.models.spec import LoadedModel
from core.models.weights import load
from core.precision_choice import PrecisionChoice
from core.reports import Progress, still
from core.runs.store import RunFolder

HELD_OUT_SHARE = 0.2
_SEED_AT_HOME = 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """Whose features, in which domains, and on which other classes."""

    models: tuple[str, ...] = option(
        ("vit_p4", "differential_vit_p4", "cnn_small", "clip_small"),
        "Backbones",
        "One a line: of the catalogue, run:NAME, folder:PATH or hub:OWNER/NAME.",
    )
    dataset: str = option("pacs", "Domains", "A data set whose splits are domains; empty: none.")
    semantic: tuple[str, ...] = option((), "Other classes", "Data sets with other classes, one a line.")
    max_images: int = option(
        4000, "Training images", "Of each other data set, a random part.", minimum=0, zero="all images"
    )
    max_test: int = option(1000, "Test images", "The same.", minimum=0, zero="all images")
    max_iterations: int = option(1000, "Iterations", "Of L-BFGS, at most.", minimum=1)
    batch_size: int = option(64, "Batch size", minimum=1, maximum=8192)
    # Not auto: tables compare backbones, and what they compare should not depend on the machine.
    precision: PrecisionChoice = option("fp32", "Precision", "Of the networks' matrix products.")

    def __post_init__(self) -> None:
        check_options(self)
        if not self.models or len(set(self.models)) < len(self.models):
            raise ConfigError(f"There are {len(self.models)} backbones.", "Choose at least one, each once.")
        if not self.dataset and not self.semantic:
            raise ConfigError("There is no data set to shift to.", "Choose one with domains, or one of other classes.")


def run(config: Config, folder: RunFolder) -> Iterator[Progress | ShiftReport]:
    """Extract, fit, test; `result.json` in the folder holds every probe.

    Raises:
        CoreError: a model or a data set is not on this machine.
        ConfigError: the data set has fewer than two domains.
    """
    yield Progress(step=0, steps=1, text="loading the networks")
    models = {name: load(name, folder.read_spec().device) for name in config.models}
    for model in models.values():
        if not hasattr(model.module, "embed") and not hasattr(model.module, "last_tokens"):
            model.spec.require("classifier", "A linear probe")
    domains = _domains(config.dataset) if config.dataset else ()
    config = replace(config, precision=settle_precision(folder, config.precision, "inference").precision)
    steps = len(models) * (len(domains) + len(config.semantic))
    folder.truncate_metrics(0)
    found: list[ShiftReport] = []
    for name, model in models.items():
        if domains:
            for report in _covariate(config, name, model, domains, len(found), steps):
                found += [report] if isinstance(report, ShiftReport) else []
                yield report
        for dataset in config.semantic:
            report = yield from _semantic(config, name, model, dataset, len(found), steps)
            found.append(report)
            yield report
    write_json(
        folder.path / "result.json",
        {
            "models": [{"name": name, "title": model.spec.title} for name, model in models.items()],
            "dataset": config.dataset,
            "dataset_title": read_dataset(config.dataset)["title"] if config.dataset else "",
            "domains": list(domains),
            "semantic": [{"name": name, "title": read_dataset(name)["title"]} for name in config.semantic],
            "shifts": [asdict(report) for report in found],
            "test": {f"{report.model}, {report.place}": report.test_accuracy for report in found},
            **precision_facts(folder),
            "command": folder.read_spec().command(folder.name),
        },
    )


def _domains(dataset: str) -> tuple[str, ...]:
    info = read_dataset(dataset)
    names = tuple(info["splits"])
    if len(names) < 2 or {"train", "val", "test"} & set(names):
        raise ConfigError(
            f"{info['title']} has no domains: its splits are {', '.join(names) or 'none'}.",
            "Choose a data set whose splits are domains, such as PACS: DOMAIN/CLASS/*.",
        )
    return names


def _covariate(
    config: Config, name: str, model: LoadedModel, domains: tuple[str, ...], done: int, steps: int
) -> Iterator[Progress | ShiftReport]:
    """Every domain left out once."""
    parts: dict[str, Features] = {}
    for domain in domains:
        size = model.network.preprocessing.size
        yield from (replace(each, step=done, steps=steps) for each in decode_split(config.dataset, domain, size))
        extraction = _features(config, name, model, load_images(config.dataset, domain, size))
        parts[domain] = yield from still(extraction, done, steps)
    aside = {domain: validation_indices(part.labels, HELD_OUT_SHARE, _SEED_AT_HOME) for domain, part in parts.items()}
    classes = len(read_dataset(config.dataset)["classes"])
    for place, away in enumerate(domains):
        at_home = [domain for domain in domains if domain != away]
        learned = joined(
            [rows(parts[each], np.setdiff1d(np.arange(len(parts[each])), aside[each])) for each in at_home]
        )
        head = yield from still(fit_on(learned, config.max_iterations), done + place, steps)
        home = _right(head, joined([rows(parts[each], aside[each]) for each in at_home]))
        yield _report(name, "covariate", away, classes, head, _right(head, parts[away]), home, done + place + 1, steps)


def _semantic(
    config: Config, name: str, model: LoadedModel, dataset: str, done: int, steps: int
) -> Generator[Progress, None, ShiftReport]:
    """A probe for the classes of another data set, on its usual splits."""
    size = model.network.preprocessing.size
    for split in dict.fromkeys(sum(choose_splits(dataset), ())):
        yield from (replace(each, step=done, steps=steps) for each in decode_split(dataset, split, size))
    splits = load_splits(dataset, size)
    limit = config.max_images or None
    wanted = {
        "train": limit_images(splits.train, limit),
        "val": limit_images(splits.val, limit and max(1, limit // 9)),
        "test": limit_images(splits.test, config.max_test or None),
    }
    parts = {}
    for key, part in wanted.items():
        parts[key] = yield from still(_features(config, name, model, part), done, steps)
    fitting = fit_probe(parts["train"], parts["val"], max_iterations=config.max_iterations)
    head = yield from still(fitting, done, steps)
    classes = len(read_dataset(dataset)["classes"])
    return _report(name, "semantic", dataset, classes, head, _right(head, parts["test"]), None, done + 1, steps)


def fit_on(learned: Features, max_iterations: int) -> Generator[Progress, None, LinearHead]:
    """A probe on features without validation images of their own: a tenth of every class chooses the penalty."""
    held = validation_indices(learned.labels)
    kept = np.setdiff1d(np.arange(len(learned)), held)
    return (yield from fit_probe(rows(learned, kept), rows(learned, held), max_iterations=max_iterations))


def rows(features: Features, chosen: np.ndarray) -> Features:
    """Some of the images."""
    return Features(vectors=features.vectors[chosen], labels=features.labels[chosen])


def joined(parts: list[Features]) -> Features:
    """One after another."""
    return Features(
        vectors=np.concatenate([part.vectors for part in parts]), labels=np.concatenate([part.labels for part in parts])
    )


def _features(config: Config, name: str, model: LoadedModel, data: ArrayDataset) -> Generator[Progress, None, Features]:
    """The vector that the model's own head reads of each image."""
    poolings = ("embedding",) if hasattr(model.module, "embed") else feature_poolings(model.module)[:1]
    found = yield from extract_features(
        model.module,
        data,
        model=name,
        size=model.network.preprocessing.size,
        normalisation=model.network.preprocessing.normalisation,
        poolings=poolings,
        batch_size=config.batch_size,
        precision=config.precision,
        lock=model.lock,
        side_by_side=True,
    )
    return found[poolings[0]]


def _right(head: LinearHead, tested: Features) -> Accuracy:
    return Accuracy(correct=int((head.predict(tested) == tested.labels).sum()), count=len(tested))


def _report(
    model: str,
    shift: Literal["covariate", "semantic"],
    place: str,
    classes: int,
    head: LinearHead,
    away: Accuracy,
    home: Accuracy | None,
    step: int,
    steps: int,
) -> ShiftReport:
    low, high = away.interval
    at_home: dict[str, Any] = {}
    if home is not None:
        kept = two_sets_ratio(home, away, classes)
        at_home = {
            "home_accuracy": home.value,
            "home_low": home.interval[0],
            "home_high": home.interval[1],
            "home_count": home.count,
            "ratio": kept.ratio.value,
            "corrected": kept.corrected.value,
            "corrected_low": kept.corrected.low,
            "corrected_high": kept.corrected.high,
        }
    return ShiftReport(
        step=step,
        steps=steps,
        model=model,
        shift=shift,
        place=place,
        classes=classes,
        test_accuracy=away.value,
        test_low=low,
        test_high=high,
        test_count=away.count,
        train_count=head.train_count,
        C=head.C,
        converged=head.converged,
        **at_home,
    )
