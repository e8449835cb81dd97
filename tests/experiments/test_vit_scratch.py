"""The recipe: an interrupted run continues, and what is saved is what was measured."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.arrays import load_arrays, save_arrays
from core.data.loading import measure_normalisation
from core.errors import ConfigError
from core.experiments import vit_scratch
from core.models.checkpoint import load_model
from core.models.vit import ViTConfig
from core.paths import data_root
from core.reports import Progress
from core.runs.store import RunFolder, RunSpec, create_run
from core.training.config import TrainingConfig
from core.training.evaluate import evaluate
from tests.toy import save_toy


@pytest.fixture(autouse=True)
def _tiny_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    save_toy()


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


def folder_called(name: str) -> RunFolder:
    return create_run(name, RunSpec(recipe="vit_scratch", config={}, device="cpu"))


def consume(reports: Iterator[object], folder: RunFolder) -> Iterator[object]:
    """As `core.launch.execute` does: a line of metrics for all but `Progress`, before asking for more."""
    for report in reports:
        if not isinstance(report, Progress):
            folder.append_metrics(asdict(report))  # type: ignore[call-overload]
        yield report


def train(config: vit_scratch.Config, folder: RunFolder) -> RunFolder:
    for _ in consume(vit_scratch.run(config, folder), folder):
        pass
    return folder


def numbers(folder: RunFolder) -> list[dict[str, object]]:
    """Everything but how fast it went."""
    return [{**line, "images_per_second": None} for line in folder.history()]


@pytest.mark.parametrize("yields", [1, 7, 8, 12])  # in the first epoch, at its report, in the second
def test_a_stopped_run_continues_number_by_number(yields: int) -> None:
    whole, cut = train(config(), folder_called("whole")), folder_called("cut")
    started = vit_scratch.run(config(), cut)
    for _ in itertools.islice(consume(started, cut), yields):
        pass
    started.close()  # type: ignore[attr-defined]
    assert cut.checkpoint.is_file()
    train(config(), cut)
    assert numbers(cut) == numbers(whole)
    assert len(numbers(cut)) == 3
    stored = [json.loads((each.model / "card.json").read_text(encoding="utf-8"))["metrics"] for each in (cut, whole)]
    assert stored[0] == stored[1]
    assert (cut.model / "model.safetensors").read_bytes() == (whole.model / "model.safetensors").read_bytes()


@pytest.mark.parametrize("positional", ["none", "learned_2d", "sinusoidal"])
def test_what_is_saved_is_what_was_measured(positional: str) -> None:
    folder = train(config(positional, epochs=1), folder_called(positional))
    measured = json.loads((folder.model / "card.json").read_text(encoding="utf-8"))["metrics"]
    again = evaluate(
        load_model(folder.model), load_arrays("toy", "test"), measure_normalisation(load_arrays("toy", "train"))
    )
    assert again.accuracy == measured["test_accuracy"]
    assert again.loss == pytest.approx(measured["test_loss"], abs=1e-6)


def test_the_normalisation_is_that_of_the_training_split() -> None:
    folder = train(config(epochs=1), folder_called("measured"))
    card = json.loads((folder.model / "card.json").read_text(encoding="utf-8"))
    pixels = load_arrays("toy", "train").images / 255
    assert card["mean"] == pytest.approx(pixels.mean(axis=(0, 1, 2)), abs=1e-5)
    assert card["std"] == pytest.approx(pixels.std(axis=(0, 1, 2)), abs=1e-5)


def test_grey_images_of_another_size_can_be_learned() -> None:
    random = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 20)):
        labels = np.arange(count) % 2
        images = random.integers(0, 80, (count, 28, 28, 1), dtype=np.uint8) + 150 * labels[:, None, None, None]
        save_arrays(data_root() / "grey", split, images, labels)
    (data_root() / "grey" / "dataset.json").write_text(
        json.dumps({"name": "grey", "classes": ["dark", "bright"]}), encoding="utf-8"
    )
    shape = ViTConfig(image_size=28, patch_size=7, channels=1, embed_dim=16, depth=1, num_heads=2, classes=2)
    training = TrainingConfig(epochs=2, batch_size=8, precision="fp32", augmentation="strong", learning_rate=1e-2)
    folder = train(vit_scratch.Config(dataset="grey", model=shape, training=training), folder_called("grey"))
    assert json.loads((folder.model / "card.json").read_text(encoding="utf-8"))["metrics"]["test_count"] == 20
    assert Image.open(folder.samples / "augmented.png").mode == "RGB"


def test_a_sweeps_trial_reads_no_test_images() -> None:
    (data_root() / "toy" / "test_images.npy").unlink()
    trial = dataclasses.replace(config(epochs=1), evaluate_test=False, max_images=16)
    folder = train(trial, folder_called("trial"))
    assert json.loads((folder.model / "card.json").read_text(encoding="utf-8"))["metrics"]["val_count"] == 4
    assert numbers(folder)[-1]["steps"] == 2


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"classes": 10}, "model.classes=2"),
        ({"image_size": 32}, "model.image_size=8"),
        ({"channels": 1}, "model.channels=3"),
    ],
)
def test_a_model_that_does_not_fit_the_images(changes: dict[str, int], setting: str) -> None:
    wrong = vit_scratch.Config(dataset="toy", model=ViTConfig(**{"image_size": 8, "classes": 2, **changes}))
    with pytest.raises(ConfigError) as failure:
        next(vit_scratch.run(wrong, folder_called("wrong")))
    assert setting in failure.value.remedy
