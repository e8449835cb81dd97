"""Which process works on a run, and whether it still lives: `proc.json`, and a lock that dies with its holder."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from core.configs import from_dict
from core.errors import CoreError
from core.files import write_atomically
from core.json_files import read_json
from core.runs.store import RunFolder


class OwnedElsewhereError(CoreError):
    """Another live process works on this run."""


_LOOKS = 15  # of 0.02 s, before a claimed run counts as held


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who works on a run.

    Attributes:
        pid: the process; 0 while a cluster's queue holds the run.
        birth: when that process began, so that a later process of the same number is not taken for it.
        host: name of the machine that `pid` belongs to.
        leader: the process of `torch.distributed.run` above it, or 0.
        job: the cluster's number for it, or nothing.
    """

    pid: int = 0
    birth: str = ""
    host: str = ""
    leader: int = 0
    job: str = ""


def this_host() -> str:
    """The name under which this machine signs its runs."""
    return socket.gethostname()


def birth_of(pid: int) -> str:
    """When the live process `pid` began, as a text that differs for every process; "" if it is dead or a zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        stat, boot = Path(f"/proc/{pid}/stat"), Path("/proc/sys/kernel/random/boot_id")
        if stat.is_file() and boot.is_file():
            # Ticks since boot: unlike psutil's wall-clock time they do not move when the clock is set.
            # A process may be named by any bytes.
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            return f"{boot.read_text(encoding='utf-8').strip()}:{fields[19]}"
        return str(process.create_time())
    except (psutil.Error, OSError, IndexError, ValueError, OverflowError):  # the last two: no number of a process
        return ""


def this_process(*, leader: int = 0, job: str = "") -> Owner:
    """This process as an owner."""
    return Owner(pid=os.getpid(), birth=birth_of(os.getpid()), host=this_host(), leader=leader, job=job)


def is_alive(owner: Owner) -> bool | None:
    """Whether the process lives; None where this machine cannot tell, because the owner is on another."""
    if owner.host != this_host():
        return None
    return bool(owner.pid and owner.birth and birth_of(owner.pid) == owner.birth)


def read_owner(folder: RunFolder) -> Owner | None:
    """What `proc.json` says; None if it is missing or damaged."""
    try:
        return from_dict(Owner, read_json(folder.proc))
    except (OSError, ValueError, AttributeError, CoreError):
        return None


def write_owner(folder: RunFolder, owner: Owner) -> None:
    """Record who works on the run."""
    write_atomically(folder.proc, json.dumps(asdict(owner)) + "\n")


@contextmanager
def claim(folder: RunFolder, *, wait_s: float = 5) -> Iterator[None]:
    """Hold the run for this process: nobody else works on it until the block ends or the process dies.

    Raises:
        OwnedElsewhereError: a live process holds it.
        CoreError: the folder cannot be written to.
    """
    with hold(folder, wait_s=wait_s):
        several = int(os.environ.get("WORLD_SIZE", "1")) > 1
        try:
            job = os.environ.get("SLURM_JOB_ID", "") if os.environ.get("VITRINE_LAUNCHER") == "slurm" else ""
            write_owner(folder, this_process(leader=os.getppid() if several else 0, job=job))
        except OSError as error:
            raise unwritable(folder, error) from error
        yield


def is_claimed(folder: RunFolder) -> bool:
    """Whether a process holds the run right now.

    Raises:
        CoreError: the folder cannot be written to.
    """
    lock = FileLock(folder.path / ".lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError as error:
        raise unwritable(folder, error) from error
    lock.release()
    return False


def is_held(folder: RunFolder) -> bool:
    """Whether a process of this machine holds the run, for whoever only looks: nothing is created."""
    if not (folder.path / ".lock").is_file():
        return False
    try:
        # It may be somebody else who only looks, or the last thread of a process that counts as dead already: both are
        # gone in a moment.
        for _ in range(_LOOKS):
            if not is_claimed(folder):
                return False
            time.sleep(0.02)
        return True
    except CoreError:
        return False


@contextmanager
def hold(folder: RunFolder, *, wait_s: float = 5) -> Iterator[None]:
    """Keep workers off the run for a moment, without becoming its owner: to write what must not cross a live one.

    Raises:
        OwnedElsewhereError: a live process holds it.
        CoreError: the folder cannot be written to.
    """
    # Released by the system when the holder dies, however it dies. The wait is for one that is just ending.
    lock = FileLock(folder.path / ".lock", thread_local=False)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        previous = read_owner(folder)
        who = f"process {previous.pid} on {previous.host}" if previous else "another process"
        raise OwnedElsewhereError(
            f"The run {folder.name!r} is being worked on by {who}.", "Stop it first, or wait until it ends."
        ) from None
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def unwritable(folder: RunFolder, error: OSError) -> CoreError:
    """The sentence for a run folder that refuses to be written to."""
    return CoreError(
        f"The folder of the run {folder.name!r} cannot be written to ({error.strerror or error}).",
        f"Make {folder.path} writable, or make room on its disk; it can still be read.",
    )
