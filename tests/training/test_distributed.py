"""Two processes on the CPU must do what one does: same weights, same reports, on both."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from core.paths import CHECKOUT


def _run(folder: Path, *launcher: str) -> None:
    folder.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *launcher, "tests.training.two_processes", str(folder)]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=300, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr[-3000:]


def _load(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    _run(tmp_path / "one")
    _run(tmp_path / "two", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m")
    one = _load(tmp_path / "one" / "rank0.pt")
    first, second = _load(tmp_path / "two" / "rank0.pt"), _load(tmp_path / "two" / "rank1.pt")

    assert first["norms"] == pytest.approx(one["norms"], abs=1e-5)
    assert len(set(one["norms"])) == 8
    assert first["reports"] == second["reports"]
    assert first["steps"] == second["steps"]  # a stop can be agreed at every yield
    for name, expected in one["weights"].items():
        assert torch.allclose(first["weights"][name], expected, atol=1e-5, rtol=0), name
        assert torch.equal(first["weights"][name], second["weights"][name]), name
        assert torch.allclose(first["average"][name], one["average"][name], atol=1e-5, rtol=0), name
    for ours, theirs in zip(first["reports"], one["reports"], strict=True):
        assert ours.pop("extras") == theirs.pop("extras") == {}
        assert ours == pytest.approx(theirs, abs=1e-5)

    # Stopped within an epoch and resumed by two processes: the same numbers again.
    assert first["resumed"] == second["resumed"] == second["reports"]
    for name, expected in first["weights"].items():
        assert torch.equal(first["resumed_weights"][name], expected), name
