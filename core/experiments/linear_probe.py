"""What the frozen features of a network know about another data set: linear probe and nearest neighbours on them.

python -m core train linear_probe --name probe                                     EfficientNet-Lite0 on CIFAR-10
python -m core train linear_probe --name pacs --set backbone=dino_s16 --set dataset=pacs --set test_split=sketch

The protocol is CLIP's (core/methods/embeddings/probes.py): the penalty is chosen on validation images, test images are
read once. The features stay in the cache, so that a second run on them, or one that was stopped, computes only what
is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal

from core.configs import check_options, option
from core.data.catalogue import read_dataset
from core.data.loading import choose_splits, decode_split, limit_images, load_splits
from core.experiments.run_precision import precision_facts, settle_precision
from core.files import write_json
from core.methods.embeddings.features import FeaturePooling, Features, extract_features, feature_poolings
from core.methods.embeddings.probes import ProbeResult, linear_probe, nearest_neighbours
from core.models.weights import load
from core.precision_choice import PrecisionChoice
from core.reports import Progress, shifted, watched
from core.runs.store import RunFolder

_FITS = 16


@dataclass(frozen=True, kw_only=True)
class Config:
    """Whose features, of which images, pooled how."""

    backbone: str = option(
        "efficientnet_lite0", "Backbone", "A model of the catalogue, run:NAME, folder:PATH or hub:OWNER/NAME."
    )
    dataset: str = option("cifar10", "Data set", "Any imported data set.")
    train_split: str = option("", "Learn from", "Splits joined by +; empty: train, or all domains but the last.")
    test_split: str = option(
        "", "Test on", "Splits joined by +; empty: test, or the last domain. Same as above: a fifth."
    )
    pooling: Literal["all", "class_token", "mean"] = option(
        "all", "Pooling", "Of a vision transformer's tokens; a CNN has one embedding."
    )
    image_size: int = option(
        0, "Image size", "What the network sees.", minimum=0, maximum=1024, unit="px", zero="its own"
    )
    max_images: int = option(0, "Training images", "A fixed random part of them.", minimum=0, zero="all images")
    max_test: int = option(0, "Test images", "A fixed random part of them.", minimum=0, zero="all images")
    neighbours: int = option(20, "Neighbours", "How many vote on the class of a test image.", minimum=1, maximum=1000)
    max_iterations: int = option(1000, "Iterations", "Of L-BFGS, at most.", minimum=1)
    batch_size: int = option(64, "Batch size", minimum=1, maximum=8192)
    # Not auto: tables compare backbones, and what they compare should not depend on the machine.
    precision: PrecisionChoice = option(
        "fp32", "Precision", "Of the network's matrix products. auto: bf16 where it was measured to be faster."
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class ProbeReport:
    """One probe on one pooling; accuracies in [0, 1] with their 95 % Wilson interval."""

    step: int
    steps: int
    probe: Literal["linear", "neighbours"]
    pooling: FeaturePooling
    test_accuracy: float
    test_low: float
    test_high: float
    test_count: int
    train_count: int
    dim: int
    val_accuracy: float | None
    C: float | None
    converged: bool


def run(config: Config, folder: RunFolder) -> Iterator[Progress | ProbeReport]:
    """Extract, fit, test; `result.json` in the folder holds all of it.

    Raises:
        CoreError: the model or the data set is not on this machine.
        IncompatibleError: the model has no such pooling.
    """
    yield Progress(step=0, steps=1, text="loading the network")
    model = load(config.backbone, folder.read_spec().device)
    native = model.network.preprocessing
    size = config.image_size or native.size
    for split in dict.fromkeys(sum(choose_splits(config.dataset, config.train_split, config.test_split), ())):
        for progress in decode_split(config.dataset, split, size):
            yield Progress(step=0, steps=1, text=progress.text)
    splits = load_splits(config.dataset, size, config.train_split, config.test_split)
    train_limit = config.max_images or None
    parts = {
        "train": limit_images(splits.train, train_limit),
        "val": limit_images(splits.val, train_limit and max(1, train_limit // 9)),
        "test": limit_images(splits.test, config.max_test or None),
    }
    poolings = feature_poolings(model.module)
    if config.pooling != "all":
        poolings = (config.pooling,)
    images = sum(map(len, parts.values()))
    steps, done = images + len(poolings) * (_FITS + 1), 0
    features: dict[str, dict[FeaturePooling, Features]] = {}
    precision = settle_precision(folder, config.precision, "inference").precision
    for name, part in parts.items():
        extraction = extract_features(
            model.module,
            part,
            model=config.backbone,
            size=size,
            normalisation=native.normalisation,
            poolings=poolings,
            batch_size=config.batch_size,
            precision=precision,
            lock=model.lock,
        )
        features[name] = yield from shifted(extraction, done, steps)
        done += len(part)
    results: list[ProbeReport] = []
    for pooling in poolings:
        train, val, test = (features[name][pooling] for name in ("train", "val", "test"))
        fits = linear_probe(train, val, test, max_iterations=config.max_iterations)
        linear = yield from shifted(fits, done, steps)
        done += _FITS
        results.append(_report("linear", pooling, linear, train, done, steps))
        yield results[-1]
        done += 1
        looking = Progress(step=done, steps=steps, text="looking for neighbours")
        nearest = yield from watched(partial(nearest_neighbours, train, test, neighbours=config.neighbours), looking)
        results.append(_report("neighbours", pooling, nearest, train, done, steps))
        yield results[-1]
    summary = {
        "backbone": config.backbone,
        "title": model.spec.title,
        "dataset": read_dataset(config.dataset)["title"],
        "test": splits.held_out,
        "image_size": size,
        **precision_facts(folder),
        "probes": [asdict(result) for result in results],
        "skipped": splits.skipped,
        "command": folder.read_spec().command(folder.name),
    }
    write_json(folder.path / "result.json", summary)


def _report(
    probe: Literal["linear", "neighbours"],
    pooling: FeaturePooling,
    result: ProbeResult,
    train: Features,
    step: int,
    steps: int,
) -> ProbeReport:
    return ProbeReport(
        step=step,
        steps=steps,
        probe=probe,
        pooling=pooling,
        test_accuracy=result.accuracy,
        test_low=result.interval[0],
        test_high=result.interval[1],
        test_count=result.count,
        train_count=result.train_count,
        dim=train.vectors.shape[1],
        val_accuracy=result.val_accuracy,
        C=result.C,
        converged=result.converged,
    )
