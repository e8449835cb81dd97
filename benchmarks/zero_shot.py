"""Zero-shot evaluation of a data set against the plain open_clip loop: same model, same images, same labels.

python -m benchmarks.zero_shot [--dataset cifar10] [--split test] [--images 2000] [--repeats 3] [--threads 2]

The loop is the obvious one: a Dataset that opens and transforms each image with open_clip's own transform, a
DataLoader of 64 a batch (without workers, and with two), `encode_image`, and a product with the weights of
`build_zero_shot_classifier`, on as many threads as PyTorch takes by itself. Ours starts from an empty cache (first),
from kept images of the right size (decoded; only for folders of photos), and from kept features with other labels
(again). Below all of them lies the bare encoder (bare): batches that are ready, and nothing else. `first_auto` takes
the precision that the probe of this machine finds. Timings are interleaved and leave out loading the model; reading the
labels is in all but bare. Ratios are of medians, those over bare medians of ratios within a round. CPU seconds include
workers.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks.report import machine, parse, write
from core.data.arrays import ArrayDataset
from core.data.catalogue import list_files, read_dataset
from core.data.loading import decode_split, limit_images, load_images
from core.data.prompts import SEVEN_TEMPLATES, dataset_labels
from core.device import Streams
from core.methods.clip.zero_shot import Scale, text_classifier, zero_shot_scores
from core.methods.embeddings.features import extract_features
from core.models.catalogue import find_model
from core.models.spec import LoadedModel
from core.models.weights import load, resolve
from core.paths import cache_root
from core.precision_choice import PrecisionChoice, choose_precision
from core.reports import finish

BATCH = 64


class PlainDataset(Dataset[Any]):
    """Images one by one, as every tutorial writes it: open, transform."""

    def __init__(self, sources: list[Any], transform: Callable[[Image.Image], torch.Tensor]) -> None:
        self.sources, self.transform = sources, transform

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> torch.Tensor:
        source = self.sources[index]
        image = Image.fromarray(source) if isinstance(source, np.ndarray) else Image.open(source)
        return self.transform(image)


def plain_loop(reference: Any, tokenizer: Any, data: PlainDataset, labels: list[str], workers: int) -> np.ndarray:
    """(images, labels) logits."""
    import open_clip

    weights = open_clip.build_zero_shot_classifier(reference, tokenizer, labels, SEVEN_TEMPLATES)
    logits = []
    with torch.no_grad():
        for images in DataLoader(data, batch_size=BATCH, num_workers=workers):
            features = reference.encode_image(images, normalize=True)
            logits.append(reference.logit_scale.exp() * features @ weights)
    return torch.cat(logits).numpy()


def ours(
    model: LoadedModel, name: str, data: ArrayDataset, labels: list[str], precision: PrecisionChoice = "fp32"
) -> np.ndarray:
    """(images, labels) logits, by what the recipe calls."""
    preprocessing = model.network.preprocessing
    module: Any = model.module
    weights = text_classifier(module, labels, SEVEN_TEMPLATES)
    features = finish(
        extract_features(
            module,
            data,
            model=name,
            size=preprocessing.size,
            normalisation=preprocessing.normalisation,
            poolings=("embedding",),
            batch_size=BATCH,
            precision=precision,
            side_by_side=True,
        )
    )["embedding"]
    return zero_shot_scores(features.vectors, weights, labels, Scale.of(module)).logits


def bare(model: LoadedModel, ready: list[torch.Tensor]) -> None:
    """What no evaluation can do without; batches side by side, as ours are."""
    device, module = torch.device("cpu"), cast(Any, model.module)

    def encode(images: torch.Tensor) -> None:
        with torch.inference_mode():
            module.embed(images)

    with Streams(device) as streams:
        streams.map(encode, ready)


def on_one_thread(work: Callable[..., np.ndarray], *arguments: Any) -> np.ndarray:
    """`work` while PyTorch uses one thread for each operation."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return work(*arguments)
    finally:
        torch.set_num_threads(threads)


