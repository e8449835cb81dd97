"""Memory that was used and is free again, given back to the machine: Linux's C library keeps it otherwise.

A page that computes leaves tens of MiB behind, in an arena of each thread that worked on it. With two arenas in all
threads use each other's, and what is free in them goes back after every run of a page, in 2 ms.
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache

ARENAS = 2
_M_ARENA_MAX = -8  # of malloc.h


@cache
def _libc() -> ctypes.CDLL | None:
    """The C library where it is glibc, which alone has these functions."""
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def few_arenas() -> None:
    """Before threads begin: memory is taken from few arenas."""
    if (libc := _libc()) is not None:
        libc.mallopt(_M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Give back what is free."""
    if (libc := _libc()) is not None:
        libc.malloc_trim(0)
