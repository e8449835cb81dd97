"""Runs as jobs of a Slurm cluster, through submitit (an extra: `pip install submitit`).

The job starts the same worker as the local launcher and only passes signals on. On preemption or at the time limit it
has the worker save its checkpoint, and Slurm puts the job back into its queue: the run continues where it was.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import CoreError
from core.extras import extra
from core.launch.launcher import Found, base_environment, worker_command
from core.paths import CHECKOUT, data_root, home
from core.runs.owner import Owner, read_owner, write_owner
from core.runs.status import stored_state, write_state
from core.runs.store import RunFolder, RunSpec

# What a run's launcher_options may hold, and what submitit calls it.
OPTIONS = {
    "partition": "slurm_partition",
    "account": "slurm_account",
    "qos": "slurm_qos",
    "constraint": "slurm_constraint",
    "signal_delay_s": "slurm_signal_delay_s",
    "timeout_min": "timeout_min",
    "gpus": "gpus_per_node",
    "cpus": "cpus_per_task",
    "memory_gb": "mem_gb",
}
# Slurm warns 90 s before it kills (submitit's default), or for the grace time of the partition.
SAVING_S = 60
TAKEN_BACK_S = 120

_WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
_ALIVE = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "PREEMPTED"}


class WorkerTask:
    """What the job does: start the worker and wait. submitit keeps it and calls `checkpoint` when the job must go."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run the worker.

        Raises:
            RuntimeError: it failed, so that Slurm counts the job as failed; the run's state says why.
        """
        folder = RunFolder(Path(self.path))
        with folder.log.open("ab") as log:
            self.process = subprocess.Popen(
                worker_command(folder),
                cwd=CHECKOUT,
                env={**base_environment(), "PYTHONUNBUFFERED": "1", "VITRINE_LAUNCHER": "slurm"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Slurm signals every process of the job; until the worker ignores this one itself it would die of it.
                preexec_fn=_ignore_warning,
            )
        while self.process.poll() is None:
            time.sleep(0.2)
        if self.process.returncode:
            raise RuntimeError(f"The worker ended with status {self.process.returncode}; see {folder.state}.")
        # Slurm's SIGTERM reaches the worker at once, its warning reaches this process a little earlier or later. To
        # return before it came would count as done, and Slurm would not put the job back.
        deadline = time.monotonic() + TAKEN_BACK_S
        while stored_state(folder).status == "queued" and time.monotonic() < deadline:
            time.sleep(0.2)
        return 0

    def checkpoint(self) -> Any:
        """Called inside the signal handler: the worker saves and ends, and the job comes back as it was."""
        submitit: Any = extra("submitit")

        folder = RunFolder(Path(self.path))
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + SAVING_S
            while time.monotonic() < deadline and not _has_ended(self.process.pid):
                time.sleep(0.1)
        state = stored_state(folder)
        if not folder.stop.exists() and state.status in ("queued", "running"):
            job = os.environ.get("SLURM_JOB_ID", "")
            text = f"preempted or out of time; waiting in Slurm, job {job}"
            write_state(folder, replace(state, status="queued", text=text, ended=None, heartbeat=time.time()))
        return submitit.helpers.DelayedSubmission(WorkerTask(self.path))


class SlurmLauncher:
    """Hands runs to `sbatch`, and asks and cancels by the job number in `proc.json`."""

    def submit(self, folder: RunFolder, devices: Sequence[str] = ()) -> None:
        """Queue the job; `devices` mean nothing here, the cluster assigns them.

        Raises:
            CoreError: submitit or Slurm is not installed, an option is unknown, or Slurm refuses the job.
        """
        submitit = _submitit()
        executor = submitit.AutoExecutor(folder=str(folder.path / "slurm"), cluster="slurm", slurm_max_num_timeout=1000)
        executor.update_parameters(**_parameters(folder))
        try:
            job = executor.submit(WorkerTask(str(folder.path.resolve())))
        except submitit.core.utils.FailedJobError as error:
            raise CoreError(f"Slurm refused the job: {error}", "Clone the run with other launcher options.") from error
        write_owner(folder, Owner(job=str(job.job_id)))
        state = stored_state(folder)
        if state.status == "queued":
            write_state(folder, replace(state, text=f"waiting in Slurm, job {job.job_id}"))

    def poll(self, folder: RunFolder) -> Found:
        """What Slurm says about the job; "unknown" where Slurm cannot be asked."""
        owner = read_owner(folder)
        if owner is None or not owner.job:
            return "gone"
        if shutil.which("squeue") is None:
            return "unknown"
        # squeue and not sacct: not every cluster keeps accounts, and a job that squeue has forgotten is over.
        command = ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={owner.job}"]
        try:
            asked = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=20, encoding="utf-8", errors="replace"
            )
        except subprocess.TimeoutExpired:
            return "unknown"
        if asked.returncode:
            return "gone" if "Invalid job id" in asked.stderr else "unknown"
        states = set(asked.stdout.split())
        return "waiting" if states & _WAITING else "alive" if states & _ALIVE else "gone"

    def cancel(self, folder: RunFolder, grace_s: float) -> None:
        """`scancel`, then wait up to `grace_s` for the job to be gone.

        Raises:
            CoreError: Slurm cannot be asked from here.
        """
        owner = read_owner(folder)
        if owner is None or not owner.job:
            return
        if shutil.which("scancel") is None:
            raise CoreError(f"Slurm job {owner.job} cannot be cancelled from here.", "Use a machine of the cluster.")
        subprocess.run(["scancel", owner.job], capture_output=True, check=False, timeout=60)
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline and self.poll(folder) in ("waiting", "alive"):
            time.sleep(0.5)


def job_of(folder: RunFolder) -> Any:
    """The job as submitit knows it, for its results and logs, from any process.

    Raises:
        CoreError: submitit or Slurm is not installed, or the run was never submitted.
    """
    owner = read_owner(folder)
    if owner is None or not owner.job:
        raise CoreError(f"The run {folder.name!r} is no Slurm job.", "Start it with the launcher slurm.")
    return _submitit().SlurmJob(folder=str(folder.path / "slurm"), job_id=owner.job)


def _submitit() -> Any:
    submitit: Any = extra("submitit")
    if shutil.which("srun") is None:
        raise CoreError("This machine has no Slurm (no srun).", "Use a machine of the cluster, or launcher local.")
    return submitit


def _parameters(folder: RunFolder) -> dict[str, Any]:
    """submitit's parameters for a run."""
    spec: RunSpec = folder.read_spec()
    unknown = set(spec.launcher_options) - set(OPTIONS)
    if unknown:
        raise CoreError(
            f"Slurm knows no option {', '.join(sorted(unknown))}.", f"It knows {', '.join(sorted(OPTIONS))}."
        )
    gpus = spec.processes if spec.device.startswith("cuda") else 0
    given = {"timeout_min": 24 * 60, "gpus": gpus, "cpus": spec.processes, **spec.launcher_options}
    # The job's Python must find this checkout, and the job this machine's home, wherever it runs.
    exports = {
        "PYTHONPATH": shlex.quote(str(CHECKOUT)) + "${PYTHONPATH:+:$PYTHONPATH}",
        "VITRINE_HOME": shlex.quote(str(home().resolve())),
        "VITRINE_DATA": shlex.quote(str(data_root().resolve())),
    }
    return {
        **{OPTIONS[name]: value for name, value in given.items() if name != "gpus" or value},
        "name": f"vitrine-{folder.name}"[:60],
        "nodes": 1,
        "tasks_per_node": 1,
        "slurm_setup": [f"export {name}={value}" for name, value in exports.items()],
    }


def _ignore_warning() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _has_ended(pid: int) -> bool:
    """Whether a child has ended, without collecting it: the loop above may be half-way through doing so."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
