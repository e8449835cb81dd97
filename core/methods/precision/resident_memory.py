"""Memory of this process as the system sees it: the resident set now, and the most during some work."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil


def resident_bytes() -> int:
    """What this process holds in memory now."""
    return int(psutil.Process().memory_info().rss)


def settle() -> None:
    """Give back what is free, so that the resident set is what is in use."""
    gc.collect()
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        except (OSError, AttributeError):  # another C library
            return


def peak_of(work: Callable[[], object]) -> tuple[int, bool]:
    """Largest resident set while `work` runs, and whether the system itself kept the mark."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forget the highest mark so far
        work()
        line = next(
            line
            for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
            if line.startswith("VmHWM")
        )
        return int(line.split()[1]) * 1024, True
    except OSError:
        return _sampled_peak(work), False


def _sampled_peak(work: Callable[[], object]) -> int:
    peak, done = resident_bytes(), threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.001):
            peak = max(peak, resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return max(peak, resident_bytes())
