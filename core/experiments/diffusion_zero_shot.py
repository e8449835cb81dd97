"""How many images a text-to-image diffusion model names right by denoising them under the name of every class.

    python -m core train diffusion_zero_shot --name classifications                        100 CIFAR-10 test images
    python -m core train diffusion_zero_shot --name prunes --set images=300 --set full_grid=true
    python -m core train diffusion_zero_shot --name own --set model=folder:my_pipeline --set test_split=val

Every image is classified by itself (core/methods/diffusion/diffusion_classifier.py) with noise of its own, and is on
disk before the next one begins, so that a run that was stopped or killed loses one image at most. With `full_grid` no
prompt is eliminated, and what pruning would have saved is computed from the recorded errors, for several thresholds;
`denoising_differences.json` in the run's folder, put beside the pipeline's weights, is what its forecasts go by then.
Learn it on validation images, and measure on others.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch
from PIL import Image

from core.configs import check_options, option
from core.data.catalogue import read_dataset
from core.data.loading import decode_split
from core.data.prompts import check_template, fill_template
from core.data.transforms import Preprocessing, to_batch
from core.errors import ConfigError, CoreError
from core.experiments.diffusion_checkpoint import FinishedClassifications
from core.experiments.diffusion_results import compared_with, grid_columns, replayed, result_columns, summarise
from core.experiments.evaluation import (
    EvaluatedImages,
    accuracy_metrics,
    check_labels,
    choose_images,
    choose_labels,
    evaluated_splits,
    save_evaluation,
)
from core.experiments.run_precision import settle_precision
from core.files import write_json
from core.methods.accuracy.class_matching import match_classes
from core.methods.accuracy.confusion import accuracy
from core.methods.accuracy.same_images import answers
from core.methods.diffusion.denoising_error import Denoiser
from core.methods.diffusion.diffusion_batch import fitting_batch
from core.methods.diffusion.diffusion_classifier import Classification, classify, replay
from core.methods.diffusion.elimination_cost import plan_words
from core.methods.diffusion.forecast import fitting_covariance, learn_covariance
from core.methods.diffusion.sampling_plan import Plan
from core.models.denoising_differences import FILE, DifferenceCovariance, write_covariance
from core.models.diffusion import LatentDiffusion
from core.models.weights import load
from core.precision_choice import PrecisionChoice
from core.reports import Progress, still
from core.runs.store import RunFolder
from core.seeding import stream

CLASSIFIED = "classified"
# Images of a full grid from which a forecast is learned.
LEAST_TO_LEARN = 30


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which pipeline, which images, which words, and how they are classified."""

    model: str = option(
        "diffusion_small",
        "Model",
        "A text-to-image pipeline: of the catalogue, run:NAME, folder:PATH or hub:OWNER/NAME.",
    )
    dataset: str = option("cifar10", "Data set", "Any imported data set.")
    test_split: str = option(
        "",
        "Test on",
        "Splits joined by +; empty: test or val, or every domain. val: what trainings set aside where none is stored.",
    )
    images: int = option(
        100, "Images", "A random part of all of them, not stratified.", minimum=0, maximum=1_000_000, zero="all images"
    )
    template: str = option("a photo of a {}.", "Prompt", "One sentence with {} for the label.")
    labels: tuple[str, ...] = option(
        (), "Labels", "One for each class, in the order of the data set's classes; empty: its own names."
    )
    plan: Plan = field(default_factory=Plan)
    full_grid: bool = option(
        False, "Full grid", "Compute every sample for every prompt, and find from them what pruning would have cost."
    )
    compare_with: tuple[str, ...] = option(
        ("clip_small", "cnn_small"), "Compare with", "Models that answer the same images, one a line."
    )
    batch_size: int = option(0, "Batch size", "Latents in a pass.", minimum=0, maximum=8192, zero="measured: what fits")
    # Not auto: tables compare plans, and a run goes on with classifications that it has, maybe of another machine.
    precision: PrecisionChoice = option(
        "fp32", "Precision", "Of the network's matrix products. auto: bf16 where it was measured to be faster."
    )
    seed: int = option(0, "Seed", "Of the images; with the plan's seed, of each image's noise.", minimum=0)

    def __post_init__(self) -> None:
        check_options(self)
        check_template(self.template)
        check_labels(self.labels)
        if not all(isinstance(name, str) for name in self.compare_with):
            raise ConfigError(f"compare_with is {self.compare_with!r}; expected names of models.")


@dataclass(frozen=True, kw_only=True)
class ClassificationReport:
    """All classifications so far; `step` counts images.

    Attributes:
        mean_calls: evaluations of the network for an image, on average.
        image_seconds: of the last image.
    """

    step: int
    steps: int
    test_accuracy: float
    test_low: float
    test_high: float
    test_count: int
    mean_calls: float
    image_seconds: float


