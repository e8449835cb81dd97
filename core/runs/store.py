"""The folder of a run, named once: whoever writes or reads a run goes through here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.paths import runs_root


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
