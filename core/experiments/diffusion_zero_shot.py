"""How many images a text-to-image diffusion model names right by denoising them under the name of every class.

    python -m core train diffusion_zero_shot --name races                        100 CIFAR-10 test images
    python -m core train diffusion_zero_shot --name prunes --set images=300 --set full_grid=true
    python -m core train diffusion_zero_shot --name own --set model=folder:my_pipeline --set test_split=val

Every image is a race of its own (core/methods/diffusion/diffusion_classifier.py) with noise of its own. A finished race
is on disk before the next one begins, so that a run that was stopped or killed loses one image at most. With
`full_grid` no prompt leaves a race, and what pruning would have saved is computed from the recorded errors, for several
thresholds.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image

from core.configs import check_options, option
from core.data.arrays import ArrayDataset
from core.data.catalogue import read_dataset
from core.data.loading import decode_split, load_images
from core.data.prompts import check_template, fill_template
from core.data.transforms import Preprocessing, to_batch
from core.errors import ConfigError, CoreError
from core.experiments.run_precision import settle_precision
from core.experiments.zero_shot import choose_labels, evaluated_splits
from core.files import replaced, write_atomically, write_json
from core.methods.accuracy.confusion import Accuracy, accuracy, class_accuracies, confusion_matrix
from core.methods.accuracy.paired import paired
from core.methods.accuracy.same_images import answers, class_order
from core.methods.diffusion.diffusion_batch import fitting_batch
from core.methods.diffusion.diffusion_classifier import Denoiser, Plan, Race, classify, other_objective, replay
from core.methods.diffusion.race_evaluation import plan_words, replay_all, replayed_plans, trail
from core.models.diffusion import LatentDiffusion
from core.models.spec import LoadedModel
from core.models.weights import load
from core.precision_choice import PrecisionChoice
from core.reports import Progress, still
from core.runs.store import RunFolder
from core.seeding import published_stream, stream

RESULT, PREDICTIONS, RACES = "result.json", "predictions.npz", "races"
QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which pipeline, which images, which words, and how their races are run."""

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
        100, "Images", "A random part of all of them, not stratified; 0 is all.", minimum=0, maximum=1_000_000
    )
    template: str = option("a photo of a {}.", "Prompt", "One sentence with {} for the label.")
    labels: tuple[str, ...] = option(
        (), "Labels", "One for each class, in the order of the data set's classes; empty: its own names."
    )
    plan: Plan = field(default_factory=Plan)
    full_grid: bool = option(
        False, "Full grid", "Compute every draw for every prompt, and find from them what pruning would have cost."
    )
    compare_with: tuple[str, ...] = option(
        ("clip_small", "cnn_small"), "Compare with", "Models that answer the same images, one a line."
    )
    batch_size: int = option(0, "Batch size", "Latents in a pass; 0 measures what fits.", minimum=0, maximum=8192)
    # Not auto: tables compare plans, and a run goes on with races that it has, maybe of another machine.
    precision: PrecisionChoice = option(
        "fp32", "Precision", "Of the network's matrix products. auto: bf16 where it was measured to be faster."
    )
    seed: int = option(0, "Seed", "Of the images; with the plan's seed, of each image's noise.", minimum=0)

    def __post_init__(self) -> None:
        check_options(self)
        check_template(self.template)
        if len({label.casefold() for label in self.labels}) < len(self.labels):
            raise ConfigError("A label occurs twice.", "Give every class a label of its own.")
        if not all(isinstance(name, str) for name in self.compare_with):
            raise ConfigError(f"compare_with is {self.compare_with!r}; expected names of models.")


