"""Stylised images: how many a minute, what a batch saves, and who still recognises them.

python -m benchmarks.style [--network cnn_small --network efficientnet_lite0] [--images 100] [--size 64] [--steps 100]

For every network of features a set is made by the recipe `stylise`, under a name of its own, and every model is asked
about the very images before and after. "Before" is what the transfer began with, at the same size, so that enlarging
is no part of the difference. A network that made the set knows its layers from inside: compare models on a set that
none of them made. `images_per_minute` is of the steps alone, by the clock; a processor's minute does not depend on
what else the machine does, and has decoding and importing in it.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.report import machine, parse, write
from core.data.catalogue import read_dataset
from core.data.loading import load_images
from core.data.pictures import open_picture
from core.data.prompts import dataset_labels
from core.experiments import stylise
from core.intervals import wilson_interval
from core.launch.execute import execute
from core.methods.accuracy.paired import paired
from core.methods.accuracy.same_images import answers
from core.methods.style_transfer.networks import FeatureNetwork, feature_network
from core.methods.style_transfer.pictures import covered
from core.methods.style_transfer.transfer import StyleSettings, transfer_style
from core.models.weights import load
from core.reports import finish
from core.runs.store import RunSpec, create_run

MODELS = ("vit_p4", "differential_vit_p4", "cnn_small", "clip_small")
TEMPLATE = "a photo of a {}."


def make_set(name: str, config: stylise.Config) -> dict[str, Any]:
    """Run the recipe; how long it took."""
    run = create_run(name, RunSpec.of("stylise", config, device="cpu"))
    began, worked = time.perf_counter(), time.process_time()
    reports = [report for report in execute(run) if isinstance(report, stylise.BatchReport)]
    seconds = sum(report.count / report.images_per_second for report in reports)
    images, worked = sum(report.count for report in reports), time.process_time() - worked
    return {
        "command": run.read_spec().command(name),
        "images": images,
        "images_per_minute": 60 * images / seconds,
        "seconds_in_all": time.perf_counter() - began,
        "images_per_processor_minute": 60 * images / worked,
        "style_loss_before": float(np.mean([report.start_style_loss for report in reports])),
        "style_loss_after": float(np.mean([report.style_loss for report in reports])),
        "content_loss_after": float(np.mean([report.content_loss for report in reports])),
    }


def batch_gain(network: FeatureNetwork, content: np.ndarray, style: np.ndarray, steps: int) -> dict[str, float]:
    """Seconds of one batch, and of its pictures one after the other."""
    settings = StyleSettings(steps=steps)
    seconds = {}
    for way, parts in {"batch": [content], "one_by_one": list(content[:, None])}.items():
        began = time.process_time()
        for part in parts:
            finish(transfer_style(network, part, style, settings))
        seconds[f"{way}_processor_seconds"] = time.process_time() - began
    return seconds | {"ratio": seconds["one_by_one_processor_seconds"] / seconds["batch_processor_seconds"]}


def compare(
    name: str, before: np.ndarray, after: np.ndarray, labels: np.ndarray, info: dict[str, Any]
) -> dict[str, Any]:
    """A model's accuracy before and after, of the same images."""
    model, classes = load(name), info["classes"]
    named = dataset_labels(classes, info.get("class_titles"))
    said = [finish(answers(model, list(each), classes, named, TEMPLATE)) for each in (before, after)]
    both, right = paired(labels, *said), [int((each == labels).sum()) for each in said]
    chance, shares = 1 / len(classes), [count / len(labels) for count in right]
    drop, low, high = both.difference
    return {
        "title": model.spec.title,
        "clean": [shares[0], *wilson_interval(right[0], len(labels))],
        "stylised": [shares[1], *wilson_interval(right[1], len(labels))],
        "drop": [drop, low, high],
        "p_value": both.p_value,
        "ratio": shares[1] / shares[0] if shares[0] else None,
        "corrected_ratio": (shares[1] - chance) / (shares[0] - chance) if shares[0] > chance else None,
    }


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/style.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", action="append", help="a network of features; several are several sets")
    parser.add_argument("--model", action="append", help="who is asked; several")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--style", default="painted:swirl")
    parser.add_argument("--name", default=f"stylised-{time.strftime('%m%d-%H%M%S')}", help="of the new data sets")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=100)
    arguments = parse(parser, words, images=4, size=32, steps=2, model=["clip_small"])
    where, sets = machine(), {}
    for network in arguments.network or ["cnn_small"]:
        name = f"{arguments.name}-{network}"
        config = stylise.Config(
            dataset=arguments.dataset,
            style=arguments.style,
            images=arguments.images,
            size=arguments.size,
            network=network,
            transfer=StyleSettings(steps=arguments.steps),
        )
        made = make_set(name, config)
        info, whole = read_dataset(name), read_dataset(arguments.dataset)
        provenance = info["provenance"]
        new = load_images(name, next(iter(info["splits"])), arguments.size)
        old = load_images(arguments.dataset, provenance["split"], arguments.size)
        rows = np.array(provenance["rows"])
        size = (arguments.size, arguments.size)
        before = np.stack([covered(Image.fromarray(np.array(old.images[row])), size) for row in rows])
        labels, few = np.asarray(old.labels)[rows], min(8, len(rows))
        features = feature_network(load(network, "cpu"))
        style = covered(open_picture(arguments.style), size)
        sets[network] = made | {
            "provenance": {key: value for key, value in provenance.items() if key != "command"},
            "batch": batch_gain(features, before[:few], style, max(2, arguments.steps // 10)),
            "models": {
                model: compare(model, before, np.asarray(new.images[:]), labels, whole)
                for model in arguments.model or MODELS
            },
        }
    write(
        "style",
        {
            "command": "python -m benchmarks.style "
            + " ".join(f"--network {network}" for network in sets)
            + f" --images {arguments.images} --size {arguments.size} --steps {arguments.steps}",
            "prompt": TEMPLATE,
            "threads_of_torch": torch.get_num_threads(),
            "sets": sets,
            "machine": where,
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
