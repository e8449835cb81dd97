"""The transfer recipe: every mode ends in a network that opens and scores what its card says."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from core.data.arrays import load_arrays
from core.data.transforms import Normalisation
from core.experiments import transfer
from core.experiments.transfer import Config
from core.models.checkpoint import ModelCard, build, save_model
from core.models.weights import load
from core.reports import Progress
from core.runs.store import RunFolder, RunSpec, create_run
from core.training.config import TrainingConfig
from core.training.evaluate import evaluate
from core.training.freezing import PartlyFrozen
from tests.toy import save_toy

BACKBONE = {"image_size": 16, "width": 8, "stages": 2, "classes": 3}
NORMALISATION = Normalisation(mean=(0.5,) * 3, std=(0.2,) * 3)


@pytest.fixture(autouse=True)
def _tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy({"train": 60, "test": 30})
    torch.manual_seed(0)
    card = ModelCard(
        family="small_cnn", title="Old", config=BACKBONE, classes=("a", "b", "c"), mean=NORMALISATION.mean,
        std=NORMALISATION.std, dataset="none", recipe="", command="", date="",
    )  # fmt: skip
    save_model(tmp_path / "old", build("small_cnn", BACKBONE), card)


def config(tmp_path: Path, mode: str, **changes: object) -> Config:
    training = TrainingConfig(epochs=4, batch_size=8, precision="fp32", learning_rate=0.01, ema_decay=0.9)
    values = {"backbone": f"folder:{tmp_path / 'old'}", "mode": mode, "dataset": "toy", "training": training, **changes}
    return Config(**values)  # type: ignore[arg-type]


def consume(reports: Iterator[object], folder: RunFolder) -> Iterator[object]:
    for report in reports:
        if not isinstance(report, Progress):
            folder.append_metrics(asdict(report))  # type: ignore[call-overload]
        yield report


def started(config: Config, name: str) -> tuple[RunFolder, Iterator[object]]:
    folder = create_run(name, RunSpec.of("transfer", config, device="cpu"))
    return folder, consume(transfer.run(config, folder), folder)


@pytest.mark.parametrize("mode", ["linear_probe", "last_block", "full", "random"])
def test_every_mode_ends_in_a_network_that_opens(tmp_path, mode):
    folder, reports = started(config(tmp_path, mode), mode)
    assert [each.step for each in reports if not isinstance(each, Progress)] == [7, 14, 21, 28]
    card = json.loads((folder.model / "card.json").read_text(encoding="utf-8"))
    model = load(f"run:{mode}")
    assert model.spec.capabilities == {"classifier", "convolution"}
    assert (model.classes, model.network.preprocessing.size) == (("dark", "red"), 16)
    # On images of 8 pixels, enlarged as during the training.
    again = evaluate(PartlyFrozen(model.module, set(), 16), load_arrays("toy", "test"), NORMALISATION)
    assert again.accuracy == card["metrics"]["test_accuracy"]
    assert again.loss == pytest.approx(card["metrics"]["test_loss"], abs=1e-5)
    assert card["metrics"]["test_accuracy"] > 0.9
    assert (card["metrics"]["test_count"], card["metrics"]["train_count"]) == (30, 54)
    assert card["title"].startswith("Old on Toy")
    old, new = load(f"folder:{tmp_path / 'old'}").module.state_dict(), model.module.state_dict()
    same = {name for name in old if old[name].shape == new[name].shape and torch.equal(old[name], new[name])}
    assert ("stem.conv.weight" in same) == (mode in ("linear_probe", "last_block"))
    assert ("stem.norm.running_mean" in same) == (mode in ("linear_probe", "last_block"))
    assert ("stages.1.widen.conv.weight" in same) == (mode == "linear_probe")


@pytest.mark.parametrize("mode", ["linear_probe", "last_block"])
def test_a_stopped_run_ends_with_the_same_weights(tmp_path, mode):
    whole, reports = started(config(tmp_path, mode), "whole")
    list(reports)
    cut, reports = started(config(tmp_path, mode), "cut")
    inner = transfer.run(config(tmp_path, mode), cut)
    list(itertools.islice(consume(inner, cut), 20))
    inner.close()  # type: ignore[attr-defined]
    list(consume(transfer.run(config(tmp_path, mode), cut), cut))
    assert (cut.model / "model.safetensors").read_bytes() == (whole.model / "model.safetensors").read_bytes()


def test_all_modes_see_the_same_number_of_batches_at_another_size(tmp_path):
    steps = {}
    for mode in ("linear_probe", "full"):
        chosen = config(tmp_path, mode, image_size=32, max_images=20, max_test=10)
        chosen = replace(chosen, training=replace(chosen.training, epochs=1))
        folder, reports = started(chosen, mode)
        steps[mode] = [each.steps for each in reports if not isinstance(each, Progress)]
        metrics = json.loads((folder.model / "card.json").read_text(encoding="utf-8"))["metrics"]
        assert (metrics["image_size"], metrics["train_count"], metrics["test_count"]) == (32, 20, 10)
    assert steps["linear_probe"] == steps["full"] == [3]


def test_trials_of_sweeps_leave_the_test_split_alone(tmp_path):
    chosen = config(tmp_path, "linear_probe", evaluate_test=False)
    folder, reports = started(chosen, "trial")
    list(reports)
    metrics = json.loads((folder.model / "card.json").read_text(encoding="utf-8"))["metrics"]
    assert "test_accuracy" not in metrics
    assert metrics["val_count"] == 6
