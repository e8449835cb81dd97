"""How long a forward pass takes: the whole distribution, by `core.timing`, and under which conditions."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from core.precision_choice import processor_name
from core.timing import in_turns


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """The timed runs of one pass, in the order they were made: `milliseconds` (runs,) float32."""

    milliseconds: np.ndarray

    def __len__(self) -> int:
        return len(self.milliseconds)

    @property
    def mean(self) -> float:
        return float(self.milliseconds.mean())

    @property
    def std(self) -> float:
        """Sample standard deviation; 0 for a single run."""
        return float(self.milliseconds.std(ddof=1)) if len(self) > 1 else 0.0

    @property
    def median(self) -> float:
        return float(np.median(self.milliseconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        low, high = np.percentile(self.milliseconds, [25, 75])
        return float(low), float(high)

    @property
    def minimum(self) -> float:
        return float(self.milliseconds.min())


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a latency depends on besides the model, its input and the number format.

    Attributes:
        device: in words.
        capability: what the CPU's kernels may use ("AVX512"), or the GPU's compute capability.
        tf32: matrix products and convolutions of fp32 on a GPU: whether they are rounded to TF32; empty on a CPU.
        load: other work on the machine: the one-minute load average when measuring began; None where there is none.
    """

    device: str
    capability: str
    threads: int
    torch: str
    tf32: str
    cudnn: str
    load: float | None

    def sentence(self) -> str:
        """In one line, for captions."""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        parts = [f"{self.device} ({self.capability})", threads, f"torch {self.torch}", self.tf32, self.cudnn]
        if self.load is not None:
            parts.append(f"load {self.load:.1f} on {os.cpu_count()} cores")
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True)
class TimedRun:
    """One run that was just timed: of which pass, and how many of all are done."""

    name: str
    milliseconds: float
    done: int
    total: int


def conditions(device: torch.device) -> Conditions:
    """The state of this machine and of torch's switches, now."""
    on_gpu = device.type == "cuda"
    tf32 = cudnn = ""
    if on_gpu:
        matmul = "on" if torch.backends.cuda.matmul.allow_tf32 else "off"
        convolution = "on" if torch.backends.cudnn.allow_tf32 else "off"
        tf32 = f"TF32 {matmul} for products, {convolution} for convolutions"
        tuned = "on" if torch.backends.cudnn.benchmark else "off"
        fixed = "on" if torch.backends.cudnn.deterministic else "off"
        cudnn = f"cuDNN {torch.backends.cudnn.version()}, benchmark {tuned}, deterministic {fixed}"
    capability = torch.backends.cpu.get_cpu_capability()
    if on_gpu:
        capability = "compute capability " + ".".join(map(str, torch.cuda.get_device_capability(device)))
    return Conditions(
        device=torch.cuda.get_device_name(device) if on_gpu else f"CPU {processor_name()}".strip(),
        capability=capability,
        threads=torch.get_num_threads(),
        torch=torch.__version__.partition("+")[0],
        tf32=tf32,
        cudnn=cudnn,
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    )


def interleaved_runs(
    passes: Mapping[str, Callable[[], object]], *, runs: int, warmups: int, device: torch.device
) -> Generator[TimedRun, None, dict[str, Latencies]]:
    """Time each of `passes` `runs` times, in turns; yields after every run, where it can be stopped.

    A caller that stops early has what was yielded.
    """
    found: dict[str, list[float]] = {name: [] for name in passes}
    turns = in_turns(passes, device, rounds=runs, warmups=warmups)
    for done, (name, seconds) in enumerate(turns, 1):
        found[name].append(1e3 * seconds)
        yield TimedRun(name=name, milliseconds=found[name][-1], done=done, total=runs * len(passes))
    return {name: Latencies(milliseconds=np.array(values, dtype=np.float32)) for name, values in found.items()}
