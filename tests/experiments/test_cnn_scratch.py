"""The CNN's recipe: statistics of batch norm are part of what resumes, is stored and is measured."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.archives import import_archive
from core.data.arrays import load_arrays
from core.data.loading import measure_normalisation
from core.data.transforms import normalise
from core.errors import ConfigError
from core.experiments import cnn_scratch
from core.methods.accuracy.targets import pick_target
from core.methods.attention.gradcam import grad_cam
from core.models.small_cnn import SmallCNNConfig
from core.models.weights import load
from core.paths import data_root
from core.reports import Progress
from core.runs.store import RunFolder, RunSpec, create_run
from core.training.config import TrainingConfig
from core.training.evaluate import evaluate
from tests.toy import save_toy


@pytest.fixture(autouse=True)
def _tiny_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy()


def config(*, epochs: int = 2, **changes: object) -> cnn_scratch.Config:
    return cnn_scratch.Config(
        dataset="toy",
        model=SmallCNNConfig(image_size=8, width=4, stages=2, classes=2),
        training=TrainingConfig(epochs=epochs, batch_size=8, precision="fp32", learning_rate=0.01),
        **changes,  # type: ignore[arg-type]
    )


def consume(reports: Iterator[object], folder: RunFolder) -> Iterator[object]:
    for report in reports:
        if not isinstance(report, Progress):
            folder.append_metrics(asdict(report))  # type: ignore[call-overload]
        yield report


def folder_called(name: str) -> RunFolder:
    return create_run(name, RunSpec(recipe="cnn_scratch", config={}, device="cpu"))


def train(folder: RunFolder, **changes: Any) -> RunFolder:
    for _ in consume(cnn_scratch.run(config(**changes), folder), folder):
        pass
    return folder


def test_a_stopped_run_ends_with_the_same_weights_and_statistics() -> None:
    whole, cut = train(folder_called("whole")), folder_called("cut")
    started = cnn_scratch.run(config(), cut)
    for _ in itertools.islice(consume(started, cut), 3):
        pass
    started.close()  # type: ignore[attr-defined]
    train(cut)
    assert (cut.model / "model.safetensors").read_bytes() == (whole.model / "model.safetensors").read_bytes()


def test_what_is_opened_is_what_was_measured() -> None:
    folder = train(folder_called("finished"), epochs=8)
    card = json.loads((folder.model / "card.json").read_text(encoding="utf-8"))
    model = load("run:finished")
    assert model.spec.capabilities == {"classifier", "convolution"}
    assert model.classes == ("dark", "red")
    test, normalisation = load_arrays("toy", "test"), measure_normalisation(load_arrays("toy", "train"))
    again = evaluate(model.module, test, normalisation)
    assert again.accuracy == card["metrics"]["test_accuracy"] == 1
    assert again.loss == pytest.approx(card["metrics"]["test_loss"], abs=1e-6)
    image = normalise(torch.from_numpy(np.array(test.images[:1])), normalisation)
    assert grad_cam(model.module, image, pick_target(model.module, image)).shape == (2, 2)


def test_trials_of_sweeps_leave_the_test_split_alone() -> None:
    (data_root() / "toy" / "test_images.npy").unlink()
    folder = train(folder_called("trial"), evaluate_test=False, max_images=20)
    metrics = json.loads((folder.model / "card.json").read_text(encoding="utf-8"))["metrics"]
    assert "test_accuracy" not in metrics
    assert metrics["val_count"] == 4
    assert folder.history()[-1]["step"] == 2 * 3


def test_images_of_another_size_are_refused() -> None:
    wrong = cnn_scratch.Config(dataset="toy", model=SmallCNNConfig(classes=2))
    with pytest.raises(ConfigError, match=r"Set model\.image_size=8"):
        next(cnn_scratch.run(wrong, folder_called("wrong")))


def test_photos_in_class_folders_without_splits_are_enough(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, count in (("dark", 4), ("red", 3)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(0, 80, (110, 120, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{index}.png")
    import_archive(tmp_path / "pets", "pets")
    folder = folder_called("few")
    for _ in consume(cnn_scratch.run(replace(config(epochs=1), dataset="pets"), folder), folder):
        pass
    metrics = json.loads((folder.model / "card.json").read_text(encoding="utf-8"))["metrics"]
    assert metrics["test_count"] == 2
    assert metrics["split"] == "a fifth of all, read once after the last epoch"
