"""The folder of a run, named once: whoever writes or reads a run goes through here."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from core.configs import from_dict
from core.errors import CoreError, UnknownNameError
from core.paths import runs_root


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What a run is: written once when it is created, never changed.

    Attributes:
        recipe: key of `core.experiments.catalogue.RECIPES`.
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
        """All reports so far; a half-written last line is left out."""
        if not self.metrics.is_file():
            return []
        lines = self.metrics.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def append_metrics(self, report: dict[str, Any]) -> None:
        """Add one report."""
        with self.metrics.open("a") as file:
            file.write(json.dumps(report) + "\n")

    def truncate_metrics(self, step: int) -> None:
        """Forget the lines after `step` and a half-written last one: a resumed run computes them again."""
        kept = [line for line in self.history() if line["step"] <= step]
        write_atomically(self.metrics, "".join(json.dumps(line) + "\n" for line in kept))

    def read_spec(self) -> RunSpec:
        """What the run is.

        Raises:
            CoreError: `spec.json` is missing or damaged.
        """
        try:
            values = json.loads(self.spec.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CoreError(f"The run {self.name!r} has no readable spec.json ({error}).", "Delete the run.") from error
        return from_dict(RunSpec, values)


def create_run(name: str, spec: RunSpec) -> RunFolder:
    """A new folder that holds `spec`.

    Raises:
        CoreError: the name cannot be a folder, or is taken.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
        raise CoreError(
            f"{name!r} cannot name a run.",
            "Use up to 80 letters, digits, dots, hyphens or underscores, a letter first.",
        )
    folder = RunFolder(runs_root() / name)
    runs_root().mkdir(parents=True, exist_ok=True)
    try:
        folder.path.mkdir()
    except FileExistsError as error:
        raise CoreError(f"There is a run named {name!r} already.", "Choose another name.") from error
    write_atomically(folder.spec, json.dumps(asdict(spec), indent=1) + "\n")
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


def write_atomically(path: Path, data: str | bytes) -> None:
    """Replace `path` so that a reader sees the old or the new content, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.write_bytes(data.encode() if isinstance(data, str) else data)
    os.replace(partial, path)


def list_runs() -> Iterator[RunFolder]:
    """All runs on this machine, newest name last."""
    root = runs_root()
    if root.is_dir():
        yield from (RunFolder(path) for path in sorted(root.iterdir()) if (path / "spec.json").is_file())
