"""Evaluating a model under manipulations against its bare forward passes on images that are ready for it.

python -m benchmarks.stress [--models cnn_small,vit_p4,clip_small] [--images 2000] [--repeats 5] [--threads 1]

Bare: `module(images)` (of a CLIP: `embed`), 64 a batch, on normalised tensors of the right size that are in memory.
Ours: everything that the recipe does from bytes to answers, with nothing kept from before: the manipulation, the
rounding to bytes, resizing, normalising, the scores, the file with the answers. Several models share the making of an
image, as they do on the page; alone, each pays for it by itself. Timings are interleaved; ratios are of medians, and
of processor seconds, which other programs on the machine disturb less.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.report import machine, parse, write
from core.data.catalogue import read_dataset
from core.data.loading import limit_images, load_images
from core.data.prompts import dataset_labels
from core.data.transforms import standardise
from core.experiments import stress
from core.experiments.stress_models import open_model
from core.methods.biases.asking import Asked, ask_models
from core.methods.embeddings.features import resized
from core.methods.manipulations.steps import parse_steps
from core.models.weights import load
from core.reports import finish

BATCH = 64
CONDITIONS = ("", "grey:100", "noise_patch:128", "scramble:4", "elastic:4", "blur:1", "noise:40")


def bare(asked: Asked, ready: torch.Tensor) -> None:
    """The forward passes alone."""
    module: Any = asked.module
    forward = module.embed if hasattr(module, "embed_texts") else module
    with torch.inference_mode():
        for start in range(0, len(ready), BATCH):
            forward(ready[start : start + BATCH])


def ready_for(asked: Asked, images: np.ndarray) -> torch.Tensor:
    """Images as the network gets them."""
    pixels = resized(torch.from_numpy(images), asked.preprocessing.size)
    return standardise(pixels, asked.preprocessing.normalisation)


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/stress.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="cnn_small,vit_p4,differential_vit_p4,clip_small")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parse(parser, words, images=32, repeats=1)
    torch.set_num_threads(arguments.threads)
    where, names = machine(), tuple(arguments.models.split(","))
    info = read_dataset(arguments.dataset)
    classes, labels = info["classes"], dataset_labels(info["classes"], info.get("class_titles"))
    models = [open_model(load(name), classes, labels, stress.Config()) for name in names]
    images = np.array(limit_images(load_images(arguments.dataset, "test", 32), arguments.images).images)
    ready = [ready_for(model, images) for model in models]

    def ours(chosen: list[Asked], text: str) -> None:
        with tempfile.TemporaryDirectory(prefix="vitrine-benchmark-") as kept:
            keys = range(len(images))
            finish(ask_models(chosen, images, keys, parse_steps(text), seed=0, batch_size=BATCH, kept=Path(kept)))

    works: dict[str, Callable[[], object]] = {
        f"bare {name}": partial(bare, model, tensor) for name, model, tensor in zip(names, models, ready, strict=True)
    }
    for text in CONDITIONS:
        works[f"all {text}"] = partial(ours, models, text)
        for name, model in zip(names, models, strict=True):
            works[f"{name} {text}"] = partial(ours, [model], text)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for work in works.values():  # warm-up
        work()
    for _ in range(arguments.repeats):
        for name, work in works.items():
            taken[name].append(seconds_of(work))
    medians = {name: [statistics.median(each) for each in zip(*values, strict=True)] for name, values in taken.items()}
    every = [sum(medians[f"bare {name}"][kind] for name in names) for kind in (0, 1)]
    share = {
        text or "none": {
            "all": [each / whole for each, whole in zip(every, medians[f"all {text}"], strict=True)],
            **{
                name: [each / one for each, one in zip(medians[f"bare {name}"], medians[f"{name} {text}"], strict=True)]
                for name in names
            },
        }
        for text in CONDITIONS
    }
    write(
        "stress",
        {
            "command": f"python -m benchmarks.stress --images {arguments.images} --repeats {arguments.repeats} "
            f"--threads {arguments.threads}",
            "dataset": info["title"],
            "images": len(images),
            "batch": BATCH,
            "repeats": arguments.repeats,
            "bare_images_per_second": {name: len(images) / medians[f"bare {name}"][0] for name in names},
            "share_of_bare_wall_and_processor": share,
            "median_seconds_wall_and_processor": medians,
            "machine": where,
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
