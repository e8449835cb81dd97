"""How long a piece of work takes, so that the numbers can be compared: the one probe behind every figure in seconds.

A device is waited for around every call, calls before the counted ones let it choose kernels and allocate memory, and
what is compared takes turns, so that a machine that gets busy slows all of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes seconds to import
    import torch


def wait_for(device: torch.device) -> None:
    """Return when the device has done all that it was given."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
    elif device.type == "mps":
        import torch

        torch.mps.synchronize()


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call, from an idle device to an idle device."""
    wait_for(device)
    began = time.perf_counter()
    work()
    wait_for(device)
    return time.perf_counter() - began


def in_turns(
    works: Mapping[str, Callable[[], object]], device: torch.device, *, rounds: int, warmups: int = 1
) -> Iterator[tuple[str, float]]:
    """Name and seconds of every call, `rounds` of each; who begins a round changes from round to round.

    It can be stopped between two calls: whoever asks for them decides when they are enough.
    """
    names = list(works)
    for name in names:
        for _ in range(warmups):
            works[name]()
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            yield name, seconds_of(works[name], device)
