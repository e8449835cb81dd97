"""Choice of device and precision; the only place that asks what hardware there is.

A model lives on one device, chosen when it is loaded (`core.models.weights.load`). Whoever uses it asks it where it is
(`device_of`) and brings what it is given there (`as_input_of`); nobody moves a module that somebody else made.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from threading import Barrier
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

from core.errors import ConfigError
from core.files import write_json
from core.paths import settings_file

if TYPE_CHECKING:  # imported by who computes: pages show what is known already before PyTorch is there
    import torch
    from torch import Tensor, nn

Precision = Literal["fp32", "bf16", "fp16"]

Arguments = ParamSpec("Arguments")
Item = TypeVar("Item")
Result = TypeVar("Result")

# More batches at once than this would need much memory; the threads are then shared out among them.
MOST_STREAMS = 8


# A model with more parameters than this is computed in half precision on a GPU: half the memory and a multiple of the
# speed, where full precision would not fit beside anything else. Stable Diffusion has 1,066 million, a ViT-L/16 304.
LARGE_PARAMETERS = 500_000_000


def pick_device(name: str = "auto") -> torch.device:
    """The device to compute on.

    `name` says which; "auto" is what `VITRINE_DEVICE` says, else what was chosen on Home, else a CUDA GPU, else Apple's
    MPS, else the CPU.

    Raises:
        ConfigError: there is no such device on this machine.
    """
    import torch

    wish = name if name != "auto" else wished_device()
    if wish != "auto":
        return _checked(wish)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def wished_device() -> str:
    """What the setting says: `VITRINE_DEVICE`, else what `choose_device` wrote down, else "auto"."""
    if named := os.environ.get("VITRINE_DEVICE", "").strip():
        return named
    try:
        chosen = json.loads(settings_file().read_text(encoding="utf-8")).get("device")
    except (OSError, ValueError, AttributeError):
        return "auto"
    # A settings file from a machine that had another device must not keep the app from opening.
    return chosen if isinstance(chosen, str) and chosen in known_devices() else "auto"


def choose_device(name: str) -> None:
    """Write down what "auto" means on this machine from now on; models that are loaded stay where they are.

    Raises:
        ConfigError: there is no such device on this machine.
    """
    if name != "auto":
        _checked(name)
    write_json(settings_file(), {"device": name})


def known_devices() -> tuple[str, ...]:
    """Every device of this machine by name, the fastest first; the last is "cpu"."""
    import torch

    gpus = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count())) if torch.cuda.is_available() else ()
    mps = ("mps",) if torch.backends.mps.is_available() else ()
    return (*(("cuda",) if gpus else ()), *(gpus if len(gpus) > 1 else ()), *mps, "cpu")


def _checked(name: str) -> torch.device:
    """The device called `name`, if this machine has it."""
    import torch

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"{name!r} is no device.", f"Choose one of: auto, {', '.join(known_devices())}.") from error
    missing = (device.type == "cuda" and (device.index or 0) >= _cuda_count()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise ConfigError(
            f"There is no device {name!r} on this machine.", f"Choose one of: auto, {', '.join(known_devices())}."
        )
    return device


def _cuda_count() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def device_of(module: object) -> torch.device:
    """Where a module lives: the device of its first parameter or buffer; the CPU for what has neither."""
    import torch

    first = _first_tensor(module)
    return torch.device("cpu") if first is None else first.device


def as_input_of(module: object, images: Tensor) -> Tensor:
    """`images` on the module's device and, if they are floating point, in the format of its weights."""
    first = _first_tensor(module)
    if first is None:
        return images
    return images.to(first.device, first.dtype if images.is_floating_point() else None)


def _first_tensor(module: object) -> Tensor | None:
    """The first floating-point parameter or buffer of a module; None where there is none."""
    from torch import nn

    if not isinstance(module, nn.Module):
        return None
    tensors = itertools.chain(module.parameters(), module.buffers())
    return next((tensor for tensor in tensors if tensor.is_floating_point()), None)


def weights_dtype(module: nn.Module, device: torch.device) -> torch.dtype:
    """The format in which a model's weights are kept for inference: fp16 for large ones on a CUDA GPU, else fp32."""
    import torch

    count = sum(parameter.numel() for parameter in module.parameters())
    return torch.float16 if device.type == "cuda" and count > LARGE_PARAMETERS else torch.float32


def device_title(name: str) -> str:
    """A device in words, a GPU with its free memory: "NVIDIA L4 (cuda:0), 21 of 22 GiB free"."""
    import torch

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
        import torch

        self._threads = torch.get_num_threads()
        self.count = min(self._threads, MOST_STREAMS) if device is not None and device.type == "cpu" else 1
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Streams:
        import torch

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
    import torch

    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype_of(precision))


def dtype_of(precision: str) -> torch.dtype:
    """The format of "fp32", "bf16" or "fp16"."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def inference(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`torch.inference_mode` around a function whose module is imported without PyTorch."""

    @wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        import torch

        with torch.inference_mode():
            return function(*args, **kwargs)

    return run
