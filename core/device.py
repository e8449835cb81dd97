"""Choice of device and precision; the only place that asks what hardware there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from threading import Barrier
from typing import Literal, TypeVar

import torch
from torch import Tensor

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Item = TypeVar("Item")
Result = TypeVar("Result")

# More batches at once than this would need much memory; the threads are then shared out among them.
MOST_STREAMS = 8


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


class Streams:
    """Batches side by side on the cores of a CPU, each on few threads, instead of one after the other on all.

    A small network's layers are too short to be shared out: with two threads a batch of 64 images of a 192-wide, 6-deep
    ViT took 15.6 ms of processor time an image, with one thread 5.4, and on a machine that does something else besides,
    threads that wait for each other wait long. On a GPU, or with one thread, `map` is a plain loop.
    """

    def __init__(self, device: torch.device | None) -> None:
        """device: None to have a plain loop anyway."""
        self._threads = torch.get_num_threads()
        self.count = min(self._threads, MOST_STREAMS) if device is not None and device.type == "cpu" else 1
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Streams:
        if self.count > 1:
            barrier = Barrier(self.count)

            def prepare() -> None:
                torch.set_num_threads(self._threads // self.count)
                torch.get_num_threads()  # asked once, a thread keeps its number whatever is set elsewhere
                barrier.wait()

            self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="stream", initializer=prepare)
            # A pool starts its threads one by one as work comes in; each waits in `prepare` for the last.
            list(self._pool.map(lambda _: None, range(self.count)))
            # PyTorch keeps the number for threads to come, beside an own one in each that has begun.
            torch.set_num_threads(self._threads)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`work` of every item, in order."""
        if self._pool is None:
            return [work(item) for item in items]
        return list(self._pool.map(work, items))


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor`, from the CPU, on `device`, without waiting for a GPU to finish what it has been given to do."""
    return tensor.to(device, non_blocking=device.type == "cuda")


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Mixed precision on `device`: weights stay fp32, matrix products run in `precision`."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])
