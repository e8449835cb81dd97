"""Classification against bare network calls and against a plain loop: python -m benchmarks.diffusion_classifier.

    python -m benchmarks.diffusion_classifier --model diffusion_small --images 3 --repeats 3 --threads 1
    python -m core train diffusion_zero_shot --name grid --set test_split=val --set images=300 --set full_grid=true
    python -m benchmarks.diffusion_classifier --pruning-of grid        what pruning saves, and how often it agrees
    python -m benchmarks.diffusion_classifier --pruning-of grid-1 --left-out 0:300        of a grid with another seed

The grid of `results/diffusion_pruning.json` is of 300 test images; the bundled pipeline's forecast was learned, and its
settings were chosen, on validation images.

Overhead: `classify` without pruning against the same number of calls of the bare UNet, in the same batches. Speed: the
same classification against the obvious loop, class by class and sample by sample, one latent a call, which computes
every text embedding once. The sides take turns (A/B/A/B) on the same images; ratios are of medians, and both must find
the same errors. So is the forecast of prompts that leave, which looks after every few calls and asks in small batches,
against the bare network in just these batches. On a CPU the seconds are the processor's. Memory on a CPU is the peak of
a fresh process for every batch size, above the process with the model loaded; on a GPU the allocator's. `--pruning-of`
replays plans on the errors that such a run wrote down.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.report import machine, parse, write
from core.data.catalogue import read_dataset, sample_images
from core.data.prompts import dataset_labels, fill_template
from core.data.transforms import to_batch
from core.errors import CoreError
from core.experiments.evaluation import PREDICTIONS, RESULT
from core.methods.diffusion.diffusion_batch import fitting_batch
from core.methods.diffusion.diffusion_classifier import Classification, classify, replay
from core.methods.diffusion.elimination_cost import Replayed, plan_words, replay_all, replayed_plans, trail
from core.methods.diffusion.forecast import fitting_covariance
from core.methods.diffusion.sampling_plan import Plan, sample_time_steps
from core.methods.precision.memory_profile import MIB
from core.methods.precision.resident_memory import peak_of, resident_bytes, settle
from core.models.diffusion import LatentDiffusion
from core.models.weights import load
from core.paths import CHECKOUT, runs_root
from core.reports import finish
from core.runs.store import RunFolder
from core.seeding import stream
from core.timing import seconds_of

TEMPLATE = "a photo of a {}."


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A pipeline on its device with the prompts read, and some latents to classify."""

    module: LatentDiffusion
    prompts: Tensor
    latents: Tensor
    plan: Plan

    def classification(self, latent: Tensor, batch_size: int) -> Classification:
        """What the project does."""
        denoise = self.module.denoiser(self.prompts)
        alphas = self.module.alphas_cumprod
        return finish(classify(denoise, latent, len(self.prompts), alphas, self.plan, batch_size=batch_size))

    def bare_calls(self, latent: Tensor, sizes: list[int]) -> None:
        """The UNet alone, in batches of these sizes."""
        with torch.inference_mode():
            for size in sizes:
                steps = torch.full((size,), 500, device=latent.device)
                states = self.prompts[torch.arange(size, device=latent.device) % len(self.prompts)]
                self.module.unet(latent.expand(size, *latent.shape).contiguous(), steps, encoder_hidden_states=states)

    def plain_loop(self, latent: Tensor) -> np.ndarray:
        """Class by class and sample by sample, as one would write it first: (samples, prompts) noise errors."""
        alphas = torch.from_numpy(self.module.alphas_cumprod).float().to(latent.device)
        steps = sample_time_steps(self.plan, len(alphas))
        errors = np.empty((len(steps), len(self.prompts)), dtype=np.float32)
        with torch.inference_mode():
            for prompt in range(len(self.prompts)):
                states = self.prompts[prompt : prompt + 1]
                for sample, step in enumerate(steps):
                    # The classification's own noise, so that the errors can be compared.
                    seed = int(np.random.default_rng((self.plan.seed, sample)).integers(2**62))
                    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed)).to(latent.device)
                    kept = alphas[step]
                    noised = (kept.sqrt() * latent + (1 - kept).sqrt() * noise)[None]
                    at = torch.tensor([int(step)], device=latent.device)
                    predicted = self.module.unet(noised, at, encoder_hidden_states=states).sample
                    predicted = self.module.to_noise(predicted, noised, at)[0]
                    errors[sample, prompt] = (predicted - noise).square().mean().item()
        return errors


