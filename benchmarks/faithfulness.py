"""The track record of each explanation: deletion and insertion areas over many labelled images, beside random orders.

python -m benchmarks.faithfulness --model vit_p4 [--dataset cifar10 --split test --count 200]

Needs the data set on this machine (`python -m core data import`). The Masking page shows the result.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict

from benchmarks.report import machine, parse, write
from core.data.catalogue import installed_datasets, sample_images
from core.data.transforms import to_batch
from core.methods.accuracy.targets import pick_target
from core.methods.attention.explanations import explanations_for
from core.methods.masking.faithfulness import faithfulness, image_areas, summarise
from core.models.weights import load


def _same_class(predicted: str, label: str) -> bool:
    """Whether a class name and a data set's title agree, which write their spaces differently."""
    return predicted.lower().replace(" ", "_") == label.lower().replace(" ", "_")


def main(words: list[str] | None = None) -> None:
    """Measure one model and write `results/faithfulness_MODEL.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--orders", type=int, default=4)
    parser.add_argument("--fill", default="mean")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parse(parser, words, count=2, steps=4, orders=2)
    where = machine()
    model = load(arguments.model)
    preprocessing = model.network.preprocessing
    classifier = not model.spec.lacks("classifier")
    methods = explanations_for(model.spec)
    records, right = [], 0
    started = time.perf_counter()
    card = installed_datasets()[arguments.dataset]
    names = card.get("class_titles", card["classes"])
    samples = sample_images(arguments.dataset, arguments.split, arguments.count, arguments.seed)
    for index, (image, label) in enumerate(samples):
        batch = to_batch([image], preprocessing)
        target = pick_target(model.module, batch, classifier=classifier)
        if target.class_index is not None:
            right += _same_class(model.classes[target.class_index], names[label])
        scores = {method.name: method.explain(model.module, batch, target) for method in methods}
        grid = next(iter(scores.values())).shape
        if model.spec.lacks("attention"):
            grid = (14, 14) if preprocessing.size >= 112 else (8, 8)
        result = faithfulness(
            model.module,
            batch,
            target,
            scores,
            grid=(grid[0], grid[1]),
            fill=arguments.fill,
            steps=arguments.steps,
            random_orders=arguments.orders,
            seed=1000 * index,
            normalisation=preprocessing.normalisation,
        )
        records += image_areas(result, str(index))
        if index % 10 == 9:
            left = (time.perf_counter() - started) / (index + 1) * (len(samples) - index - 1)
            print(f"{index + 1} of {len(samples)} images, {left:.0f} s left", flush=True)
    tracks = summarise(records)
    write(
        f"faithfulness_{arguments.model}",
        {
            "model": arguments.model,
            "dataset": card["title"],
            "split": arguments.split,
            "count": len(samples),
            "seed": arguments.seed,
            "steps": arguments.steps,
            "orders": arguments.orders,
            "fill": arguments.fill,
            "target": "the predicted class" if classifier else "similarity to the unmasked embedding",
            "top1_on_these": right / len(samples) if classifier else None,
            "seconds": time.perf_counter() - started,
            "tracks": {name: asdict(track) for name, track in tracks.items()},
            "machine": where,
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
