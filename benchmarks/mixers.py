"""Six token mixers in one network, several seeds each: accuracy, cost, and what each patch has come to read.

    python -m benchmarks.mixers --device cuda --seeds 3 --parallel 3 --minutes 9     again until nothing is left
    python -m benchmarks.mixers --device cpu --seeds 1 --prefix try_ --set training.epochs=1 --set max_images=2000

Trains with the settings of the bundled models, as ordinary runs: what is finished is left alone, what was interrupted
goes on. The runs of seed 0 are those that `python -m core bundle mixer_pre --install` puts into checkpoints/. When all
are finished, `results/mixers.json` has for each operator

- test accuracy: every seed's with its interval over images, their mean with its interval over seeds (Student's t);
- parameters, and multiply-adds of one image: torch's counter, which counts products of matrices and convolutions, plus
  the products of single numbers that are the operators' own;
- images a second, measured after the trainings one network after the other, the best of several batches;
- the receptive field of the centre patch after the last block, measured by gradient on validation images.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.kept_runs import prepared_run
from benchmarks.report import machine, parse, write
from core.data.arrays import load_arrays
from core.data.transforms import Normalisation, normalise
from core.device import autocast, pick_device
from core.experiments.bundled import BUNDLED_RUNS, BundledRun
from core.methods.operators.receptive_field import network_receptive_field
from core.models.checkpoint import ModelCard, load_model, read_card
from core.models.mixer import MixerNetwork
from core.runs.store import RunFolder
from core.timing import seconds_of

ROWS = tuple(row for row in BUNDLED_RUNS if row.recipe == "mixer_scratch")
FIELD_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One operator's runs, seed by seed."""

    operator: str
    folders: tuple[RunFolder, ...]

    @property
    def cards(self) -> list[ModelCard]:
        return [read_card(folder.model) for folder in self.folders]


def prepare(row: BundledRun, seed: int, prefix: str, settings: Sequence[str], device: str) -> RunFolder:
    """The run of one seed, made now or earlier."""
    pairs = [*row.overrides, *([f"training.seed={seed}"] if seed else []), *settings]
    return prepared_run("mixer_scratch", prefix + row.name + (f"_s{seed}" if seed else ""), pairs, device)


def train(runs: Sequence[RunFolder], parallel: int, minutes: float) -> list[RunFolder]:
    """Finish `runs`, `parallel` at a time; returns those that are left when time is over.

    A network this small keeps a GPU waiting for Python most of the time: several processes take turns.
    """
    waiting = [run for run in runs if not (run.model / "card.json").is_file()]
    end, working = time.monotonic() + 60 * minutes, dict[subprocess.Popen[bytes], RunFolder]()
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // parallel))
    while waiting or working:
        while waiting and len(working) < parallel:
            run = waiting.pop(0)
            run.stop.unlink(missing_ok=True)
            with run.log.open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "core.launch.worker", str(run.path)],
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "OMP_NUM_THREADS": threads},
                )
            working[process] = run
        time.sleep(0.2)
        for process, run in [*working.items()]:
            if process.poll() is None:
                continue
            del working[process]
            print(f"{run.name}: {last_line(run)}", flush=True)
            if process.returncode:
                waiting.clear()
        if time.monotonic() > end:
            waiting.clear()
            for run in working.values():
                run.stop.touch()  # it saves a checkpoint first
    return [run for run in runs if not (run.model / "card.json").is_file()]


