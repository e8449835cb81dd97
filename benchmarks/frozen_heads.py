"""Frozen backbones: linear probes with class token and mean, and a new head on several data sets beside zero-shot.

    python -m benchmarks.frozen_heads                again until nothing is left
    python -m benchmarks.frozen_heads --max-images 0 --max-test 0 --image-size 0 --prefix all_     hours on a CPU

Ordinary runs of the recipes `frozen_heads` (three epochs of a linear layer) and `linear_probe` (logistic regression,
its penalty chosen on validation images), on a fixed random part of the images, so that few minutes of one core are
enough; what is finished is left alone. Intervals are over test images (Wilson). Published figures, on all images and at
224 pixels, stand beside them: they show what the networks of a large machine reach, not what these should.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from benchmarks.kept_runs import prepared_run
from benchmarks.mixers import train
from benchmarks.report import machine, parse, write
from core.experiments.frozen_heads import seen_size
from core.models.stamps import weight_stamps
from core.models.weights import load
from core.runs.store import RunFolder

MODELS = "efficientnet_lite0,vit_s14_saliency,cnn_small,clip_small"
PROBED = "vit_p4,differential_vit_p4,clip_small,vit_s14_saliency"
DATASETS = "cifar10,pacs,tiny_imagenet"
# Accuracy of three epochs of a new head on frozen features, and of CLIP's ViT-B/32 by text, as published with the
# assignments that FEATURES B5 and B6 quote.
PUBLISHED = {
    "heads": {
        "VGG-19": {"cifar10": 0.8297, "cifar100": 0.6001, "pacs": 0.7801},
        "ViT-B/16": {"cifar10": 0.9748, "cifar100": 0.8685, "pacs": 0.9103},
        "CLIP zero-shot": {"cifar10": 0.8706, "cifar100": 0.5940, "pacs": 0.8134},
    },
    "probes": {
        "ViT-L": {"class_token": 0.974, "mean": 0.972},
        "ViT-B": {"class_token": 0.962, "mean": 0.962},
        "DeiT-B": {"class_token": 0.9175, "mean": 0.905},
    },
}


def result(folder: RunFolder) -> dict[str, Any]:
    """What the run measured."""
    found: dict[str, Any] = json.loads((folder.path / "result.json").read_text(encoding="utf-8"))
    return found


def main(words: list[str] | None = None) -> int:
    """Measure what is missing; once nothing is, write `results/frozen_heads.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--probed", default=PROBED)
    parser.add_argument("--datasets", default=DATASETS)
    parser.add_argument("--probe-on", default="cifar10")
    parser.add_argument("--max-images", type=int, default=1000)
    parser.add_argument("--max-test", type=int, default=1000)
    parser.add_argument("--image-size", type=int, default=112, help="for networks that take any; 0 is each its own")
    parser.add_argument("--prefix", default="", help="of the names of runs, for other settings")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop then; features that are done are kept")
    arguments = parse(parser, words, max_images=40, max_test=20, image_size=0, prefix="quick_")
    limits = [f"max_images={arguments.max_images}", f"max_test={arguments.max_test}"]
    size = [f"image_size={arguments.image_size}"] if arguments.image_size else []
    heads = {}
    for dataset in arguments.datasets.split(","):
        names = [f"models={json.dumps(arguments.models.split(','))}", f"datasets={json.dumps([dataset])}"]
        heads[dataset] = prepared_run("frozen_heads", f"{arguments.prefix}heads_{dataset}", [*names, *limits, *size])
    probes = {}
    for number, name in enumerate(arguments.probed.split(",")):
        seen = seen_size(load(name, "cpu"), arguments.image_size)
        pairs = [f"backbone={name}", f"dataset={arguments.probe_on}", f"image_size={seen}", *limits]
        probes[name] = prepared_run("linear_probe", f"{arguments.prefix}probe_{number}", pairs)
    runs = [*heads.values(), *probes.values()]
    left = train([run for run in runs if not (run.path / "result.json").is_file()], 1, arguments.minutes)
    left = [run for run in left if not (run.path / "result.json").is_file()]
    if left:
        print(f"{len(left)} of {len(runs)} runs are not finished: {', '.join(run.name for run in left)}. Call again.")
        return 1
    write(
        "frozen_heads" if arguments.quick else f"{arguments.prefix}frozen_heads",
        {
            "command": "python -m benchmarks.frozen_heads " + " ".join(sys.argv[1:] if words is None else words),
            "heads": [result(folder) for folder in heads.values()],
            "probes": [result(folder) for folder in probes.values()],
            "published": PUBLISHED,
            "weight_files": weight_stamps((*arguments.models.split(","), *arguments.probed.split(","))),
            "machine": machine(),
        },
        quick=arguments.quick,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
