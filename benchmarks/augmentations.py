"""Augmentation regimes on one small ViT, several seeds each: what does each of them do to validation accuracy?

    python -m benchmarks.augmentations                                    again until nothing is left
    python -m benchmarks.augmentations --regimes none,flip --prefix try_  others, which are not kept

Every regime trains the same network on the same images with the same seeds, as ordinary runs: what is finished is left
alone, what was interrupted goes on. The test split is not read: this is a choice, and choices are made on validation.
The part of the training images is small and the network sees it often, as that is where augmentation matters; on all
images and few epochs the order may be another.

Intervals of a seed are over validation images (Wilson), that of a mean over seeds (Student's t).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.kept_runs import prepared_run
from benchmarks.mixers import over_seeds, train
from benchmarks.report import machine, parse, write
from core.models.checkpoint import read_card
from core.runs.store import RunFolder
from core.training.augment import REGIMES

# `checkpoints/vit_small_p8`, on a tenth of the images: minutes on one core.
SETTINGS = (
    "model.embed_dim=96",
    "model.num_heads=4",
    "model.patch_size=8",
    "training.epochs=20",
    "training.precision=fp32",
    "max_images=5000",
    "evaluate_test=false",
)
CURVES = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")


def prepare(regime: str, seed: int, prefix: str, settings: Sequence[str]) -> RunFolder:
    """The run of one regime and seed, made now or earlier."""
    pairs = [*SETTINGS, *settings, f"training.augmentation={regime}", f"training.seed={seed}"]
    return prepared_run("vit_scratch", f"{prefix}augmentation_{regime}_s{seed}", pairs)


def describe(folders: Sequence[RunFolder]) -> dict[str, Any]:
    """One regime: every seed's last validation accuracy and its course, and their mean."""
    cards = [read_card(folder.model) for folder in folders]
    seeds = [
        {
            "seed": card.metrics["seed"],
            "val_accuracy": card.metrics["val_accuracy"],
            "val_interval_95": card.metrics["val_interval_95"],
            "val_count": card.metrics["val_count"],
            "val_loss": card.metrics["val_loss"],
            "train_accuracy": card.history[-1]["train_accuracy"],
            "history": [{key: line[key] for key in CURVES} for line in card.history],
            "command": card.command,
        }
        for card in cards
    ]
    return {"val_accuracy": over_seeds([seed["val_accuracy"] for seed in seeds]), "seeds": seeds}


def main(words: list[str] | None = None) -> int:
    """Train what is missing; once nothing is, write `results/augmentations.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regimes", default="none,crop_flip,randaugment")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--prefix", default="", help="of the names of runs, for other regimes or settings")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop then, saving checkpoints; call again")
    arguments = parse(parser, words, seeds=1, prefix="quick_")
    regimes = arguments.regimes.split(",")
    # Seed by seed, so that an early end leaves every regime with as many.
    runs = {
        (regime, seed): prepare(regime, seed, arguments.prefix, arguments.settings)
        for seed in range(arguments.seeds)
        for regime in regimes
    }
    left = train(list(runs.values()), 1, arguments.minutes)
    if left:
        print(f"{len(left)} of {len(runs)} runs are not finished: {', '.join(run.name for run in left)}. Call again.")
        return 1
    folders = {regime: [runs[regime, seed] for seed in range(arguments.seeds)] for regime in regimes}
    card = read_card(folders[regimes[0]][0].model)
    write(
        "augmentations" if arguments.quick else f"{arguments.prefix}augmentations",
        {
            "command": "python -m benchmarks.augmentations " + " ".join(sys.argv[1:] if words is None else words),
            "dataset": card.dataset,
            "split": "val; test was not read",
            "train_images": folders[regimes[0]][0].read_spec().config["max_images"],
            "epochs": card.history[-1]["epochs"],
            "model": card.config,
            "regimes": {
                regime: {"summary": REGIMES[regime].summary, **describe(folders[regime])} for regime in regimes
            },
            "machine": machine(),
        },
        quick=arguments.quick,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