@dataclass(frozen=True, kw_only=True)
class RaceReport:
    """All races so far; `step` counts images.

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


@dataclass(frozen=True, kw_only=True)
class _Pictures:
    """The chosen images in the order in which they are raced, a random one: what is true of the first is of all."""

    data: dict[str, ArrayDataset]
    split: np.ndarray
    row: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, place: int) -> np.ndarray:
        return np.asarray(self.data[str(self.split[place])].images[int(self.row[place])])


def run(config: Config, folder: RunFolder) -> Iterator[Progress | RaceReport]:
    """Race image after image; `result.json` and `predictions.npz` in the folder hold what comes of it.

    Raises:
        CoreError: a model or the data set is not on this machine, or the network gives no numbers.
        IncompatibleError: the model generates no images, or one to compare with knows other classes.
        ConfigError: the number of labels is not that of the classes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("These races are one process.", "Start several runs with other seeds instead.")
    yield Progress(step=0, steps=1, text="loading the model")
    place = folder.read_spec().device
    model = load(config.model, place)
    model.spec.require("text_to_image", "The diffusion classifier")
    module, preprocessing = cast(LatentDiffusion, model.module), model.network.preprocessing
    info = read_dataset(config.dataset)
    labels, tested = choose_labels(config.labels, info), evaluated_splits(config.test_split, info, carved=True)
    others = [load(name, place) for name in dict.fromkeys(config.compare_with)]
    for other in others:
        class_order(other, info["classes"])
    for split in tested:
        yield from (replace(each, step=0, steps=1) for each in decode_split(config.dataset, split, preprocessing.size))
    pictures = choose_pictures(config, tested, preprocessing.size)
    steps = len(pictures)
    said = {}
    for name, other in zip(dict.fromkeys(config.compare_with), others, strict=True):
        answering = answers(other, pictures, info["classes"], labels, config.template)  # type: ignore[arg-type]
        said[name] = yield from still(answering, 0, steps)
    yield Progress(step=0, steps=steps, text=f"reading {len(labels):,} prompts")
    with torch.inference_mode():
        prompts = module.embed_prompts([fill_template(config.template, label) for label in labels])
    precision = settle_precision(folder, config.precision, "inference").precision
    denoise = module.denoiser(prompts, precision)
    store = _Store(path=folder.path / RACES, plan=_run_plan(config, len(labels)), schedule=len(module.alphas_cumprod))
    races = store.read(steps) if folder.checkpoint.is_file() else []
    folder.truncate_metrics(len(races))
    batch_size = _batch_size(config, folder, denoise, _latent(module, pictures[0], preprocessing), len(labels))
    while len(races) < steps:
        latent = _latent(module, pictures[len(races)], preprocessing)
        plan = replace(store.plan, seed=image_seed(config, len(races)))
        looks = classify(denoise, latent, len(labels), module.alphas_cumprod, plan, batch_size=batch_size)
        race = yield from _watched(looks, pictures.label, races, steps)
        races.append(race)
        try:
            yield _report(pictures.label, races, steps)
        except GeneratorExit:
            # The line of metrics is written: the race it speaks of must be there too.
            store.write(len(races) - 1, race)
            raise
        store.write(len(races) - 1, race)

    yield Progress(step=steps, steps=steps, text="comparing")
    decided = [_decided(race, config, len(module.alphas_cumprod)) for race in races]
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
        "full_grid": config.full_grid,
        "batch_size": batch_size,
        "precision": precision,
        "device": str(module.device),
        "threads": torch.get_num_threads(),
        **_summary(pictures.label, decided, races),
        "others": [
            _compared(name, other, pictures.label, decided, said[name])
            for name, other in zip(said, others, strict=True)
        ],
    }
    if config.full_grid and len(labels) > 1:
        summary["replays"] = yield from _replays(races, pictures.label, config.plan, len(module.alphas_cumprod), steps)
    _save(folder, config, summary, _columns(config, pictures, decided, races, said), races)
    shutil.rmtree(folder.path / RACES, ignore_errors=True)


def choose_pictures(config: Config, splits: tuple[str, ...], size: int) -> _Pictures:
    """The images that a run is about, in the order of their races: the first 100 of 300 are those that 100 would be."""
    data = {split: load_images(config.dataset, split, size) for split in splits}
    names = np.concatenate([np.full(len(each), split) for split, each in data.items()])
    rows = np.concatenate([np.arange(len(each)) for each in data.values()])
    truth = np.concatenate([np.asarray(each.labels) for each in data.values()])
    if not len(rows):
        raise ConfigError(f"There are no images in {'+'.join(splits)} of {config.dataset}.", "Choose another split.")
    chosen = published_stream("tested pictures", config.seed).permutation(len(rows))[: config.images or None]
    return _Pictures(data=data, split=names[chosen], row=rows[chosen], label=truth[chosen])


