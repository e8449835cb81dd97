"""One process or several: the device of each, and what they sum up or tell each other.

Several processes are started with `python -m torch.distributed.run --standalone --nproc-per-node=N -m ...`; each works
on its share of every batch. In one process everything here does nothing.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import torch
import torch.distributed
from torch import Tensor, nn

from core.device import Precision, pick_device
from core.errors import ConfigError

if TYPE_CHECKING:  # the catalogue of recipes is imported where nothing is trained
    from accelerate import Accelerator

_LOCK = threading.Lock()


def start(name: str, precision: Precision) -> tuple[Accelerator, torch.device]:
    """What trains on the device called `name` ("auto", "cpu", "cuda", "cuda:1"), and that device.

    Raises:
        ConfigError: there is no such device, it cannot compute in `precision`, or it is one GPU for several processes.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    device = find_device(name)
    if precision == "fp16" and device.type == "cpu":
        raise ConfigError("A CPU cannot train in fp16.", "Set training.precision=bf16 or fp32.")
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    if several and device.index is not None:
        raise ConfigError(f"{name} is one device and this run has several processes.", "Set device=cuda or cpu.")
    with _LOCK:
        # Accelerate keeps device and precision in a global that may be set once; every training here sets its own.
        AcceleratorState._reset_state(reset_partial_state=True)
        accelerator = Accelerator(
            device_placement=False,
            cpu=device.type == "cpu",
            # Only fp16 needs its help, to scale gradients; the step itself enters autocast, for its device.
            mixed_precision="fp16" if precision == "fp16" else "no",
        )
    # Accelerate numbers the CPUs of several processes ("cpu:1"); a checkpoint from such a device cannot be loaded.
    return accelerator, accelerator.device if several and device.type != "cpu" else device


def share_gradients(accelerator: Accelerator, model: nn.Module) -> nn.Module:
    """`model` itself in one process, else wrapped so that a backward pass leaves the mean gradient on all of them.

    Batch-norm statistics are each process's own; rank 0's are the ones that are kept.
    """
    # Accelerate would fix autocast into the model's `forward`, and the model is used after training too.
    mixed, accelerator.native_amp = accelerator.native_amp, False
    wrapped = accelerator.prepare_model(model, device_placement=False)
    accelerator.native_amp = mixed
    return wrapped


def is_main() -> bool:
    """Whether this process writes files: true for one of them."""
    return rank() == 0


def rank() -> int:
    """This process's number, from 0."""
    return torch.distributed.get_rank() if _is_distributed() else 0


def world_size() -> int:
    """How many processes take part."""
    return torch.distributed.get_world_size() if _is_distributed() else 1


def sum_up(values: Tensor) -> Tensor:
    """The sum of `values` over all processes, on each of them."""
    if _is_distributed():
        torch.distributed.all_reduce(values)
    return values


def gather(value: object) -> list[object]:
    """The `value` of every process, in the order of their ranks, on each of them."""
    if not _is_distributed():
        return [value]
    values: list[object] = [None] * world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def find_device(name: str) -> torch.device:
    """The device called `name` ("auto", "cpu", "cuda", "cuda:1").

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        device = pick_device(name)
    except RuntimeError as error:
        raise ConfigError(f"{name!r} is no device.", "Set auto, cpu, cuda or cuda:0.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"There is no device {name} here: {torch.cuda.device_count()} CUDA devices were found.",
            "Set device=auto or cpu.",
        )
    return device
