"""How long the bundled trainings took to 80 % on the validation split, from the histories in their cards.

python -m benchmarks.time_to_accuracy [--accuracy 0.8]

Minutes of training steps alone, on the machine and under the load of the day; validation and compiling come on top.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from benchmarks.report import parse, write
from core.models.checkpoint import ModelCard, read_card
from core.paths import BUNDLED

TRAINING_IMAGES = 45_000  # CIFAR-10 without its validation tenth


def course(card: ModelCard, accuracy: float) -> dict[str, Any]:
    """Epoch and minutes at which validation accuracy first reached `accuracy`; None where it never did."""
    seconds = 0.0
    best = max(line["val_accuracy"] for line in card.history)
    result: dict[str, Any] = {"best_val_accuracy": best, "epochs": len(card.history), "reached": None}
    for line in card.history:
        seconds += TRAINING_IMAGES / line["images_per_second"]
        if line["val_accuracy"] >= accuracy and result["reached"] is None:
            result["reached"] = {"epoch": line["epoch"], "minutes": seconds / 60}
    return {**result, "minutes_in_all": seconds / 60, "optimizer": json.loads(card.recipe).get("optimizer", "adamw")}


def main(words: list[str] | None = None) -> None:
    """Write `results/time_to_accuracy.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accuracy", type=float, default=0.8)
    arguments = parse(parser, words)
    cards = {file.parent.name: read_card(file.parent) for file in sorted(BUNDLED.glob("*/card.json"))}
    # Classifiers that learned from all of it: VAEs have no accuracy, and the mixers learned from a third.
    cards = {
        name: card
        for name, card in cards.items()
        if card.history[0].get("val_accuracy") is not None and "max_images" not in card.command
    }
    write(
        "time_to_accuracy",
        {
            "val_accuracy": arguments.accuracy,
            "hardware": "one core of a two-core EPYC virtual machine a run, bf16 (12-epoch AdamW runs: both cores)",
            "models": {name: course(card, arguments.accuracy) for name, card in cards.items()},
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
