"""The folder of a run, named once: whoever writes or reads a run goes through here."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from core.configs import differences, from_dict
from core.errors import ConfigError, CoreError, UnknownNameError
from core.files import write_atomically, write_json
from core.json_files import parse_json, read_json
from core.paths import CHECKOUT, INSTALLED, runs_root, version

MOST_PROCESSES = 1024
_COUNTERS = ("step", "steps", "epoch", "epochs")
# What figures and tables calculate with, by the end of its name.
_MEASURED = ("accuracy", "loss", "count", "seconds", "second", "rate", "value", "low", "high", "calls")


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What a run is: written once when it is created, never changed.

    Attributes:
        recipe: key of `core.launch.recipes.RECIPES`.
        config: the recipe's config as plain values.
        overrides: the `key=value` texts in which it differs from the recipe's defaults.
        device: "auto", "cpu", "cuda" or "cuda:1".
        processes: how many take part; more than one means `torch.distributed.run`.
        launcher: who starts it.
        launcher_options: such as a Slurm partition.
        created: ISO 8601 with time zone.
        code_version: `git describe` of the checkout, or the package's version.
        parent: the run that it is a clone of.
        study: the sweep that it is a trial of.
    """

    recipe: str
    config: dict[str, Any]
    overrides: tuple[str, ...] = ()
    device: str = "auto"
    processes: int = 1
    launcher: Literal["local", "slurm"] = "local"
    launcher_options: dict[str, Any] = field(default_factory=dict)
    created: str = ""
    code_version: str = ""
    parent: str | None = None
    study: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.processes <= MOST_PROCESSES:
            # The queue would wait for ever for a device less than none.
            raise ConfigError(f"processes is {self.processes}; expected a number between 1 and {MOST_PROCESSES}.")

    @classmethod
    def of(cls, recipe: str, config: Any, **rest: Any) -> RunSpec:
        """The specification of `recipe` under the config object `config`."""
        return cls(recipe=recipe, config=asdict(config), overrides=tuple(differences(config)), **rest)

    def command(self, name: str) -> str:
        """The command line that runs the same under `name`."""
        pairs = "".join(f" --set {shlex.quote(pair)}" for pair in self.overrides)
        return f"python -m core train {self.recipe} --name {shlex.quote(name)}{pairs}"


@dataclass(frozen=True)
class RunFolder:
    """One run on disk; the folder is the only truth about it."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def spec(self) -> Path:
        """Recipe and parameters, written once."""
        return self.path / "spec.json"

    @property
    def state(self) -> Path:
        """Status, epoch and heartbeat, replaced atomically."""
        return self.path / "state.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a line, one line a report."""
        return self.path / "metrics.jsonl"

    @property
    def losses(self) -> Path:
        """The training loss within epochs, one JSON object a line; a resumed run repeats steps."""
        return self.path / "losses.jsonl"

    @property
    def checkpoint(self) -> Path:
        """What training continues from."""
        return self.path / "checkpoints" / "last.pt"

    @property
    def stop(self) -> Path:
        """Present when somebody asked the run to end."""
        return self.path / "STOP"

    @property
    def proc(self) -> Path:
        """Which process works on it: pid, when that process began, host."""
        return self.path / "proc.json"

    @property
    def failure(self) -> Path:
        """What a process other than the writing one said before it fell."""
        return self.path / "failure.json"

    @property
    def log(self) -> Path:
        """All that the worker printed."""
        return self.path / "log.txt"

    @property
    def samples(self) -> Path:
        """Pictures that the recipe writes while it runs."""
        return self.path / "samples"

    @property
    def events(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "events"

    @property
    def model(self) -> Path:
        """The finished model: `model.safetensors` and `card.json`."""
        return self.path / "model"

    def history(self) -> list[dict[str, Any]]:
        """All reports so far; lines that are half-written or damaged are left out."""
        try:
            lines = self.metrics.read_bytes().split(b"\n")[:-1]  # what follows the last line break is half-written
        except OSError:
            return []
        return [report for line in lines if (report := parse_report(line)) is not None]

    def append_metrics(self, report: dict[str, Any]) -> None:
        """Add one report."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(report) + "\n")

    def truncate_metrics(self, step: int) -> None:
        """Forget the lines after `step` and a half-written last one: a resumed run computes them again."""
        kept = [line for line in self.history() if line.get("step", 0) <= step]
        write_atomically(self.metrics, "".join(json.dumps(line) + "\n" for line in kept))

    def read_spec(self) -> RunSpec:
        """What the run is.

        Raises:
            CoreError: `spec.json` is missing or damaged.
        """
        try:
            values = read_json(self.spec)
            if not isinstance(values, dict):
                raise ValueError("it is no JSON object")
            return from_dict(RunSpec, values)
        except (OSError, ValueError, CoreError) as error:
            raise CoreError(f"The run {self.name!r} has no readable spec.json ({error}).", "Delete the run.") from error


def create_run(name: str, spec: RunSpec) -> RunFolder:
    """A new folder that holds `spec`, with its date and the version of the code filled in.

    Raises:
        CoreError: the name cannot be a folder, or is taken.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
        raise CoreError(
            f"{name!r} cannot name a run.",
            "Use up to 80 letters, digits, dots, hyphens or underscores, a letter first.",
        )
    spec = replace(
        spec,
        created=spec.created or datetime.now().astimezone().isoformat(timespec="seconds"),
        code_version=spec.code_version or code_version(),
    )
    folder = RunFolder(runs_root() / name)
    try:
        runs_root().mkdir(parents=True, exist_ok=True)
        folder.path.mkdir()
    except FileExistsError as error:
        raise CoreError(f"There is a run named {name!r} already.", "Choose another name.") from error
    except OSError as error:
        raise CoreError(
            f"No run can be created in {runs_root()} ({error.strerror}).", "Make it writable, or set VITRINE_HOME."
        ) from error
    write_json(folder.spec, asdict(spec))
    return folder


def find_run(name: str) -> RunFolder:
    """The run called `name`.

    Raises:
        UnknownNameError: there is none.
    """
    runs = {run.name: run for run in list_runs()}
    if name not in runs:
        raise UnknownNameError("run", name, runs)
    return runs[name]


def list_runs() -> Iterator[RunFolder]:
    """All runs on this machine, newest name last; a folder being deleted begins with a dot."""
    root = runs_root()
    if root.is_dir():
        folders = (path for path in sorted(root.iterdir()) if not path.name.startswith(".") and _is_text(path.name))
        yield from (RunFolder(path) for path in folders if os.path.isfile(path / "spec.json"))


@cache
def code_version() -> str:
    """`git describe` of the checkout, nothing where there is no git; the version of what is installed."""
    if INSTALLED:  # the folder around it may be a checkout of something else
        return version()
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--tags"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10, encoding="utf-8"
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def parse_report(line: bytes) -> dict[str, Any] | None:
    """One line of `metrics.jsonl` without the measurements that are none; None if it is no report at all."""
    try:
        values = parse_json(line)
    except ValueError:
        return None
    if not isinstance(values, dict) or any(name in values and not _is_count(values[name]) for name in _COUNTERS):
        return None
    return {name: value for name, value in values.items() if _is_report_value(name, value)}


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_report_value(name: str, value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if name.endswith(_MEASURED):
        return value is None or type(value) is int
    return not isinstance(value, list)


def _is_text(name: str) -> bool:
    """Whether a name can be printed: no run of ours has one in an unknown encoding, and one would end every list."""
    return name.isprintable()