def prepare(name: str, dataset: str, images: int, samples: int) -> Bench:
    """Load the pipeline, read the prompts, encode some test images."""
    model = load(name)
    model.spec.require("text_to_image", "This benchmark")
    module = cast(LatentDiffusion, model.module)
    info = read_dataset(dataset)
    labels = dataset_labels(info["classes"], info.get("class_titles"))
    pictures = [image for image, _ in sample_images(dataset, "test", images, 0)]
    with torch.inference_mode():
        prompts = module.embed_prompts([fill_template(TEMPLATE, label) for label in labels])
        latents = module.encode(to_batch(pictures, model.network.preprocessing).to(module.device))
    return Bench(
        module=module, prompts=prompts, latents=latents, plan=Plan(pruning="none", samples=samples, look_every=20)
    )


def compare(bench: Bench, batch_size: int, repeats: int) -> dict[str, Any]:
    """Classification, bare calls and plain loop in turns over every image."""
    device, pairs = bench.module.device, len(bench.prompts) * bench.plan.look_every
    sizes = [min(batch_size, pairs - start) for start in range(0, pairs, batch_size)]
    sizes = sizes * (bench.plan.samples // bench.plan.look_every)
    assert sum(sizes) == len(bench.prompts) * bench.plan.samples
    classifications = [bench.classification(latent, batch_size) for latent in bench.latents]  # the warm-up of both
    assert [classification.batches for classification in classifications] == [len(sizes)] * len(classifications), (
        "the same batches on both sides"
    )
    bench.bare_calls(bench.latents[0], sizes[:1])
    differences = [
        float(np.abs(bench.plain_loop(latent) - classification.noise_error).max() / classification.noise_error.mean())
        for latent, classification in zip(bench.latents, classifications, strict=True)
    ]
    seconds: dict[str, list[float]] = {"classification": [], "bare_calls": [], "plain_loop": []}
    for _ in range(repeats):
        for latent in bench.latents:
            seconds["classification"].append(spent(lambda z=latent: bench.classification(z, batch_size), device))  # type: ignore[misc]
            seconds["bare_calls"].append(spent(lambda z=latent: bench.bare_calls(z, sizes), device))  # type: ignore[misc]
            seconds["plain_loop"].append(spent(lambda z=latent: bench.plain_loop(z), device))  # type: ignore[misc]
    median = {name: statistics.median(values) for name, values in seconds.items()}
    # Of neighbours in time: what else the machine does slows both.
    overheads = [one / other - 1 for one, other in zip(seconds["classification"], seconds["bare_calls"], strict=True)]
    gains = [other / one for one, other in zip(seconds["classification"], seconds["plain_loop"], strict=True)]
    return {
        "calls_an_image": sum(sizes),
        "batch_size": batch_size,
        "seconds_an_image": {name: [round(value, 4) for value in values] for name, values in seconds.items()},
        "median_seconds_an_image": median,
        "overhead_over_bare_calls": median["classification"] / median["bare_calls"] - 1,
        "median_of_paired_overheads": statistics.median(overheads),
        "times_faster_than_plain_loop": median["plain_loop"] / median["classification"],
        "median_of_paired_gains": statistics.median(gains),
        "largest_relative_difference_of_errors": max(differences),
    }


def spent(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call: of the processor, which other work on the machine hardly changes, or until a GPU is idle."""
    if device.type != "cpu":
        return seconds_of(work, device)
    began = time.process_time()
    work()
    return time.process_time() - began


def forecast_cost(bench: Bench, batch_size: int, repeats: int) -> dict[str, Any]:
    """The usual classification, which decides after every few calls, against the bare network in the same batches."""
    plan, denoise, device = Plan(), bench.module.denoiser(bench.prompts), bench.module.device
    sizes: list[int] = []

    def counting(latents: Tensor, steps: Tensor, which: Tensor) -> Tensor:
        sizes.append(len(latents))
        return denoise(latents, steps, which)

    def classified(latent: Tensor) -> Classification:
        sizes.clear()
        return finish(
            classify(
                counting, latent, len(bench.prompts), bench.module.alphas_cumprod, plan, batch_size=batch_size,
                covariance=bench.module.differences,
            )
        )  # fmt: skip

    calls, ours, bare = [], [], []
    for number in range(repeats + 1):
        for latent in bench.latents:
            seconds = spent(lambda z=latent: classified(z), device)  # type: ignore[misc]
            asked = list(sizes)
            limit = spent(lambda z=latent, n=asked: bench.bare_calls(z, n), device)  # type: ignore[misc]
            if number:  # the first round warms both up
                calls.append(sum(asked))
                ours.append(seconds)
                bare.append(limit)
    return {
        "plan": plan_words(plan),
        "calls_an_image": statistics.mean(calls),
        "seconds_an_image": statistics.mean(ours),
        "overhead_over_bare_calls": sum(ours) / sum(bare) - 1,
        "median_of_paired_overheads": statistics.median(a / b - 1 for a, b in zip(ours, bare, strict=True)),
    }


def memory(bench: Bench, batch_size: int) -> float:
    """MiB that passes of this batch size add to the process (CPU), or that the allocator held at most (GPU)."""
    device = bench.module.device
    if device.type == "cuda":
        bench.bare_calls(bench.latents[0], [1])  # workspaces that stay
        torch.cuda.reset_peak_memory_stats(device)
        bench.bare_calls(bench.latents[0], [batch_size])
        return torch.cuda.max_memory_allocated(device) / MIB
    settle()
    before = resident_bytes()
    peak, _ = peak_of(lambda: bench.bare_calls(bench.latents[0], [batch_size] * 2))
    return (peak - before) / MIB


def memory_by_batch(arguments: argparse.Namespace, sizes: list[int]) -> dict[str, float]:
    """MiB by batch size, a fresh process each: a process's peak never falls again."""
    found = {}
    for size in sizes:
        command = [sys.executable, "-m", "benchmarks.diffusion_classifier", "--model", arguments.model]
        command += ["--dataset", arguments.dataset, "--threads", str(arguments.threads), "--memory-of", str(size)]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True, encoding="utf-8")
        found[str(size)] = round(float(json.loads(done.stdout.splitlines()[-1])["mib"]), 1)
    return found


def new_images(summary: dict[str, Any], images: int, known: str) -> np.ndarray:
    """(images,) which pictures of a run are not among those that another seed drew: `known` is SEED:COUNT, or empty."""
    of_all = summary["of_images"]
    seed, count = map(int, known.split(":")) if known else (0, 0)
    drawn, before = (stream("sample pictures", each).permutation(of_all) for each in (summary["seed"], seed))
    return ~np.isin(drawn[:images], before[:count])


def pruning(name: str, known: str = "") -> dict[str, Any]:
    """What today's plans would have cost on a finished full grid, and how right fewer samples would be.

    `known`: of pictures to leave out, as for `new_images`.
    """
    run = RunFolder(runs_root() / name)
    config = run.read_spec().config
    if not config.get("full_grid"):
        raise CoreError(f"{name!r} is no full grid.", "Train it with --set full_grid=true.")
    summary = json.loads((run.path / RESULT).read_text(encoding="utf-8"))
    with np.load(run.path / PREDICTIONS, allow_pickle=False) as stored:
        new = new_images(summary, len(stored["label"]), known)
        columns = (stored[each][new] for each in ("noise_error", "reconstruction_error", "time_steps"))
        errors = zip(*columns, strict=True)
        plan, labels = Plan(samples=stored["noise_error"].shape[1]), stored["label"][new]
        pipeline = cast(LatentDiffusion, load(summary["model"]).module)
        schedule = len(pipeline.alphas_cumprod)
        unpruned = replace(plan, pruning="none")
        grids = [replay(noise, picture, steps, unpruned, schedule) for noise, picture, steps in errors]
    leaders = np.stack([trail(grid)[0] for grid in grids])
    plans = replayed_plans(plan, len(summary["labels"]))
    jaini = replace(plan, pruning="t_test", least_samples=20, threshold=2e-3)
    found = [replay_all(grids, labels, each, schedule, pipeline.differences) for each in (*plans, jaini)]
    plain = replay_all(grids, labels, plan, schedule)
    samples = [count for count in (1, 2, 5, 10, 20, 50, 100, 200, 500) if count <= plan.samples]
    kept = ("command", "model", "dataset_title", "split", "of_images", "precision", "batch_size", "threads", "seed")
    return {key: summary[key] for key in (*kept, "call_seconds", "other_objective", "others")} | {
        "images": len(labels),
        "full_evaluation": f"{plan.samples} samples of every prompt, time steps uniform at random, squared noise error",
        "forecast_learned_on": fitting_covariance(pipeline.differences, plan).source,
        "right_after_samples": {count: float((leaders[:, count - 1] == labels).mean()) for count in samples},
        "plans": [_row(each) for each in found],
        "forecast_of_nothing_learned": _row(plain),
    }


def _row(found: Replayed) -> dict[str, Any]:
    tested = f", first look after {found.plan.least_samples}" * (found.plan.pruning == "t_test")
    return {
        "words": plan_words(found.plan) + tested,
        "calls": found.calls,
        "saved": found.saved,
        "same": [found.same.value, *found.same.interval],
        "right": [found.right.value, *found.right.interval],
    }


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/diffusion_classifier.json`, or `results/diffusion_pruning.json` with a full grid."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="diffusion_small", help="Of the catalogue, or folder:PATH of a pipeline.")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--images", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--batch", type=int, default=0, help="0 measures what fits.")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory-batches", default="1,8,32,128")
    parser.add_argument("--pruning-of", default="", metavar="RUN", help="A full grid; nothing else is measured then.")
    parser.add_argument("--left-out", default="", metavar="SEED:COUNT", help="Pictures that another grid had.")
    parser.add_argument("--memory-of", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parse(parser, words, images=1, repeats=1, samples=20, memory_batches="1")
    torch.set_num_threads(arguments.threads)
    if arguments.memory_of:
        print(json.dumps({"mib": memory(prepare(arguments.model, arguments.dataset, 1, 20), arguments.memory_of)}))
        return
    where = machine()
    if arguments.pruning_of:
        write("diffusion_pruning", pruning(arguments.pruning_of, arguments.left_out))
        return
    if arguments.samples % 20:
        parser.error("--samples must be a multiple of 20, so that both sides have the same batches")
    bench = prepare(arguments.model, arguments.dataset, arguments.images, arguments.samples)
    pairs = len(bench.prompts) * bench.plan.look_every
    fits = fitting_batch(bench.module.denoiser(bench.prompts), bench.latents[0], most=pairs)
    result = compare(bench, min(arguments.batch or fits, pairs), arguments.repeats)
    sizes = [int(size) for size in arguments.memory_batches.split(",")]
    write(
        "diffusion_classifier",
        {
            "model": arguments.model,
            "dataset": read_dataset(arguments.dataset)["title"],
            "parameters": sum(each.numel() for each in bench.module.unet.parameters()),
            "prompts": len(bench.prompts),
            "samples": arguments.samples,
            "images": arguments.images,
            "repeats": arguments.repeats,
            "measured_batch_that_fits": fits,
            **result,
            "forecast": forecast_cost(bench, min(arguments.batch or fits, pairs), arguments.repeats),
            "mib_by_batch": memory_by_batch(arguments, sizes),
            "machine": {**where, "load_after": [round(value, 2) for value in os.getloadavg()]},
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
