"""Posterior collapse over several seeds: the bundled baseline, and the same network with warm-up and free bits.

    python -m benchmarks.vae_collapse --device cuda --jobs 3              3 seeds of each, all of MNIST
    python -m benchmarks.vae_collapse --dataset fashion_mnist             the data of the published report
    python -m benchmarks.vae_collapse --quick                             seconds, to see that it works

Every training is an ordinary run of the recipe `vae` (`vae_collapsed_s0`, ...): one that is finished is only read, one
that was interrupted is continued. The figures are those of the runs' cards: test images, read once by each, in nats per
image at β = 1. Half the squared error is the reconstruction term without its constant, as σ is 1. The published report
(Fashion-MNIST, 20 latents) has 14.88 + 7.98 and 6 active units, and all 20 with warm-up and free bits.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.report import machine, parse, write
from core.experiments.bundled import find_bundled
from core.models.checkpoint import ModelCard, read_card
from core.paths import CHECKOUT, runs_root
from core.runs.store import RunFolder

CONDITIONS = ("vae_collapsed", "vae_warmup")
QUANTITIES = (
    "test_elbo",
    "test_reconstruction",
    "test_half_squared_error",
    "test_kl",
    "test_active_units",
    "test_iwae",
    "images_per_second",
)
_QUICK = ("max_images=1500", "training.epochs=3", "objective.warmup_epochs=1", "bound_images=50")


def train(name: str, settings: list[str], device: str) -> ModelCard:
    """The card of the run called `name`, which is trained if it is not finished."""
    folder = RunFolder(runs_root() / name)
    if not (folder.model / "card.json").is_file():
        pairs = [part for each in settings for part in ("--set", each)]
        command = [sys.executable, "-m", "core", "train", "vae", "--name", name, "--device", device, *pairs]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, encoding="utf-8", check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        print(name, "is trained", flush=True)
    return read_card(folder.model)


def row(card: ModelCard) -> dict[str, Any]:
    """The figures of one training."""
    measured = {
        **card.metrics,
        "test_half_squared_error": card.metrics["test_squared_error"] / 2,
        "images_per_second": float(np.median([line["images_per_second"] for line in card.history])),
    }
    kept = ("seed", *QUANTITIES, "test_elbo_standard_error", "latent_kl", "latent_spread")
    return {"command": card.command, **{name: measured[name] for name in kept}}


def spread(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean, standard deviation over seeds, and both ends, of every quantity."""
    found = {}
    for name in QUANTITIES:
        values = np.array([each[name] for each in rows], dtype=np.float64)
        deviation = float(values.std(ddof=1)) if len(values) > 1 else None
        found[name] = {"mean": values.mean(), "deviation": deviation, "least": values.min(), "most": values.max()}
    return found


def main(words: list[str] | None = None) -> None:
    """Train what is missing and write `results/vae_collapse.json`, or `vae_collapse_DATASET.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side; a small VAE leaves a GPU idle")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="key=value for all, repeatable")
    arguments = parse(parser, words, seeds=1)
    where = machine()
    shared = [f"training.precision={arguments.precision}", f"dataset={arguments.dataset}", *arguments.settings]
    data = "" if arguments.dataset == "mnist" else f"_{arguments.dataset}"
    suffix = "_quick" if arguments.quick else ""
    plan = {
        f"{condition}{data}_s{seed}{suffix}": [
            *find_bundled(condition).overrides,
            *shared,
            f"training.seed={seed}",
            *(_QUICK if arguments.quick else ()),
        ]
        for seed in range(arguments.seeds)
        for condition in CONDITIONS
    }
    with ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        waiting = {name: pool.submit(train, name, settings, arguments.device) for name, settings in plan.items()}
        cards = {name: each.result() for name, each in waiting.items()}
    groups = {
        condition: [row(card) for name, card in cards.items() if name.startswith(f"{condition}{data}_s")]
        for condition in CONDITIONS
    }
    any_card = next(iter(cards.values()))
    write(
        f"vae_collapse{data}",
        {
            "quick": arguments.quick,
            "dataset": any_card.dataset,
            "split": any_card.metrics["split"],
            "count": any_card.metrics["test_count"],
            "unit": any_card.metrics["unit"],
            "latents": any_card.config["latent_dim"],
            "active_delta": any_card.metrics["active_delta"],
            "command": f"python -m benchmarks.vae_collapse {' '.join(sys.argv[1:])}".strip(),
            "jobs": arguments.jobs,
            "summary": {condition: spread(rows) for condition, rows in groups.items()},
            "runs": groups,
            "machine": where,
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
