"""What models rely on, measured: shape, texture, colour; cue conflict; locality; domains, beside published figures.

python -m benchmarks.biases [--images 2000] [--tables cues,ratios,colour,locality,style,domains] [--models vit_p4,…]

Every table comes from ordinary runs (`python -m core train stress …`, `… domain_shift …`), whose commands are kept with
the figures: `results/biases.json`, which page Biases shows until something is measured on the machine itself. Data sets
under their usual names: cifar10, cifar10g, mnist, coloured_mnist, cue_conflict, pacs, tiny_imagenet, and whatever
`stylise` made of CIFAR-10. A table whose data are not here keeps what the file had.
"""

from __future__ import annotations

import argparse
import datetime
import json
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.report import machine, parse, write
from core.data.catalogue import installed_datasets, read_dataset
from core.data.loading import limit_images, load_images
from core.errors import CoreError
from core.experiments import domain_shift, stress
from core.experiments.cue_conflict import shape_biases
from core.experiments.domain_shift import fit_on
from core.experiments.evaluation import Evaluation, read_evaluation
from core.experiments.stress_models import open_model
from core.launch.execute import execute
from core.methods.accuracy.confusion import Accuracy, accuracy
from core.methods.accuracy.paired import paired
from core.methods.biases.asking import ask_models
from core.methods.biases.ratios import same_images_ratio, two_sets_ratio
from core.methods.embeddings.features import Features, extract_features
from core.models.stamps import weight_stamps
from core.models.weights import load
from core.reports import finish
from core.runs.store import RunFolder, RunSpec, create_run

MODELS = ("vit_p4", "differential_vit_p4", "cnn_small", "clip_small")
IMAGENET = "efficientnet_lite0"
CIFAR10_WITHOUT_DEER = ("airplane", "automobile", "bird", "cat", "dog", "frog", "horse", "ship", "truck")
# Each one stronger than the one before it.
LADDERS = {
    "grey": (50, 100),
    "blur": (0.5, 1, 2),
    "elastic": (2, 4, 8),
    "noise_patch": (32, 64, 128, 255),
    "scramble": (2, 4, 8),
    "noise": (20, 40, 80),
}
OTHERS = ("hue:120", "channels:5", "silhouette:100", "edges:100", "pixelate:4", "jpeg:90", "contrast:0.3")
# CLIP, VGG-16 and ViT of the course report that the figures are laid beside (FEATURES F1, F3, F5 and B6).
REPORTS: dict[str, dict[str, dict[str, float]]] = {
    "ratios": {
        "shape": {"CLIP": 0.47, "VGG": 0.33, "ViT": 0.18},
        "texture": {"CLIP": 0.42, "VGG": 0.45, "ViT": 0.17},
        "colour": {"CLIP": 0.79, "VGG": 0.41, "ViT": 0.59},
    },
    "style": {"style": {"ViT": 1 - 0.225, "VGG": 1 - 0.64}},
    # Published as changes in per cent, read as relative ones.
    "locality": {
        "noise_patch": {"CLIP": 0.735 / 0.871, "VGG": 1 - 0.165, "ViT": 1 - 0.797},
        "scramble": {"CLIP": 0.189 / 0.871, "VGG": 1 - 0.624, "ViT": 1 - 0.84},
    },
    "domains": {
        "PACS": {"VGG": 0.7801, "ViT": 0.9103, "CLIP": 0.8134},
        "CIFAR-100": {"VGG": 0.6001, "ViT": 0.8685, "CLIP": 0.594},
    },
}
DIFFERS = {
    "ratios": "The reports' models are large and pretrained on millions of photos (CLIP ViT-B/32, VGG-16, ViT-B/16); "
    "these learned from 45,000 images of 32 pixels, or are asked at 64 or 224, and the reports say neither how strong "
    "their elastic distortion was nor that their ratios have a floor at chance.",
    "colour": "Coloured MNIST shows white digits, drawn thicker, on a red, green or blue ground; probes and networks "
    "here learned from white on black alone. How the reports' models were taught digits is not told with their ratios.",
    "cues": "The reports did not measure it. Geirhos et al. 2019 found 21 % for a ResNet-50 on 1,200 images; here are "
    "those of 160 that have cues in conflict.",
    "locality": "Published are changes in per cent of large pretrained models on CIFAR-10, read here as relative ones: "
    "not how strong the noise in their 8 × 8 pixels was, nor at which size of the image.",
    "style": "The reports stylised 100 images after The Starry Night with VGG-19; here a painted swirl is the style, "
    "and the features are those of smaller networks.",
    "domains": "The reports trained a head on every domain and tested on held-out images of the same; here the tested "
    "domain is one that the probe never saw, of 40 images a class. CIFAR-100 is measured by the same recipe where it "
    "is on the machine. Small CLIP has learned from Tiny-ImageNet's training images.",
}


