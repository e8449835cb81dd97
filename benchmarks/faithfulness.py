"""The track record of each explanation: deletion and insertion areas over many labelled images, beside random orders.

python -m benchmarks.faithfulness --model vit_p4 [--dataset cifar10 --split test --count 200 --sanity 24]

Then the same maps under random weights, over `--sanity` of the images: whether each depends on what was learned.
Needs the data set on this machine (`python -m core data import`). The Masking page shows the result. What is cut off
goes on where it was, for the same weights and settings, from `VITRINE_HOME/cache/faithfulness`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from dataclasses import asdict

from torch import Tensor

from benchmarks.report import machine, parse, write
from core.data.catalogue import installed_datasets, sample_images
from core.data.transforms import to_batch
from core.files import write_json
from core.methods.accuracy.targets import pick_target
from core.methods.attention.explanations import Explanation, explanations_for
from core.methods.attention.randomisation import sanity_similarities, summarise_sanity
from core.methods.embeddings.features import digest_weights
from core.methods.masking.faithfulness import (
    Faithfulness,
    ImageAreas,
    faithfulness,
    image_areas,
    records_from_json,
    summarise,
)
from core.methods.masking.orders import even_grid
from core.models.spec import LoadedModel
from core.models.stamps import weight_stamps
from core.models.weights import load
from core.paths import cache_root


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
    parser.add_argument("--sanity", type=int, default=24)
    arguments = parse(parser, words, count=2, steps=4, orders=2, sanity=2)
    where = machine()
    model = load(arguments.model)
    classifier = not model.spec.lacks("classifier")
    methods = explanations_for(model.spec)
    digest = hashlib.blake2b(digest_size=8)
    digest_weights(digest, model.module)
    weights = digest.hexdigest()
    card = installed_datasets()[arguments.dataset]
    names = card.get("class_titles", card["classes"])
    samples = sample_images(arguments.dataset, arguments.split, arguments.count, arguments.seed)
    kept = _Kept(arguments, weights, methods)
    for index, (image, label) in enumerate(samples):
        if index < kept.done:
            continue
        started = time.process_time()
        batch = to_batch([image], model.network.preprocessing)
        result, predicted = _put_to_the_test(model, batch, methods, arguments, seed=1000 * index)
        right = predicted is not None and _same_class(model.classes[predicted], names[label])
        kept.add(records=image_areas(result, str(index)), right=right, seconds=time.process_time() - started)
        if index % 10 == 9:
            left = kept.seconds / kept.done * (len(samples) - kept.done)
            print(f"{kept.done} of {len(samples)} images, {left:.0f} s of a processor left", flush=True)
    started = time.process_time()
    pictures = to_batch([image for image, _ in samples[: arguments.sanity]], model.network.preprocessing)
    similarities = sanity_similarities(
        model.module,
        pictures,
        {method.name: method.explain for method in methods},
        classifier=classifier,
        on_progress=lambda share, text: print(text, flush=True),
    )
    write(
        f"faithfulness_{arguments.model}",
        {
            "model": arguments.model,
            "weights": weights,
            "weight_files": weight_stamps([arguments.model]),
            "dataset": card["title"],
            "split": arguments.split,
            "count": len(samples),
            "seed": arguments.seed,
            "steps": arguments.steps,
            "orders": arguments.orders,
            "fill": arguments.fill,
            "target": "the predicted class" if classifier else "similarity to the unmasked embedding",
            "top1_on_these": kept.right / len(samples) if classifier else None,
            "processor_seconds": kept.seconds + time.process_time() - started,
            "tracks": {name: asdict(track) for name, track in summarise(kept.records).items()},
            "sanity": {name: asdict(check) for name, check in summarise_sanity(similarities).items()},
            "machine": where,
        },
        quick=arguments.quick,
    )


def _put_to_the_test(
    model: LoadedModel, batch: Tensor, methods: list[Explanation], arguments: argparse.Namespace, *, seed: int
) -> tuple[Faithfulness, int | None]:
    """Deletion and insertion of every map of one image, and the class that is predicted on it, if any is."""
    target = pick_target(model.module, batch, classifier=not model.spec.lacks("classifier"))
    scores = {method.name: method.explain(model.module, batch, target) for method in methods}
    rows, columns = next(iter(scores.values())).shape
    result = faithfulness(
        model.module,
        batch,
        target,
        scores,
        grid=(rows, columns) if not model.spec.lacks("attention") else even_grid(model.network.preprocessing.size),
        fill=arguments.fill,
        steps=arguments.steps,
        random_orders=arguments.orders,
        seed=seed,
        normalisation=model.network.preprocessing.normalisation,
    )
    return result, target.class_index


class _Kept:
    """What was measured of the images so far, on disk after every tenth."""

    def __init__(self, arguments: argparse.Namespace, weights: str, methods: list[Explanation]) -> None:
        settings = {name: value for name, value in vars(arguments).items() if name not in ("count", "sanity", "quick")}
        asked = json.dumps([settings, weights, [method.name for method in methods]], sort_keys=True)
        key = hashlib.sha256(asked.encode("utf-8")).hexdigest()[:16]
        self.path = cache_root() / "faithfulness" / f"{arguments.model}_{key}.json"
        self.records: list[ImageAreas] = []
        self.done, self.right, self.seconds = 0, 0, 0.0
        if self.path.is_file():
            found = json.loads(self.path.read_text(encoding="utf-8"))
            if found["done"] <= arguments.count:
                self.records = records_from_json(json.dumps(found["records"]))
                self.done, self.right, self.seconds = found["done"], found["right"], found["seconds"]

    def add(self, *, records: list[ImageAreas], right: bool, seconds: float) -> None:
        """Take in one more image."""
        self.records += records
        self.done, self.right, self.seconds = self.done + 1, self.right + right, self.seconds + seconds
        if self.done % 10 == 0:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            found = {"done": self.done, "right": self.right, "seconds": self.seconds}
            write_json(self.path, found | {"records": [asdict(each) for each in self.records]})


if __name__ == "__main__":
    main()
