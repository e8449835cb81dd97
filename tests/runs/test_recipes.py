"""A real recipe in processes of its own: killed in the middle of an epoch, and shared by two processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from core.experiments import vit_scratch
from core.launch import control, queue
from core.models.vit import ViTConfig
from core.runs.owner import birth_of, is_alive, is_held, read_owner
from core.runs.status import read_state
from core.runs.store import RunFolder, RunSpec, create_run
from core.training.config import TrainingConfig
from tests.runs.conftest import wait_for, wait_until
from tests.toy import save_toy


@pytest.fixture(autouse=True)
def _toy(home: Path) -> None:
    """Sixty-four images of two colours."""
    save_toy({"train": 64, "test": 16}, contrast=60)


def vit(name: str, epochs: int, **spec: Any) -> RunFolder:
    config = vit_scratch.Config(
        dataset="toy",
        model=ViTConfig(image_size=8, patch_size=4, embed_dim=16, depth=1, num_heads=2, classes=2),
        training=TrainingConfig(epochs=epochs, batch_size=8, precision="fp32", seed=3),
    )
    return create_run(name, RunSpec.of("vit_scratch", config, **{"device": "cpu", **spec}))


def numbers(run: RunFolder) -> list[dict[str, Any]]:
    """Its metrics, but for how fast it was."""
    return [{k: v for k, v in line.items() if "second" not in k} for line in run.history()]


@pytest.mark.slow
def test_killed_in_the_middle_of_an_epoch_the_curve_continues_with_the_same_numbers() -> None:
    whole, run = vit("whole", epochs=20), vit("killed", epochs=20)
    queue.submit(run)
    wait_until(lambda: len(run.history()) >= 3, "three epochs")
    owner = read_owner(run)
    assert owner is not None
    os.kill(owner.pid, signal.SIGKILL)
    # Its last thread lets go of the run a moment after the process counts as dead.
    wait_until(lambda: not is_alive(owner) and not is_held(run), "killed")
    assert queue.reconcile() == [run]
    assert read_state(run).status == "interrupted"
    assert 3 <= len(run.history()) < 20
    control.resume(run)
    queue.submit(whole)  # waits for the device
    assert wait_for(run, "finished", "failed").cause == ""
    assert wait_for(whole, "finished", "failed").cause == ""
    assert len(numbers(run)) == 20
    assert numbers(run) == numbers(whole)
    weights = [(folder.model / "model.safetensors").read_bytes() for folder in (run, whole)]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_two_processes_train_one_model_stop_together_and_resume() -> None:
    run, whole = vit("pair", epochs=30, processes=2), vit("whole_pair", epochs=30, processes=2)
    queue.submit(run)
    wait_until(lambda: len(run.history()) >= 3, "three epochs")
    owner = read_owner(run)
    assert owner is not None
    assert owner.leader != owner.pid
    control.request_stop(run)
    state = wait_for(run, "stopped", "failed", "finished")
    assert state.status == "stopped", state
    wait_until(lambda: not is_alive(owner), "the worker's end")
    control.resume(run)
    queue.submit(whole)
    assert wait_for(run, "finished", "failed").cause == ""
    assert wait_for(whole, "finished", "failed").cause == ""
    assert len(numbers(run)) == 30
    assert numbers(run) == numbers(whole)


@pytest.mark.slow
def test_the_first_process_killed_takes_the_second_along() -> None:
    run = vit("pair", epochs=200, processes=2)
    queue.submit(run)
    wait_until(run.history, "first epoch")
    owner = read_owner(run)
    assert owner is not None
    os.kill(owner.pid, signal.SIGKILL)
    wait_until(lambda: not birth_of(owner.leader), "torchrun's end")
    assert read_state(run).status == "interrupted"
    queue.reconcile()
    control.delete(run)
    assert not run.path.exists()