def image_seed(config: Config, place: int) -> int:
    """The seed of an image's race: its own, so that what chance does to one image says nothing about the next."""
    return int(stream("seed of a race", config.plan.seed, config.seed, place).integers(2**31))


@dataclass(frozen=True, kw_only=True)
class _Store:
    """Finished races on disk, a file each: what a run goes on from."""

    path: Path
    plan: Plan
    schedule: int

    def write(self, place: int, race: Race) -> None:
        """Keep the errors; all else follows from them."""
        with replaced(self._file(place)) as file:
            np.savez_compressed(
                file,
                allow_pickle=False,
                noise_error=race.noise_error,
                reconstruction_error=race.reconstruction_error,
                time_steps=race.time_steps,
                spent=np.array([race.seconds, race.batches]),
            )

    def read(self, most: int) -> list[Race]:
        """The races up to the first that is missing or damaged."""
        found: list[Race] = []
        while len(found) < most:
            try:
                with np.load(self._file(len(found)), allow_pickle=False) as stored:
                    errors = (stored["noise_error"], stored["reconstruction_error"], stored["time_steps"])
                    race = replay(*errors, self.plan, self.schedule)
                    seconds, batches = stored["spent"]
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, ConfigError):
                break
            found.append(replace(race, seconds=float(seconds), batches=int(batches)))
        return found

    def _file(self, place: int) -> Path:
        return self.path / f"{place:06d}.npz"


def _run_plan(config: Config, prompts: int) -> Plan:
    """What really runs: the plan, or all of its draws for all prompts."""
    if not config.full_grid or prompts < 2:
        return config.plan
    return replace(config.plan, pruning="none", draws=config.plan.most_draws)


def _decided(race: Race, config: Config, schedule: int) -> Race:
    """The race as the plan has it: as it was run, or replayed from the full grid."""
    if not config.full_grid or race.noise_error.shape[1] < 2:
        return race
    found = replay(race.noise_error, race.reconstruction_error, race.time_steps, config.plan, schedule)
    return replace(found, seconds=race.seconds, batches=race.batches)


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
    most = prompts * max(config.plan.least_draws, config.plan.look_every)
    size = config.batch_size or fitting_batch(denoise, latent, most=most, key=(config.model, config.precision))
    write_atomically(folder.checkpoint, json.dumps({"batch_size": size}))
    return size


def _watched(
    looks: Generator[Race, None, Race], labels: np.ndarray, before: list[Race], steps: int
) -> Generator[Progress, None, Race]:
    """One image's race to its end; says where it is, and how the others went."""
    place, race = len(before), None
    right = sum(int(each.winner == label) for each, label in zip(before, labels, strict=False))
    so_far = f"{right:,} of {place:,} right · " if place else ""
    for race in looks:
        left = f"{len(race.alive)} of {race.noise_error.shape[1]} prompts left"
        text = f"{so_far}image {place + 1:,} of {steps:,}: {race.step} draws, {left}"
        yield Progress(step=place, steps=steps, text=text)
    assert race is not None
    return race


def _report(labels: np.ndarray, races: list[Race], steps: int) -> RaceReport:
    right = accuracy(labels[: len(races)], np.array([race.winner for race in races]))
    low, high = right.interval
    return RaceReport(
        step=len(races),
        steps=steps,
        test_accuracy=right.value,
        test_low=low,
        test_high=high,
        test_count=right.count,
        mean_calls=float(np.mean([race.calls for race in races])),
        image_seconds=races[-1].seconds,
    )


def _summary(labels: np.ndarray, decided: list[Race], races: list[Race]) -> dict[str, Any]:
    """Accuracy and cost; seconds are those of what was really run."""
    said = np.array([race.winner for race in decided])
    other = other_objective(decided[0].objective)
    elsewhere = np.array([race.order(other)[0] for race in decided])
    prompts = decided[0].noise_error.shape[1]
    full_grid = prompts * decided[0].steps
    calls = np.array([race.calls for race in decided])
    classes = class_accuracies(confusion_matrix(labels, said, prompts))
    return {
        "test": _figures(accuracy(labels, said)),
        "classes": [_figures(right) for right in classes],
        "calls": {**_distribution(calls), "full_grid": full_grid, "saved": full_grid / float(calls.mean())},
        "image_seconds": _distribution(np.array([race.seconds for race in races])),
        "call_seconds": sum(race.seconds for race in races) / sum(race.calls for race in races),
        "other_objective": {
            "objective": other,
            **_figures(accuracy(labels, elsewhere)),
            "same_answer": _figures(accuracy(said, elsewhere)),
        },
    }