def run(config: Config, folder: RunFolder) -> Iterator[Progress | ClassificationReport]:
    """Classify image after image; `result.json` and `predictions.npz` in the folder hold what comes of it.

    Raises:
        CoreError: a model or the data set is not on this machine, or the network gives no numbers.
        IncompatibleError: the model generates no images, or one to compare with knows other classes.
        ConfigError: the number of labels is not that of the classes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("This classification is one process.", "Start several runs with other seeds instead.")
    yield Progress(step=0, steps=1, text="loading the model")
    place = folder.read_spec().device
    model = load(config.model, place)
    model.spec.require("text_to_image", "The diffusion classifier")
    module, preprocessing = cast(LatentDiffusion, model.module), model.network.preprocessing
    info = read_dataset(config.dataset)
    labels, tested = choose_labels(config.labels, info), evaluated_splits(config.test_split, info, carved=True)
    others = {name: load(name, place) for name in dict.fromkeys(config.compare_with)}
    for other in others.values():
        match_classes(other, info["classes"])
    for split in tested:
        yield from (replace(each, step=0, steps=1) for each in decode_split(config.dataset, split, preprocessing.size))
    pictures = choose_images(config.dataset, tested, preprocessing.size, config.images, config.seed)
    steps, said = len(pictures), {}
    for name, other in others.items():
        answering = answers(other, pictures, info["classes"], labels, config.template)
        said[name] = yield from still(answering, 0, steps)
    yield Progress(step=0, steps=steps, text=f"reading {len(labels):,} prompts")
    with torch.inference_mode():
        prompts = module.embed_prompts([fill_template(config.template, label) for label in labels])
    precision = module.computes_in(settle_precision(folder, config.precision, "inference").precision)
    denoise = module.denoiser(prompts, precision)
    batch_size = _batch_size(config, folder, denoise, _latent(module, pictures[0], preprocessing), len(labels))
    classifications = yield from _classify_all(
        config, folder, denoise, module, preprocessing, pictures, len(labels), batch_size
    )

    yield Progress(step=steps, steps=steps, text="comparing")
    schedule = len(module.alphas_cumprod)
    decided = [_decided(classification, config, schedule, module.differences) for classification in classifications]
    summary = {
        "model_title": model.spec.title,
        "dataset_title": info["title"],
        "labels": list(labels),
        "image_size": preprocessing.size,
        "template": config.template,
        "split": "+".join(tested),
        "of_images": sum(len(data) for data in pictures.data.values()),
        "seed": config.seed,
        "plan": asdict(config.plan),
        "plan_words": plan_words(config.plan),
        "forecast_learned": fitting_covariance(module.differences, config.plan).source,
        "full_grid": config.full_grid,
        "batch_size": batch_size,
        "precision": precision,
        "device": str(module.device),
        "threads": torch.get_num_threads(),
        **summarise(pictures.label, decided, classifications),
        "others": [
            compared_with(name, other.spec.title, pictures.label, decided, said[name]) for name, other in others.items()
        ],
    }
    if config.full_grid and len(labels) > 1:
        summary["replays"] = yield from replayed(
            classifications, pictures.label, config.plan, schedule, steps, module.differences
        )
        _learn(folder, config, summary, classifications, schedule)
    seeds = np.array([image_seed(config, place) for place in range(steps)], dtype=np.int64)
    where = {"split": pictures.split, "row": pictures.row, "label": pictures.label.astype(np.int64), "seed": seeds}
    columns = where | result_columns(decided, classifications, list(said.values()))
    save_evaluation(folder, config, summary, columns | grid_columns(classifications) if config.full_grid else columns)
    shutil.rmtree(folder.path / CLASSIFIED, ignore_errors=True)


def _classify_all(
    config: Config,
    folder: RunFolder,
    denoise: Denoiser,
    module: LatentDiffusion,
    preprocessing: Preprocessing,
    pictures: EvaluatedImages,
    prompts: int,
    batch_size: int,
) -> Generator[Progress | ClassificationReport, None, list[Classification]]:
    """Every picture classified, those of the folder first; each is on disk before the next one begins."""
    steps, schedule = len(pictures), len(module.alphas_cumprod)
    if (old := folder.path / "races").is_dir():  # as an earlier version called it
        old.rename(folder.path / CLASSIFIED)
    store = FinishedClassifications(
        path=folder.path / CLASSIFIED,
        plan=_run_plan(config, prompts),
        schedule=schedule,
        covariance=module.differences,
    )
    classifications = store.read(steps) if folder.checkpoint.is_file() else []
    folder.truncate_metrics(len(classifications))
    while len(classifications) < steps:
        latent = _latent(module, pictures[len(classifications)], preprocessing)
        plan = replace(store.plan, seed=image_seed(config, len(classifications)))
        looks = classify(
            denoise,
            latent,
            prompts,
            module.alphas_cumprod,
            plan,
            batch_size=batch_size,
            covariance=module.differences,
        )
        classification = yield from _watched(looks, pictures.label, classifications, steps)
        classifications.append(classification)
        try:
            yield _report(pictures.label, classifications, steps)
        except GeneratorExit:
            # The line of metrics is written: the classification it speaks of must be there too.
            store.write(len(classifications) - 1, classification)
            raise
        store.write(len(classifications) - 1, classification)
    return classifications


def image_seed(config: Config, place: int) -> int:
    """The seed of an image's samples: its own, so that what chance does to one image says nothing about the next."""
    return int(stream("seed of a race", config.plan.seed, config.seed, place).integers(2**31))