def measured(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall seconds, CPU seconds (workers included), result."""
    cpu, wall = _cpu_seconds(), time.perf_counter()
    result = work()
    return time.perf_counter() - wall, _cpu_seconds() - cpu, result


def _cpu_seconds() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/zero_shot_DATASET.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="clip_small")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parse(parser, words, images=16, repeats=1, threads=1)
    torch.set_num_threads(arguments.threads)
    where = machine()
    import open_clip

    folder = resolve(find_model(arguments.model))
    reference, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    reference.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model = load(arguments.model)
    info = read_dataset(arguments.dataset)
    labels = list(dataset_labels(info["classes"], info.get("class_titles")))
    others = [f"{label} or so" for label in labels]
    size = model.network.preprocessing.size
    photos = info["storage"] == "folder"
    with tempfile.TemporaryDirectory(prefix="vitrine-benchmark-") as home:
        # What is kept goes into an own folder; the data sets stay where they are.
        os.environ.setdefault("VITRINE_DATA", str(Path(os.environ.get("VITRINE_HOME", "~/.vitrine")) / "data"))
        os.environ["VITRINE_HOME"] = home
        seen = limit_images(load_images(arguments.dataset, arguments.split, size), arguments.images)
        if photos:
            sources: list[Any] = [path for path, _ in list_files(arguments.dataset, arguments.split)]
            assert len(sources) == len(seen), "compare all photos of a split, none of them broken"
        else:
            sources = list(seen.images[:])
        plain = PlainDataset(sources, transform)

        def first(precision: PrecisionChoice = "fp32") -> np.ndarray:
            for kept in cache_root().glob("*"):
                if kept.name != "precision":  # measured once for a machine, not for an evaluation
                    shutil.rmtree(kept, ignore_errors=True)
            for _ in decode_split(arguments.dataset, arguments.split, size):
                pass
            return again_with(labels, precision)

        def decoded() -> np.ndarray:
            shutil.rmtree(cache_root() / "features", ignore_errors=True)
            return again_with(labels)

        def again_with(words: list[str], precision: PrecisionChoice = "fp32") -> np.ndarray:
            data = limit_images(load_images(arguments.dataset, arguments.split, size), arguments.images)
            return ours(model, arguments.model, data, words, precision)

        variants: dict[str, Callable[[], np.ndarray]] = {
            "plain_loop": lambda: plain_loop(reference, tokenizer, plain, labels, 0),
            "plain_loop_2_workers": lambda: plain_loop(reference, tokenizer, plain, labels, 2),
            # Nobody writes this one; it tells what threads that wait for each other cost.
            "plain_loop_one_thread": lambda: on_one_thread(plain_loop, reference, tokenizer, plain, labels, 0),
            "first_bf16": lambda: first("bf16"),
            "first_auto": lambda: first("auto"),
            "first": first,
            **({"decoded": decoded} if photos else {}),
            "again": lambda: again_with(others),
        }
        wall: dict[str, list[float]] = {name: [] for name in variants}
        cpu: dict[str, list[float]] = {name: [] for name in variants}
        logits: dict[str, np.ndarray] = {}
        plain_loop(reference, tokenizer, PlainDataset(sources[:BATCH], transform), labels, 0)  # warm-up
        chosen = choose_precision("auto", torch.device("cpu"), "inference")
        ready = list(DataLoader(plain, batch_size=BATCH))
        wall["bare"], cpu["bare"] = [], []
        for _ in range(arguments.repeats):
            seconds, cpu_seconds, _ = measured(lambda: bare(model, ready))
            wall["bare"].append(seconds)
            cpu["bare"].append(cpu_seconds)
            for name, work in variants.items():
                seconds, cpu_seconds, logits[name] = measured(work)
                wall[name].append(seconds)
                cpu[name].append(cpu_seconds)
    medians = {name: statistics.median(values) for name, values in wall.items()}
    best_plain = min(medians["plain_loop"], medians["plain_loop_2_workers"])
    expected = logits["plain_loop"]
    write(
        f"zero_shot_{arguments.dataset}",
        {
            "model": arguments.model,
            "dataset": info["title"],
            "images": len(seen),
            "labels": len(labels),
            "batch": BATCH,
            "threads": arguments.threads,
            "repeats": arguments.repeats,
            "seconds": wall,
            "median_seconds": medians,
            "median_cpu_seconds": {name: statistics.median(values) for name, values in cpu.items()},
            "speedup_over_the_better_plain_loop": {
                name: best_plain / value for name, value in medians.items() if not name.startswith("plain")
            },
            "cpu_seconds_over_bare": {
                name: statistics.median(a / b for a, b in zip(values, cpu["bare"], strict=True))
                for name, values in cpu.items()
            },
            "auto": asdict(chosen),
            "same_answer_as_plain_loop": {
                name: float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())
                for name, found in logits.items()
                if name != "again"
            },
            "largest_logit_difference": {
                name: float(np.abs(found - expected).max()) for name, found in logits.items() if name != "again"
            },
            "machine": {**where, "load_after": [round(value, 2) for value in os.getloadavg()]},
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
