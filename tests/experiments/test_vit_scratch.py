"""The recipe: an interrupted run continues, and what is saved is what was measured."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from core.data.arrays import load_arrays, save_arrays
from core.data.transforms import CIFAR10_NORMALISATION
from core.errors import ConfigError
from core.experiments import vit_scratch
from core.models.checkpoint import load_model
from core.models.vit import ViTConfig
from core.paths import data_root
from core.runs.store import RunFolder, RunSpec, create_run
from core.training.config import TrainingConfig
from core.training.evaluate import evaluate


@pytest.fixture(autouse=True)
def _tiny_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    random = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 20)):
        labels = np.arange(count) % 2
        images = random.integers(0, 80, (count, 8, 8, 3), dtype=np.uint8)
        images[labels == 1, :, :, 0] += 150
        save_arrays(data_root() / "toy", split, images, labels)
    card = {
        "name": "toy",
        "title": "Toy",
        "classes": ["dark", "red"],
        "storage": "arrays",
        "splits": {"train": 40, "test": 20},
    }
    (data_root() / "toy" / "dataset.json").write_text(json.dumps(card))


def config(positional: str = "learned_1d", epochs: int = 3) -> vit_scratch.Config:
    return vit_scratch.Config(
        dataset="toy",
        model=ViTConfig(
            image_size=8,
            patch_size=4,
            embed_dim=16,
            depth=1,
            num_heads=2,
            classes=2,
            positional=positional,  # type: ignore[arg-type]
        ),
        training=TrainingConfig(epochs=epochs, batch_size=8, precision="fp32"),
    )


def folder_called(tmp_path: Path, name: str) -> RunFolder:
    return create_run(name, RunSpec(recipe="vit_scratch", config={}))


def reports(run: list[object]) -> list[dict[str, object]]:
    """Everything but how fast it went."""
    return [{k: v for k, v in asdict(r).items() if k != "images_per_second"} for r in run]  # type: ignore[call-overload]


def test_an_interrupted_run_continues_number_by_number(tmp_path: Path) -> None:
    whole = list(vit_scratch.run(config(), folder_called(tmp_path, "whole")))
    folder = folder_called(tmp_path, "cut")
    started = vit_scratch.run(config(), folder)
    first = [next(started)]
    started.close()
    rest = list(vit_scratch.run(config(), folder))
    assert reports(first + rest) == reports(whole)
    assert len(folder.history()) == 3


@pytest.mark.parametrize("positional", ["none", "learned_2d", "sinusoidal"])
def test_what_is_saved_is_what_was_measured(tmp_path: Path, positional: str) -> None:
    folder = folder_called(tmp_path, positional)
    list(vit_scratch.run(config(positional, epochs=1), folder))
    measured = json.loads((folder.model / "card.json").read_text())["metrics"]
    again = evaluate(load_model(folder.model), load_arrays("toy", "test"), CIFAR10_NORMALISATION)
    assert again.accuracy == measured["test_accuracy"]
    assert again.loss == pytest.approx(measured["test_loss"], abs=1e-6)


def test_classes_that_do_not_match(tmp_path: Path) -> None:
    wrong = vit_scratch.Config(dataset="toy", model=ViTConfig(image_size=8, classes=10))
    with pytest.raises(ConfigError, match=r"model\.classes=2"):
        next(vit_scratch.run(wrong, folder_called(tmp_path, "wrong")))
