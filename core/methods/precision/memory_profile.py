"""Memory over one forward pass, module by module: the tensors that are alive, to the byte.

Every operation's result is followed from the moment it is made until nothing holds it any more. That counts tensors,
not the scratch space inside a kernel; on a GPU the allocator is asked instead, which sees both.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class MemoryProfile:
    """What a pass holds while it goes through a network.

    Attributes:
        modules: in the order they worked, each as often as it did; "" is the network itself, between its parts.
        peak_mib: (modules,) most activations alive while the module worked.
        after_mib: (modules,) alive when it was done.
        parameters_mib: parameters and buffers, which are there all the time.
        reserved_mib: what a GPU's allocator kept from the system in all; None on a CPU.
    """

    modules: tuple[str, ...]
    peak_mib: np.ndarray
    after_mib: np.ndarray
    parameters_mib: float
    reserved_mib: float | None = None

    @property
    def highest(self) -> int:
        """Where activations take most."""
        return int(self.peak_mib.argmax())

    @property
    def total_mib(self) -> float:
        """Parameters and the most activations."""
        return self.parameters_mib + float(self.peak_mib.max())


def parameter_bytes(module: nn.Module) -> int:
    """Bytes of the parameters and buffers of a module; shared storage counts once."""
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in _resident(module)}
    return sum(storages.values())


@torch.inference_mode()
def memory_profile(module: nn.Module, work: Callable[[], object], device: torch.device) -> MemoryProfile:
    """Follow the tensors of `work()`, a forward pass of `module`, which is not to be used by others meanwhile."""
    known = {tensor.untyped_storage()._cdata for tensor in _resident(module)}
    watch = _Watch(known, device if device.type == "cuda" else None)
    with _named(module, watch), watch:
        work()
    if not watch.names:
        watch.note(0, 0)
    reserved = torch.cuda.max_memory_reserved(device) / MIB if device.type == "cuda" else None
    return MemoryProfile(
        modules=tuple(watch.names),
        peak_mib=np.array(watch.peaks, dtype=np.float32) / MIB,
        after_mib=np.array(watch.after, dtype=np.float32) / MIB,
        parameters_mib=parameter_bytes(module) / MIB,
        reserved_mib=reserved,
    )


class _Watch(TorchDispatchMode):
    """Sees every operation and counts what it leaves behind."""

    def __init__(self, known: set[int], gpu: torch.device | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.module = ""
        self.names: list[str] = []
        self.peaks: list[int] = []
        self.after: list[int] = []
        self._last = ""
        self._known = known
        self._live = 0
        self._gpu = gpu
        self._start = torch.cuda.memory_allocated(gpu) if gpu is not None else 0

    def __torch_dispatch__(
        self, function: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self._gpu is not None:
            torch.cuda.reset_peak_memory_stats(self._gpu)
        result = function(*args, **(kwargs or {}))
        if self._gpu is not None:
            peak = torch.cuda.max_memory_allocated(self._gpu) - self._start
            self.note(peak, torch.cuda.memory_allocated(self._gpu) - self._start)
            return result
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._follow(tensor.untyped_storage())
        self.note(self._live, self._live)
        return result

    def note(self, peak: int, after: int) -> None:
        """The state after one operation; those of one module in a row are one entry."""
        if not self.names or self.module != self._last:
            self.names.append(self.module)
            self.peaks.append(peak)
            self.after.append(after)
        self._last = self.module
        self.peaks[-1], self.after[-1] = max(self.peaks[-1], peak), after

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self._live += size
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._live -= size
        self._known.discard(key)


@contextmanager
def _named(module: nn.Module, watch: _Watch) -> Iterator[None]:
    """Tell `watch` which module is working; passes of other threads are ignored."""
    owner = threading.get_ident()
    stack: list[str] = [""]

    def enter(name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            if threading.get_ident() == owner:
                stack.append(name)
                watch.module = name

        return hook

    def leave(*_: object) -> None:
        if threading.get_ident() == owner:
            stack.pop()
            watch.module = stack[-1]

    handles = []
    for name, part in module.named_modules():
        if name:
            handles.append(part.register_forward_pre_hook(enter(name)))
            handles.append(part.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _resident(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
