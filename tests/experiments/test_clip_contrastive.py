"""The recipe of the small CLIP: an interrupted run continues, and its folder is what was measured."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

from core.data.arrays import load_arrays, save_arrays
from core.data.transforms import CIFAR10_NORMALISATION, normalise
from core.errors import ConfigError, CoreError
from core.experiments import clip_contrastive
from core.experiments.clip_contrastive import Config
from core.models.small_clip import SmallCLIPConfig
from core.paths import data_root
from core.reports import Progress
from core.runs.store import RunFolder, RunSpec, create_run
from core.training.config import TrainingConfig

TABBY, GOLDFISH = "n02123045", "n01443537"
SMALL = SmallCLIPConfig(
    image_size=16, patch_size=8, width=16, depth=1, num_heads=2, text_width=16, text_depth=1, text_heads=2, embed_dim=12
)
CONFIG = Config(
    datasets="dark_red+bright*2",
    start="",
    transfer="drawn",
    model=SMALL,
    training=TrainingConfig(epochs=2, batch_size=16, precision="fp32", learning_rate=1e-2),
)


def _save(name: str, classes: tuple[str, ...], side: int, splits: dict[str, int]) -> None:
    """Noise whose channel of the class's number is brighter."""
    random = np.random.default_rng(side)
    for split, count in splits.items():
        labels = np.arange(count) % len(classes)
        images = random.integers(0, 80, (count, side, side, 3), dtype=np.uint8)
        images[np.arange(count), :, :, labels] += 150
        save_arrays(data_root() / name, split, images, labels)
    card = {"name": name, "title": name.title(), "classes": classes, "storage": "arrays", "splits": splits}
    (data_root() / name / "dataset.json").write_text(json.dumps(card), encoding="utf-8")


@pytest.fixture(autouse=True)
def _tiny_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    _save("dark_red", ("airplane", "cat"), 8, {"train": 40, "test": 20})
    _save("bright", (TABBY, GOLDFISH), 16, {"train": 20, "val": 12})
    _save("drawn", ("cat", "guitar"), 16, {"sketch": 30, "photo": 16})


def _folder(name: str) -> RunFolder:
    return create_run(name, RunSpec(recipe="clip_contrastive", config={}, device="cpu"))


def _consume(reports: Iterator[Any], folder: RunFolder) -> Iterator[Any]:
    for report in reports:
        if not isinstance(report, Progress):
            folder.append_metrics(asdict(report))
        yield report


def _train(config: Config, name: str) -> RunFolder:
    folder = _folder(name)
    for _ in _consume(clip_contrastive.run(config, folder), folder):
        pass
    return folder


def _card(folder: RunFolder) -> dict[str, Any]:
    return json.loads((folder.model / "card.json").read_text(encoding="utf-8"))


def _numbers(folder: RunFolder) -> list[dict[str, Any]]:
    return [{**line, "images_per_second": None} for line in folder.history()]


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_a_stopped_run_continues_number_by_number(loss: Any) -> None:
    config = dataclasses.replace(CONFIG, loss=loss)
    whole, cut = _train(config, "whole"), _folder("cut")
    started = clip_contrastive.run(config, cut)
    for _ in itertools.islice(_consume(started, cut), 3):
        pass
    started.close()  # type: ignore[attr-defined]
    assert cut.checkpoint.is_file()
    for _ in _consume(clip_contrastive.run(config, cut), cut):
        pass
    assert _numbers(cut) == _numbers(whole)
    assert len(_numbers(cut)) == 2
    assert (cut.model / "model.safetensors").read_bytes() == (whole.model / "model.safetensors").read_bytes()


def test_the_card_says_what_it_has_seen_and_what_it_was_tested_on() -> None:
    card = _card(_train(CONFIG, "run"))
    assert card["labels_seen"] == {"dark_red": ["airplane", "cat"], "bright": ["tabby", "goldfish"]}
    metrics = card["metrics"]
    assert {name: found["count"] for name, found in metrics["val"].items()} == {"dark_red": 4, "bright": 2}
    assert metrics["test"]["bright"]["split"] == "val"  # a tenth of train is for choosing; this is read once
    assert {name: found["count"] for name, found in metrics["test"].items()} == {"dark_red": 20, "bright": 12}
    assert set(metrics["transfer"]["drawn"]["splits"]) == {"sketch", "photo"}
    assert metrics["transfer"]["drawn"]["labels"] == {"cat": True, "guitar": False}
    low, high = metrics["transfer"]["drawn"]["splits"]["sketch"]["interval_95"]
    assert 0 <= low <= metrics["transfer"]["drawn"]["splits"]["sketch"]["accuracy"] <= high <= 1


def test_it_learns_and_the_folder_is_what_was_measured() -> None:
    training = dataclasses.replace(CONFIG.training, epochs=25)
    folder = _train(dataclasses.replace(CONFIG, training=training, datasets="dark_red"), "learned")
    found = _card(folder)["metrics"]["test"]["dark_red"]
    assert found["accuracy"] > 0.9
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder.model}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder.model}")
    model.eval()
    test = load_arrays("dark_red", "test")
    images = torch.nn.functional.interpolate(
        normalise(torch.from_numpy(np.array(test.images)), CIFAR10_NORMALISATION), 16, mode="bicubic", antialias=True
    )
    with torch.no_grad():
        image_logits, _ = model.get_logits(images, tokenizer(["a photo of an airplane.", "a photo of a cat."]))
    assert (image_logits.argmax(dim=1).numpy() == test.labels).mean() > 0.9


def test_a_trial_reads_no_test_images() -> None:
    (data_root() / "dark_red" / "test_images.npy").write_bytes(b"")
    folder = _train(dataclasses.replace(CONFIG, evaluate_test=False, datasets="bright", max_images=8), "trial")
    assert _card(folder)["metrics"]["test"] == {}
    assert _numbers(folder)[0]["steps"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datasets": "drawn"}, "guitar"),
        ({"datasets": ""}, "empty"),
        ({"datasets": "bright*many"}, "bright"),
        ({"start": "vit_p4"}, "same width"),
    ],
)
def test_what_cannot_be_trained_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CoreError) as failure:
        next(clip_contrastive.run(dataclasses.replace(CONFIG, **changes), _folder("wrong")))
    assert message in str(failure.value) + failure.value.remedy


def test_mixed_images_have_no_caption() -> None:
    with pytest.raises(ConfigError, match="caption"):
        dataclasses.replace(CONFIG, training=TrainingConfig(augmentation="mix"))