class Bench:
    """The runs of one benchmark: what was started, by which command."""

    def __init__(self, quick: bool) -> None:
        self.quick, self.commands, self.cannot = quick, [], {}  # type: ignore[var-annotated]

    def run(self, recipe: str, config: Any) -> RunFolder:
        """One run to its end."""
        folder = create_run(f"biases-{recipe}-{uuid.uuid4().hex[:8]}", RunSpec.of(recipe, config))
        for each in execute(folder):
            if not hasattr(each, "text"):
                print(each, flush=True)
        self.commands.append(folder.read_spec().command("NAME"))
        return folder

    def stress(self, **settings: Any) -> Evaluation:
        return read_evaluation(self.run("stress", stress.Config(**settings)))

    def able(self, models: tuple[str, ...], dataset: str, classes: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Those that know the classes; the others are remembered with the sentence that says why not."""
        info, kept = read_dataset(dataset), []
        for name in models:
            config = stress.Config(models=(name,), dataset=dataset, classes=classes)
            try:
                open_model(load(name), *stress.chosen_classes(config, info), config)
                kept.append(name)
            except CoreError as error:
                self.cannot.setdefault(dataset, {})[name] = str(error)
        return tuple(kept)


def rights(found: Evaluation, condition: int = 0) -> dict[str, Accuracy]:
    """Of each model."""
    answers = found.answers[:, :, condition]
    return {
        model["name"]: accuracy(found.labels, answers[:, place]) for place, model in enumerate(found.summary["models"])
    }


def measured_ratios(bench: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    """F1, shape and texture: CIFAR-10G beside CIFAR-10, as it is and under elastic distortion."""
    rows = []
    groups: list[tuple[tuple[str, ...], tuple[str, ...]]] = [(arguments.models, ())]
    groups += [((IMAGENET,), CIFAR10_WITHOUT_DEER)] * (IMAGENET in arguments.large)
    for models, classes in groups:
        settings = {"models": models, "classes": classes, "conditions": (arguments.elastic,)}
        images = min(arguments.images, 500) if classes else arguments.images
        photos = bench.stress(dataset="cifar10", max_images=images, **settings)
        drawn = bench.stress(dataset="cifar10g", max_images=images if bench.quick else 0, **settings)
        count = len(photos.classes)
        plain, elastic = (rights(drawn, condition) for condition in (0, 1))
        for name, right in rights(photos).items():
            changed = {"shape": plain[name], "texture": elastic[name]}
            for cue, accuracy_of_cue in changed.items():
                rows.append({"model": name, "cue": cue, **two_sets_ratio(right, accuracy_of_cue, count).values()})
        for source, found in (("CIFAR-10", photos), ("CIFAR-10G", drawn)):
            for row in found.summary["table"]:
                if row["condition"] == 1:
                    name = found.summary["models"][row["model"]]["name"]
                    rows.append({"model": name, "cue": f"elastic {source}", **row["against_as_they_are"]})
        for split in drawn.split_accuracies:
            inside = drawn.columns["split"] == split
            for place, name in enumerate(models):
                right = accuracy(drawn.labels[inside], drawn.answers[inside, place, 0])
                ratio = two_sets_ratio(rights(photos)[name], right, count).values()
                rows.append({"model": name, "cue": f"shape: {split}", **ratio})
    return {"dataset": photos.summary["dataset_title"], "split": "test", "condition": arguments.elastic, "rows": rows}


def measured_colour(bench: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    """F1, colour: a linear probe that learned plain MNIST on frozen features, on plain and on coloured digits."""
    rows, learned = [], 200 if bench.quick else 3000
    for name in (*arguments.models, *arguments.large):

        def features(dataset: str, split: str, count: int, name: str = name) -> Features:
            model = load(name)
            data = limit_images(load_images(dataset, split, model.network.preprocessing.size), count)
            extraction = extract_features(
                model.module, data, model=name, size=model.network.preprocessing.size,
                normalisation=model.network.preprocessing.normalisation, poolings=("embedding",),
            )  # fmt: skip
            return finish(extraction)["embedding"]

        images = min(arguments.images, 1000) if name in arguments.large else arguments.images
        head = finish(fit_on(features("mnist", "train", learned), 300))
        plain, coloured = (features(data, "test", images) for data in ("mnist", "coloured_mnist"))
        right = [
            Accuracy(correct=int((head.predict(each) == each.labels).sum()), count=len(each))
            for each in (plain, coloured)
        ]
        rows.append({"model": name, "cue": "colour", "probe": True, **two_sets_ratio(right[0], right[1], 10).values()})
    for name in arguments.digits:
        white, tinted = (
            rights(
                bench.stress(
                    models=(name,), dataset=data, test_split="test", conditions=(), max_images=arguments.images
                )
            )
            for data in ("mnist", "coloured_mnist")
        )
        rows.append(
            {"model": name, "cue": "colour", "probe": False, **two_sets_ratio(white[name], tinted[name], 10).values()}
        )
    return {
        "dataset": "MNIST, coloured MNIST", "split": "test", "rows": rows,
        "how": f"linear probes on frozen features, learned from {learned:,} plain digits; runs were trained on digits",
    }  # fmt: skip


def measured_cues(bench: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    """F2: decisions by shape and by texture, of every model that can name the sixteen categories."""
    able = bench.able((*arguments.large, *arguments.models), "cue_conflict")
    found = bench.stress(models=able, dataset="cue_conflict", conditions=(), max_images=24 if bench.quick else 0)
    models = [
        {"model": name, "sentence": each.sentence(), **each.values()}
        for name, each in zip(able, shape_biases(found), strict=True)
    ]
    return {"dataset": found.summary["dataset_title"], "models": models, "categories": found.summary["classes"]}


def measured_locality(bench: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    """F3, and everything else over its strengths: the images of CIFAR-10 under one manipulation at a time."""
    conditions = tuple(f"{name}:{strength:g}" for name, values in LADDERS.items() for strength in values) + OTHERS
    conditions = conditions[:3] if bench.quick else conditions
    found = bench.stress(models=arguments.models, dataset="cifar10", conditions=conditions, max_images=arguments.images)
    kept = ("dataset_title", "split", "models", "conditions", "labels", "table", "pairs", "seed", "test", "image_size")
    evaluation = {key: found.summary[key] for key in kept} | {"command": bench.commands[-1]}
    return {"evaluation": evaluation}


def measured_style(bench: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    """F3, style: every set that style transfer made of CIFAR-10 here, against the very images that it was made of."""
    rows, sets = [], []
    for name, info in installed_datasets().items():
        made = info.get("provenance") or {}
        if made.get("recipe") != "stylise" or made.get("dataset") != "cifar10":
            continue
        models = bench.able(arguments.models, name)
        found = bench.stress(models=models, dataset=name, conditions=(), max_images=0)
        originals = load_images("cifar10", made["split"], found.summary["image_size"])
        where = np.asarray(made["rows"])[found.columns["row"]]
        config, asked = stress.Config(models=models, dataset=name), []
        for model in models:
            asked.append(open_model(load(model), *stress.chosen_classes(config, info), config))
        plain, _ = finish(ask_models(asked, originals.images[where], where.tolist(), (), seed=0))
        sets.append({key: made[key] for key in ("style", "size", "network", "network_note", "command")})
        for place, model in enumerate(models):
            counts = paired(found.labels, plain[:, place], found.answers[:, place, 0])
            ratio = same_images_ratio(counts, len(found.classes)).values()
            rows.append({"model": model, "cue": f"style, {made['network']}", **ratio})
    return {"rows": rows, "sets": sets}


def measured_domains(bench: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    """F5: PACS with a domain left out at a time, and probes for classes of another kind."""
    semantic = tuple(name for name in ("cifar100", "mnist", "tiny_imagenet") if name in installed_datasets())
    config = domain_shift.Config(
        models=(*arguments.models, *arguments.large), dataset="pacs", max_iterations=20 if bench.quick else 1000
    )
    pacs = json.loads((bench.run("domain_shift", config).path / "result.json").read_text(encoding="utf-8"))
    others: dict[str, Any] = {"shifts": []}
    if semantic and not bench.quick:
        config = domain_shift.Config(
            models=arguments.models, dataset="", semantic=semantic, max_images=2000, max_test=1000, max_iterations=200
        )
        others = json.loads((bench.run("domain_shift", config).path / "result.json").read_text(encoding="utf-8"))
    return {**pacs, "semantic": others.get("semantic", []), "shifts": pacs["shifts"] + others["shifts"]}


TABLES: dict[str, tuple[tuple[str, ...], Callable[[Bench, argparse.Namespace], dict[str, Any]]]] = {
    "ratios": (("cifar10", "cifar10g"), measured_ratios),
    "colour": (("mnist", "coloured_mnist"), measured_colour),
    "cues": (("cue_conflict",), measured_cues),
    "locality": (("cifar10",), measured_locality),
    "style": (("cifar10",), measured_style),
    "domains": (("pacs",), measured_domains),
}


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/biases.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: tuple(part for part in text.split(",") if part)  # noqa: E731
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--tables", type=names, default=tuple(TABLES))
    parser.add_argument("--models", type=names, default=MODELS)
    parser.add_argument("--large", type=names, default=(IMAGENET,), help="models of ImageNet's classes, at 224 pixels")
    parser.add_argument("--digits", type=names, default=(), help="run:NAME of models that read digits by themselves")
    parser.add_argument("--elastic", default="elastic:4")
    arguments = parse(parser, words, images=24)
    where, tables, installed = machine(), _before(arguments.quick), installed_datasets()
    for name in arguments.tables:
        needed, measure = TABLES[name]
        if missing := [each for each in needed if each not in installed]:
            print(f"{name}: {', '.join(missing)} is not on this machine")
            continue
        bench = Bench(arguments.quick)
        found = measure(bench, arguments)
        tables[name] = found | {
            "commands": bench.commands, "cannot": bench.cannot, "differs": DIFFERS.get(name, DIFFERS["ratios"]),
            "reports": REPORTS.get(name, {}), "seed": 0, "date": datetime.date.today().isoformat(),
            "weight_files": weight_stamps((*arguments.models, *arguments.large)),
        }  # fmt: skip
    command = f"python -m benchmarks.biases --images {arguments.images}"
    titles = {name: load(name).spec.title for name in (*arguments.models, *arguments.large)}
    write("biases", {"command": command, "titles": titles, "tables": tables, "machine": where}, quick=arguments.quick)


def _before(quick: bool) -> dict[str, Any]:
    """What an earlier use measured."""
    path = report.RESULTS / "biases.json"
    return {} if quick or not path.is_file() else dict(json.loads(path.read_text(encoding="utf-8"))["tables"])


if __name__ == "__main__":
    main()
