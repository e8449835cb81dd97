"""Choice of device and precision; the only place that asks what hardware there is."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str = "auto") -> torch.device:
    """The device to compute on: a CUDA GPU, else Apple's MPS, else the CPU, unless `name` says which."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def device_title(name: str) -> str:
    """A device in words, a GPU with its free memory: "NVIDIA L4 (cuda:0), 21 of 22 GiB free"."""
    device = pick_device(name)
    if device.type == "cuda":
        free, total = (size / 2**30 for size in torch.cuda.mem_get_info(device))
        return f"{torch.cuda.get_device_name(device)} ({device}), {free:.0f} of {total:.0f} GiB free"
    threads = torch.get_num_threads()
    return {"cpu": f"CPU, {threads} thread{'s' * (threads > 1)}", "mps": "Apple GPU"}.get(device.type, device.type)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor`, from the CPU, on `device`, without waiting for a GPU to finish what it has been given to do."""
    return tensor.to(device, non_blocking=device.type == "cuda")


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Mixed precision on `device`: weights stay fp32, matrix products run in `precision`."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])
