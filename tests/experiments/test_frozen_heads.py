"""A new head for each frozen network on each data set, and what a model that reads texts names right beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import ConfigError
from core.experiments.accuracies import run_accuracies
from core.experiments.frozen_heads import Config, HeadReport
from core.launch.execute import execute
from core.models.checkpoint import ModelCard, build, save_model
from core.reports import Progress
from core.runs.store import RunFolder, RunSpec, create_run
from tests.clip_toy import save_tiny_clip
from tests.toy import save_toy

CNN = {"image_size": 8, "channels": 3, "classes": 2, "width": 8, "stages": 2, "blocks": 1}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy({"train": 200, "test": 30})
    save_toy({"one": 40, "two": 60}, name="domains")


def small_cnn(folder: Path) -> str:
    card = ModelCard(
        family="small_cnn", title="Tiny", config=CNN, classes=("a", "b"), mean=(0.5,) * 3, std=(0.2,) * 3,
        dataset="none", recipe="", command="", date="",
    )  # fmt: skip
    torch.manual_seed(0)
    save_model(folder / "cnn", build("small_cnn", CNN), card)
    return f"folder:{folder / 'cnn'}"


def measure(config: Config) -> tuple[list[HeadReport], dict[str, Any], RunFolder]:
    folder = create_run("heads", RunSpec.of("frozen_heads", config, device="cpu"))
    reports = [each for each in execute(folder) if not isinstance(each, Progress)]
    return reports, json.loads((folder.path / "result.json").read_text(encoding="utf-8")), folder


def test_one_table_of_models_and_data_sets(tmp_path: Path) -> None:
    cnn, clip = small_cnn(tmp_path), f"folder:{save_tiny_clip(tmp_path / 'clip')}"
    config = Config(models=(cnn, clip), datasets=("toy", "domains"), epochs=20, batch_size=16)
    reports, result, folder = measure(config)
    assert [(each.model, each.dataset, each.protocol) for each in reports] == [
        (cnn, "toy", "head"), (clip, "toy", "head"), (clip, "toy", "zero_shot"),
        (cnn, "domains", "head"), (clip, "domains", "head"), (clip, "domains", "zero_shot"),
    ]  # fmt: skip
    assert [each.step for each in reports] == [1, 2, 2, 3, 4, 4]
    # Red is told from dark by any features; a head that were tested on the wrong images or classes would guess.
    assert all(each.test_accuracy > 0.9 for each in reports if each.protocol == "head")
    assert all(each.test_low <= each.test_accuracy <= each.test_high for each in reports)
    # Of domains a fifth of each class is tested on, for head and text alike.
    assert [each.test_count for each in reports] == [30, 30, 30, 20, 20, 20]
    assert [each.train_count for each in reports] == [180, 180, 0, 72, 72, 0]
    assert [each["split"] for each in result["datasets"]] == ["test", "a fifth of one+two"]
    found = run_accuracies(folder)
    assert [(each.dataset, each.protocol, each.accuracy, each.count) for each in found] == [
        (each.dataset.capitalize(), {"head": "new head", "zero_shot": "zero-shot"}[each.protocol],
         each.test_accuracy, each.test_count)
        for each in reports
    ]  # fmt: skip


def test_images_are_limited_and_the_size_is_that_of_the_network(tmp_path: Path) -> None:
    # A network for 8 pixels takes no other size, whatever is asked of those for photos.
    config = Config(models=(small_cnn(tmp_path),), datasets=("toy",), max_images=50, max_test=10, image_size=112)
    [report], _, _ = measure(config)
    assert (report.train_count, report.test_count, report.image_size) == (50, 10, 8)
    with pytest.raises(ConfigError, match="each once"):
        Config(models=("vit_p4", "vit_p4"))
    with pytest.raises(ConfigError, match="data sets"):
        Config(datasets=())