def _figures(right: Accuracy) -> dict[str, float | int]:
    low, high = right.interval
    return {"accuracy": right.value, "low": low, "high": high, "correct": right.correct, "count": right.count}


def _distribution(values: np.ndarray) -> dict[str, float]:
    """Mean, extremes and quantiles."""
    quantiles = {f"quantile_{share:g}": float(np.quantile(values, share)) for share in QUANTILES}
    return {"mean": float(values.mean()), **quantiles, "min": float(values.min()), "max": float(values.max())}


def _compared(
    name: str, model: LoadedModel, labels: np.ndarray, decided: list[Race], said: np.ndarray
) -> dict[str, Any]:
    """Another model on the same images, beside the races."""
    found = paired(labels, np.array([race.winner for race in decided]), said)
    return {
        "model": name,
        "title": model.spec.title,
        **_figures(accuracy(labels, said)),
        "both": found.both,
        "only_race": found.only_first,
        "only_other": found.only_second,
        "neither": found.neither,
        "p_value": found.p_value,
        "difference": found.difference,
    }


def _replays(
    races: list[Race], labels: np.ndarray, plan: Plan, schedule: int, steps: int
) -> Generator[Progress, None, list[dict[str, Any]]]:
    """What the plan, other thresholds and stages would have cost, and how often they agree with the full grid."""
    rows = []
    for each in replayed_plans(plan, races[0].noise_error.shape[1]):
        yield Progress(step=steps, steps=steps, text=f"replaying the races: {plan_words(each)}")
        found = replay_all(races, labels, each, schedule)
        rows.append(
            {
                "plan": asdict(each),
                "words": plan_words(each),
                "calls": found.calls,
                "saved": found.saved,
                "same": _figures(found.same),
                "test": _figures(found.right),
            }
        )
    return rows


def _columns(
    config: Config, pictures: _Pictures, decided: list[Race], races: list[Race], said: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """A row for each image, in the order of the races."""
    trails = [trail(race) for race in decided]
    other = other_objective(config.plan.objective)
    classes = np.int16 if len(decided[0].order()) < 2**15 else np.int32
    return {
        "split": pictures.split,
        "row": pictures.row,
        "label": pictures.label.astype(np.int64),
        "predicted": np.array([race.winner for race in decided], dtype=np.int64),
        "other_objective": np.array([race.order(other)[0] for race in decided], dtype=np.int64),
        "calls": np.array([race.calls for race in decided], dtype=np.int64),
        "seconds": np.array([race.seconds for race in races]),
        "seed": np.array([image_seed(config, place) for place in range(len(pictures))], dtype=np.int64),
        "leader": np.stack([leaders for leaders, _ in trails]).astype(classes),
        "calls_by_draw": np.stack([calls for _, calls in trails]).astype(np.int32),
        "compared": np.stack(list(said.values())) if said else np.zeros((0, len(pictures)), dtype=np.int64),
    }


def _save(
    folder: RunFolder, config: Config, summary: dict[str, Any], columns: dict[str, np.ndarray], races: list[Race]
) -> None:
    """Write every answer (and of a full grid every error), and then the summary, which says that all is there."""
    if config.full_grid:
        columns = columns | {
            "noise_error": np.stack([race.noise_error for race in races]),
            "reconstruction_error": np.stack([race.reconstruction_error for race in races]),
            "time_steps": np.stack([race.time_steps for race in races]),
        }
    with replaced(folder.path / PREDICTIONS) as file:
        np.savez_compressed(file, allow_pickle=False, **columns)
    facts = {"model": config.model, "dataset": config.dataset, "command": folder.read_spec().command(folder.name)}
    write_json(folder.path / RESULT, {**facts, **summary})