def last_line(run: RunFolder) -> str:
    """What the run said last: its last epoch, or why it failed."""
    text = run.log.read_text(encoding="utf-8", errors="replace").strip()
    return text.splitlines()[-1] if text else "nothing was said"


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation and 95 % interval of the mean; the latter two need more than one seed."""
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return {"mean": float(array.mean()), "std": None, "interval_95": None}
    half = float(stats.sem(array) * stats.t.ppf(0.975, len(array) - 1))
    return {
        "mean": float(array.mean()),
        "std": float(array.std(ddof=1)),
        "interval_95": [float(array.mean()) - half, float(array.mean()) + half],
    }


def multiply_adds(network: MixerNetwork) -> dict[str, int]:
    """Of one image: those in products of matrices and convolutions, and those that multiply number by number."""
    config = network.config
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, config.channels, config.image_size, config.image_size))
    values = config.depth * config.grid[0] * config.grid[1] * config.embed_dim
    single = {
        "attention_modulated_convolution": 2 * config.kernel_size**2 * values,
        "convolution_modulated_attention": values,
    }.get(config.operator, 0)
    return {"products": counter.get_total_flops() // 2, "number_by_number": single}


def images_per_second(
    network: MixerNetwork, device: torch.device, *, training: bool, batch: int, repeats: int
) -> float:
    """The best of `repeats` batches, forward or forward and backward, in bf16 on a GPU."""
    network = network.to(device).train(training)
    images = torch.randn(batch, 3, network.config.image_size, network.config.image_size, device=device)
    labels = torch.zeros(batch, dtype=torch.long, device=device)

    def step() -> None:
        with autocast(device, "bf16" if device.type == "cuda" else "fp32"):
            logits = network(images)
        if training:
            F.cross_entropy(logits.float(), labels).backward()

    with torch.set_grad_enabled(training):
        seconds = [seconds_of(step, device) for _ in range(repeats + 3)][3:]
    network.zero_grad()
    network.cpu().eval()
    return batch / min(seconds)


def receptive_field(network: MixerNetwork, images: Tensor) -> dict[str, float]:
    """Of the centre patch, in shares of all pixels."""
    found = network_receptive_field(network, images)
    pixels = found.gradient.size
    return {
        "theoretical_share": float(found.theoretical.mean()),
        "area_holding_half": found.area(0.5) / pixels,
        "area_holding_90_percent": found.area(0.9) / pixels,
    }


@torch.inference_mode()
def weights_kept(network: MixerNetwork, images: Tensor) -> list[float] | None:
    """Mean weight of a patch for itself in each block, where positions are mixed by weights; uniform is 1 / patches."""
    mixed = network.trace_mixers(images).mixed
    found = [each.weights for each in mixed]
    if any(weights is None for weights in found):
        return None
    return [float(weights.diagonal(dim1=-2, dim2=-1).mean()) for weights in cast(list[Tensor], found)]


def describe(trained: Trained, device: torch.device, repeats: int) -> dict[str, Any]:
    """Everything that the module's docstring promises of one operator."""
    cards = trained.cards
    networks = [cast(MixerNetwork, load_model(folder.model)) for folder in trained.folders]
    first, card = networks[0], cards[0]
    split = load_arrays(trained.folders[0].read_spec().config["dataset"], "val")
    rows = np.sort(np.random.default_rng(0).permutation(len(split))[:FIELD_IMAGES])
    pixels = torch.from_numpy(np.array(split.images[rows]))
    images = normalise(pixels, Normalisation(mean=tuple(card.mean), std=tuple(card.std)))
    batch = 512 if device.type == "cuda" else 64
    names = ("test", "val") if "test_accuracy" in card.metrics else ("val",)
    return {
        "accuracy": over_seeds([each.metrics[f"{names[0]}_accuracy"] for each in cards]),
        "split": names[0],
        "seeds": [
            {
                "run": folder.name,
                **{key: each.metrics[key] for key in ("seed", *(f"{names[0]}_{what}" for what in _MEASURED))},
                "last_val_accuracy": each.history[-1]["val_accuracy"],
                "command": each.command,
            }
            for folder, each in zip(trained.folders, cards, strict=True)
        ],
        "parameters": sum(parameter.numel() for parameter in first.parameters()),
        "mlp_dim": first.config.mlp_dim,
        "multiply_adds": multiply_adds(first),
        "images_per_second": {
            "batch": batch,
            "forward": images_per_second(first, device, training=False, batch=batch, repeats=repeats),
            "forward_and_backward": images_per_second(first, device, training=True, batch=batch, repeats=repeats),
        },
        "receptive_field": [receptive_field(network, images) for network in networks],
        "own_weight_by_block": [weights_kept(network, images) for network in networks],
        "model": card.config,
        "recipe": card.recipe,
    }


_MEASURED = ("accuracy", "interval_95", "count", "loss")


def main(words: list[str] | None = None) -> int:
    """Train what is missing; once nothing is, measure and write `results/mixers.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="instead of the bundled models'; needs a --prefix")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--prefix", default="", help="of the names of runs, for settings other than the bundled ones")
    parser.add_argument("--only", help="operators' runs by name, such as mixer_pre,mixer_conv; writes no results")
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e6, help="stop then, saving checkpoints; call again")
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parse(parser, words, seeds=1, epochs=1, prefix="quick_", repeats=1)
    settings = [*([f"training.epochs={arguments.epochs}"] if arguments.epochs else []), *arguments.settings]
    if settings and not arguments.prefix:
        parser.error("runs with other settings than the bundled models need a --prefix of their own")
    chosen = arguments.only.split(",") if arguments.only else [row.name for row in ROWS]
    seeds, rows = range(arguments.seeds), [row for row in ROWS if row.name in chosen]
    # Seed by seed, so that an early end leaves every operator with as many.
    runs = {
        (row.name, seed): prepare(row, seed, arguments.prefix, settings, arguments.device)
        for seed in seeds
        for row in rows
    }
    left = train(list(runs.values()), arguments.parallel, arguments.minutes)
    if left:
        print(f"{len(left)} of {len(runs)} runs are not finished: {', '.join(run.name for run in left)}. Call again.")
        return 1
    if len(rows) < len(ROWS):
        return 0
    device, results = pick_device(arguments.device), {}
    for row in rows:
        folders = tuple(runs[row.name, seed] for seed in seeds)
        operator = folders[0].read_spec().config["model"]["operator"]
        results[operator] = describe(Trained(operator=operator, folders=folders), device, arguments.repeats)
        print(operator, results[operator]["accuracy"], flush=True)
    write(
        "mixers" if arguments.quick else f"{arguments.prefix}mixers",
        {
            "command": "python -m benchmarks.mixers " + " ".join(sys.argv[1:]),
            "field_images": f"{FIELD_IMAGES} of the validation images",
            "operators": results,
            "machine": machine(),
        },
        quick=arguments.quick,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
