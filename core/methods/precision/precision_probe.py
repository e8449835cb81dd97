"""Precision measured in a process of its own, where nothing else runs.

    python -m core.methods.precision.precision_probe timing --model vit_p4 --formats bf16,fp16 --runs 100
    python -m core.methods.precision.precision_probe memory --model vit_p4 --formats bf16

Memory on a CPU is the resident set of the process, whose peak never falls again, so it takes a fresh process for every
format. Each line on standard output is a JSON object with a "kind": plan, run, memory or error.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.device import pick_device
from core.errors import CoreError
from core.methods.precision.memory_profile import MIB
from core.methods.precision.precision import TimingPlan, ZeroShotNetwork, cast, find_format, forward, measure_latencies
from core.methods.precision.resident_memory import peak_of, resident_bytes, settle
from core.models.weights import load
from core.seeding import stream_seed, torch_generator
from core.timing import wait_for


@dataclass(frozen=True, kw_only=True)
class ProcessMemory:
    """What one process needed for one format.

    Attributes:
        loaded_mib: with the model in memory, above the process before it.
        peak_mib: during a forward pass, above the same.
        base_mib: Python and PyTorch alone (CPU), or 0 where a GPU's allocator was asked.
        reserved_mib: kept by the GPU's allocator at the peak; None on a CPU. The CUDA context comes on top.
        exact: the peak is the system's own mark, not the largest of many samples.
    """

    format: str
    device: str
    batch_size: int
    loaded_mib: float
    peak_mib: float
    base_mib: float
    reserved_mib: float | None
    exact: bool


def process_memory(
    name: str, images: torch.Tensor, number_format: str, device: torch.device, weights: np.ndarray | None
) -> ProcessMemory:
    """Load, cast, pass: for a process that has done nothing else."""
    chosen = find_format(number_format)
    # What PyTorch starts and what loading imports belong to the base.
    torch.ones(8, 8, device=device) @ torch.ones(8, 8, device=device)
    load(name)
    settle()
    base = resident_bytes()
    # The fp32 original is gone before anything is measured.
    module = cast(_network(name, weights), chosen, device)
    settle()
    loaded = resident_bytes()
    work = forward(module, images, chosen)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        work()
        wait_for(device)
        return ProcessMemory(
            format=number_format,
            device=str(device),
            batch_size=len(images),
            loaded_mib=sum(each.nbytes for each in [*module.parameters(), *module.buffers()]) / MIB,
            peak_mib=torch.cuda.max_memory_allocated(device) / MIB,
            base_mib=0.0,
            reserved_mib=torch.cuda.max_memory_reserved(device) / MIB,
            exact=True,
        )
    peak, exact = peak_of(work)
    return ProcessMemory(
        format=number_format,
        device=str(device),
        batch_size=len(images),
        loaded_mib=(loaded - base) / MIB,
        peak_mib=(peak - base) / MIB,
        base_mib=base / MIB,
        reserved_mib=None,
        exact=exact,
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure what the command line says; a `CoreError` is one line and exit status 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("timing", "memory"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--formats", default="bf16", help="Names, with commas between them.")
    parser.add_argument("--batch", type=Path, help="Preprocessed images, (n, 3, height, width) float32 in a .npy file.")
    parser.add_argument("--batch-size", type=int, default=1, help="Images of noise, where there is no --batch.")
    parser.add_argument(
        "--text-weights", type=Path, help="(labels, dim) in a .npy file, for models of images and texts."
    )
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--warmups", type=int, default=10)
    parser.add_argument("--budget", type=float, default=120.0, help="Seconds that a format may take in all.")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="0 is as many as PyTorch chooses.")
    chosen = parser.parse_args(arguments)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    try:
        device = pick_device(chosen.device)
        weights = np.load(chosen.text_weights) if chosen.text_weights else None
        names = chosen.formats.split(",")
        images = _images(chosen)
        if chosen.what == "memory":
            if len(names) != 1:
                raise CoreError(f"Got {len(names)} formats; memory takes a fresh process for each.", "Name one.")
            _say("memory", dataclasses.asdict(process_memory(chosen.model, images, names[0], device, weights)))
        else:
            _time(chosen, images, names, device, weights)
    except CoreError as error:
        _say("error", {"cause": error.cause, "remedy": error.remedy})
        return 1
    return 0


def _time(
    chosen: Any, images: torch.Tensor, names: list[str], device: torch.device, weights: np.ndarray | None
) -> None:
    measuring = measure_latencies(
        _network(chosen.model, weights),
        images,
        [find_format(name) for name in names],
        device=device,
        runs=chosen.runs,
        warmups=chosen.warmups,
        budget_s=chosen.budget,
    )
    for report in measuring:
        _say("plan" if isinstance(report, TimingPlan) else "run", dataclasses.asdict(report))


def _network(name: str, weights: np.ndarray | None) -> torch.nn.Module:
    module = load(name).module
    if weights is None:
        return module
    return ZeroShotNetwork.of(module, weights)


def _images(chosen: Any) -> torch.Tensor:
    if chosen.batch is not None:
        return torch.from_numpy(np.load(chosen.batch))
    size = load(chosen.model).network.preprocessing.size
    return torch.rand(chosen.batch_size, 3, size, size, generator=torch_generator(stream_seed("probe images")))


def _say(kind: str, values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"kind": kind, **values}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