def _run_plan(config: Config, prompts: int) -> Plan:
    """What really runs: the plan, or all of its samples for all prompts."""
    if not config.full_grid or prompts < 2:
        return config.plan
    return replace(config.plan, pruning="none", samples=config.plan.most_samples)


def _decided(
    classification: Classification, config: Config, schedule: int, covariance: DifferenceCovariance | None
) -> Classification:
    """The classification as the plan has it: as it was run, or replayed from the full grid."""
    if not config.full_grid or classification.noise_error.shape[1] < 2:
        return classification
    found = replay(
        classification.noise_error,
        classification.reconstruction_error,
        classification.time_steps,
        config.plan,
        schedule,
        covariance,
    )
    return replace(found, seconds=classification.seconds, batches=classification.batches)


def _learn(
    folder: RunFolder, config: Config, summary: dict[str, Any], classifications: list[Classification], schedule: int
) -> None:
    """Write down what a forecast needs to know of this pipeline: put beside its weights, the next run uses it."""
    if config.plan.distance != "l2" or len(classifications) < LEAST_TO_LEARN:
        return
    errors = np.stack([each.noise_error for each in classifications])
    steps = np.stack([each.time_steps for each in classifications])
    source = f"{len(errors):,} images of {summary['dataset_title']}, {summary['split']}, seed {config.seed}"
    with suppress(ConfigError):  # too few samples for some part of the schedule: there is nothing to learn
        write_covariance(folder.path / FILE, learn_covariance(errors, steps, schedule, source))


def _latent(module: LatentDiffusion, picture: np.ndarray, preprocessing: Preprocessing) -> torch.Tensor:
    with torch.inference_mode():
        return module.encode(to_batch([Image.fromarray(picture)], preprocessing))[0]


def _batch_size(config: Config, folder: RunFolder, denoise: Denoiser, latent: torch.Tensor, prompts: int) -> int:
    """The config's, or what was measured when the run began: the same after a resumption, to the last bit of a sum."""
    if folder.checkpoint.is_file():
        try:
            return int(json.loads(folder.checkpoint.read_text(encoding="utf-8"))["batch_size"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CoreError(
                f"The run {folder.name!r} cannot go on from its checkpoint ({error}).",
                f"Delete {folder.checkpoint} to begin anew.",
            ) from error
    most = prompts * max(config.plan.least_samples, config.plan.look_every)
    size = config.batch_size or fitting_batch(denoise, latent, most=most, key=(config.model, config.precision))
    write_json(folder.checkpoint, {"batch_size": size})
    return size


def _watched(
    looks: Generator[Classification, None, Classification], labels: np.ndarray, before: list[Classification], steps: int
) -> Generator[Progress, None, Classification]:
    """One image's classification to its end; says where it is, and how the others went."""
    place, classification = len(before), None
    right = sum(int(each.predicted == label) for each, label in zip(before, labels, strict=False))
    so_far = f"{right:,} of {place:,} right · " if place else ""
    for classification in looks:
        left = f"{len(classification.alive)} of {classification.noise_error.shape[1]} prompts left"
        text = f"{so_far}image {place + 1:,} of {steps:,}: {classification.step} samples, {left}"
        yield Progress(step=place, steps=steps, text=text)
    assert classification is not None
    return classification


def _report(labels: np.ndarray, classifications: list[Classification], steps: int) -> ClassificationReport:
    right = accuracy(
        labels[: len(classifications)], np.array([classification.predicted for classification in classifications])
    )
    return ClassificationReport(
        step=len(classifications),
        steps=steps,
        **accuracy_metrics(right),
        mean_calls=float(np.mean([classification.calls for classification in classifications])),
        image_seconds=classifications[-1].seconds,
    )
