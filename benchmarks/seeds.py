"""Two ways to train, several seeds each: is one really better? Read from the cards of finished runs.

    python -m benchmarks.seeds --name differential_vit \\
        --runs vit=small_1d_s0,small_1d_s1,small_1d_s2 --runs differential_vit=small_diff_s0,small_diff_s1,small_diff_s2

The interval of a mean is over seeds (Student's t): it says how the recipe would do when trained again, which the
interval over test images in every card does not.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.report import parse, write
from core.models.checkpoint import ModelCard, read_card
from core.runs.store import find_run


def summary(cards: list[ModelCard]) -> dict[str, Any]:
    """Test accuracy of each seed, their mean and its 95 % interval."""
    accuracies = np.array([card.metrics["test_accuracy"] for card in cards])
    half = stats.sem(accuracies) * stats.t.ppf(0.975, len(accuracies) - 1)
    return {
        "mean": float(accuracies.mean()),
        "interval_95_over_seeds": [float(accuracies.mean() - half), float(accuracies.mean() + half)],
        "seeds": [
            {name: card.metrics[name] for name in ("seed", "test_accuracy", "test_interval_95", "test_count")}
            for card in cards
        ],
        "commands": [card.command for card in cards],
        "model": cards[0].config,
    }


def main(words: list[str] | None = None) -> None:
    """Compare the first group with every other and write `results/seeds_NAME.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--runs", action="append", required=True, metavar="LABEL=RUN,RUN,…")
    arguments = parse(parser, words)
    groups = {}
    for text in arguments.runs:
        label, _, names = text.partition("=")
        groups[label] = [read_card(find_run(name).model) for name in names.split(",")]
    first, *others = groups
    accuracies = {label: [card.metrics["test_accuracy"] for card in cards] for label, cards in groups.items()}
    differences = {}
    for other in others:
        test = stats.ttest_ind(accuracies[other], accuracies[first], equal_var=False)
        low, high = test.confidence_interval(0.95)
        difference = float(np.mean(accuracies[other]) - np.mean(accuracies[first]))
        differences[f"{other} - {first}"] = {
            "mean": difference,
            "interval_95": [float(low), float(high)],
            "welch_p": float(test.pvalue),
        }
    dataset = next(iter(groups.values()))[0].dataset
    write(
        f"seeds_{arguments.name}",
        {
            "dataset": dataset,
            "split": "test, read once for every run",
            "groups": {label: summary(cards) for label, cards in groups.items()},
            "differences": differences,
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
