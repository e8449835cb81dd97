"""Latency, memory and answers of models in every number format: python -m benchmarks.precision [--models ...].

The protocol of the Precision page: formats take turns, warm-ups are not counted, each format's memory is that of a
fresh process (CPU) or of the allocator (GPU). A format that would take longer than the budget is left out with its
factor. Answers are compared on images of ImageNet or CIFAR-10 if those were imported, else on the example photos.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

import torch

from benchmarks.report import machine, parse, write
from core.data.catalogue import installed_datasets, sample_images
from core.data.examples import EXAMPLES, load_example
from core.data.transforms import to_batch
from core.device import pick_device
from core.intervals import wilson_interval
from core.methods.precision.agreement import agreement
from core.methods.precision.memory_profile import memory_profile
from core.methods.precision.precision import FORMATS, cast, forward, logits_in, measure_latencies
from core.models.spec import LoadedModel
from core.models.weights import load
from core.paths import CHECKOUT
from core.reports import finish

FIGURES = (
    "format",
    "runs",
    "median",
    "iqr",
    "min",
    "mean",
    "std",
    "ratio",
    "weights",
    "activations",
    "process",
    "same",
)


def main(words: list[str] | None = None) -> None:
    """Measure, print one table a model, write `results/precision.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="vit_p4,efficientnet_lite0")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--images", type=int, default=128, help="Whose answers are compared.")
    parser.add_argument("--budget", type=float, default=120.0, help="Seconds that one format may take.")
    arguments = parse(parser, words, models="vit_p4", batch=1, runs=3, images=8, budget=5.0)
    where, results = machine(), {}
    for name in arguments.models.split(","):
        results[name] = _measure(name, arguments)
        _print(name, results[name])
    write(
        "precision",
        {"machine": where, "batch": arguments.batch, "runs": arguments.runs, "models": results},
        quick=arguments.quick,
    )


def _measure(name: str, arguments: Any) -> dict[str, Any]:
    model, device = load(name), pick_device()
    model.spec.require("classifier", "This benchmark")
    pictures, source = _pictures(model, arguments.images)
    batch = pictures[:1].repeat(arguments.batch, 1, 1, 1)
    timing = finish(
        measure_latencies(
            model.module,
            batch,
            list(FORMATS.values()),
            device=device,
            runs=arguments.runs,
            budget_s=arguments.budget,
        )
    )
    reference = logits_in(cast(model.module, FORMATS["fp32"], device), pictures, FORMATS["fp32"])
    rows = {}
    for each, latencies in timing.latencies.items():
        chosen = FORMATS[each]
        copied = cast(model.module, chosen, device)
        profile = memory_profile(copied, forward(copied, batch, chosen), device)
        answers = agreement(reference, logits_in(copied, pictures, chosen))
        same = int(answers.same_answer.sum())
        low, high = latencies.quartiles
        rows[each] = {
            "runs": len(latencies),
            "milliseconds": [round(float(value), 4) for value in latencies.milliseconds],
            "median": latencies.median,
            "iqr": high - low,
            "min": latencies.minimum,
            "mean": latencies.mean,
            "std": latencies.std,
            "ratio": latencies.median / timing.latencies["fp32"].median,
            "weights": profile.parameters_mib,
            "activations": float(profile.peak_mib.max()),
            "process": _process_memory(name, each, arguments.batch),
            "same": f"{same}/{len(answers)}",
            "same_interval_95": wilson_interval(same, len(answers)),
            "largest_difference": float(answers.max_difference.max()),
            "mean_kl": float(answers.kl.mean()),
        }
    return {
        "conditions": timing.plan.conditions.sentence(),
        "compared_on": source,
        "left_out": timing.plan.left_out,
        "formats": rows,
    }


def _pictures(model: LoadedModel, count: int) -> tuple[torch.Tensor, str]:
    wanted = "cifar10" if len(model.classes) == 10 else "imagenet_samples"
    if wanted in installed_datasets():
        split = "test" if wanted == "cifar10" else "all"
        images = [image for image, _ in sample_images(wanted, split, count, 0)]
        source = f"{len(images)} images of {installed_datasets()[wanted]['title']}, {split}, seed 0"
    else:
        images, source = [load_example(name) for name in EXAMPLES], f"{len(EXAMPLES)} example photos"
    return to_batch(images, model.network.preprocessing), source


def _process_memory(name: str, number_format: str, batch: int) -> float:
    """MiB at the peak of a pass in a fresh process, above the process without the model."""
    command = ["memory", "--model", name, "--formats", number_format, "--batch-size", str(batch)]
    done = subprocess.run(
        [sys.executable, "-m", "core.methods.precision.precision_probe", *command],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    return float(json.loads(done.stdout.splitlines()[-1])["peak_mib"])


def _print(name: str, result: dict[str, Any]) -> None:
    print(f"\n{name}: {result['conditions']}; answers on {result['compared_on']}; times in ms, memory in MiB")
    print("  ".join(f"{figure:>13}" if figure == "format" else f"{figure:>11}" for figure in FIGURES))
    for each, row in result["formats"].items():
        cells = [f"{FORMATS[each].title:>13}"]
        for figure in FIGURES[1:]:
            value = row[figure]
            cells.append(f"{value:>11.3g}" if isinstance(value, float) else f"{value:>11}")
        print("  ".join(cells))
    for words in result["left_out"].values():
        print(words)


if __name__ == "__main__":
    main()
