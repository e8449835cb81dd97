"""Starting, watching and ending the process of a run, on this machine; `core.launch.slurm` does so on a cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, Protocol

import psutil

from core.errors import CoreError
from core.paths import CHECKOUT, data_root, home
from core.runs.owner import Owner, birth_of, is_alive, read_owner, this_host, write_owner
from core.runs.processes import ask_to_end, detached, spoken_in_utf8, usable_cores
from core.runs.store import RunFolder

# What a launcher finds: still in a cluster's queue, running, ended, or on a machine that cannot be asked from here.
Found = Literal["waiting", "alive", "gone", "unknown"]

_RANK_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC_", "TORCH_NCCL_ASYNC")


class Launcher(Protocol):
    """Who starts the worker of a run."""

    def submit(self, folder: RunFolder, devices: Sequence[str]) -> None:
        """Start the worker, or hand it to a scheduler, and record that in `proc.json`."""

    def poll(self, folder: RunFolder) -> Found:
        """What has become of the worker."""

    def cancel(self, folder: RunFolder, grace_s: float) -> None:
        """End the worker: politely, and after `grace_s` by force."""


class LocalLauncher:
    """A process of its own session on this machine: it outlives the browser, the app and the terminal."""

    def submit(self, folder: RunFolder, devices: Sequence[str]) -> None:
        """Start the worker on `devices`; the caller holds the run (`core.runs.owner.hold`) meanwhile.

        Raises:
            OSError: no process can be started, or the log cannot be written.
        """
        with folder.log.open("ab") as log:
            process = subprocess.Popen(
                worker_command(folder),
                cwd=CHECKOUT,
                env=_environment(folder, devices),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                close_fds=True,
                **detached(),
            )
        # The worker writes the same once it holds the run; this is for the seconds until it does. The caller's hold
        # keeps it from overwriting the name of another process that got the run first.
        write_owner(folder, Owner(pid=process.pid, birth=birth_of(process.pid), host=this_host()))
        # Somebody must ask how it ended, or it stays behind as a zombie for as long as this process lives.
        threading.Thread(target=process.wait, daemon=True, name=f"wait {folder.name}").start()

    def poll(self, folder: RunFolder) -> Found:
        """Whether the worker's process lives."""
        owner = read_owner(folder)
        if owner is None:
            return "gone"
        alive = is_alive(owner)
        return "unknown" if alive is None else "alive" if alive else "gone"

    def cancel(self, folder: RunFolder, grace_s: float) -> None:
        """Ask the worker to end (SIGTERM; on Windows the file STOP), after `grace_s` kill it and all its descendants.

        Raises:
            CoreError: it runs on another machine.
        """
        owner = read_owner(folder)
        if owner is None or is_alive(owner) is False:
            return
        if is_alive(owner) is None:
            raise CoreError(f"The run {folder.name!r} is on {owner.host}.", "End its process there.")
        before = family(owner)
        with suppress(psutil.NoSuchProcess):
            ask_to_end(psutil.Process(owner.pid))
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline and is_alive(owner):
            time.sleep(0.1)
        if is_alive(owner):
            # Each by its identity and not by process group: torchrun gives every worker a group of its own, and a run
            # in the foreground shares its group with the shell script around it.
            for process in {*before, *family(owner)}:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        psutil.wait_procs(before, timeout=10)


def worker_command(folder: RunFolder) -> list[str]:
    """The command that works on the run, through `torch.distributed.run` when several processes take part."""
    processes = folder.read_spec().processes
    # --standalone picks a free port on this machine; without an address the processes would look for each other under
    # the machine's name, and wait for ever where that cannot be resolved.
    one_machine = ["--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={processes}"]
    several = ["-m", "torch.distributed.run", *one_machine] if processes > 1 else []
    return [sys.executable, *several, "-m", "core.launch.worker", str(folder.path.resolve())]


def base_environment() -> dict[str, str]:
    """The environment without what a launcher or torchrun set for this process: for processes of other runs."""
    names = {name: value for name, value in os.environ.items() if not name.startswith(_RANK_VARIABLES)}
    for name, value in json.loads(names.pop("VITRINE_ENVIRONMENT", "{}")).items():
        if value is None:
            names.pop(name, None)
        else:
            names[name] = value
    # The worker has another working directory.
    return {**names, "VITRINE_HOME": str(home().resolve()), "VITRINE_DATA": str(data_root().resolve())}


def _environment(folder: RunFolder, devices: Sequence[str]) -> dict[str, str]:
    base, processes = base_environment(), folder.read_spec().processes
    ours = spoken_in_utf8({"PYTHONUNBUFFERED": "1", "VITRINE_LAUNCHER": "local"})
    if "OMP_NUM_THREADS" not in base:
        # As many threads as cores in all: more only wait for each other.
        ours["OMP_NUM_THREADS"] = str(max(1, usable_cores() // processes))
    if list(devices) == ["cpu"]:
        ours |= {"CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
    elif processes > 1:
        indices = [int(device.partition(":")[2]) for device in devices]
        visible = [name for name in base.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        ours["CUDA_VISIBLE_DEVICES"] = ",".join(visible[index] if visible else str(index) for index in indices)
    return {**base, **ours, "VITRINE_ENVIRONMENT": json.dumps({name: base.get(name) for name in ours})}


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def family(owner: Owner) -> list[psutil.Process]:
    """The live worker, torchrun above it, and all that they started."""
    found: list[psutil.Process] = []
    with suppress(psutil.Error):
        worker = psutil.Process(owner.pid)
        found += [worker, *worker.children(recursive=True)]
        # Only if it is still its parent: the number may be another process's by now.
        if owner.leader > 1 and worker.ppid() == owner.leader:
            leader = psutil.Process(owner.leader)
            found += [leader, *leader.children(recursive=True)]
    return found
