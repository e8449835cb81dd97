"""The probe's recipe: reports of every pooling, features kept between runs, photos of several domains."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from core.data.archives import import_archive
from core.errors import IncompatibleError
from core.experiments import linear_probe
from core.experiments.linear_probe import Config, ProbeReport
from core.methods.embeddings import features
from core.models.checkpoint import ModelCard, build, save_model
from core.reports import Progress
from core.runs.store import RunFolder, RunSpec, create_run
from tests.toy import save_toy

FAMILIES = {
    "vit": {"image_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 1, "num_heads": 2, "classes": 3},
    "small_cnn": {"image_size": 8, "width": 8, "stages": 2, "classes": 3},
}


@pytest.fixture(autouse=True)
def _tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two classes told by colour, and an untrained network of each family, whose features tell them too."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy({"train": 60, "test": 30})
    torch.manual_seed(0)
    for family, config in FAMILIES.items():
        card = ModelCard(
            family=family, title=family, config=config, classes=("a", "b", "c"), mean=(0.5,) * 3, std=(0.2,) * 3,
            dataset="none", recipe="", command="", date="",
        )  # fmt: skip
        save_model(tmp_path / family, build(family, config), card)


def config(tmp_path: Path, family: str) -> Config:
    return Config(backbone=f"folder:{tmp_path / family}", dataset="toy", neighbours=3, max_iterations=30)


def probe(config: Config, name: str = "probe") -> tuple[list[Progress], list[ProbeReport], RunFolder]:
    folder = create_run(name, RunSpec.of("linear_probe", config, device="cpu"))
    reports = list(linear_probe.run(config, folder))
    progress = [each for each in reports if isinstance(each, Progress)]
    return progress, [each for each in reports if isinstance(each, ProbeReport)], folder


@pytest.mark.parametrize(("family", "poolings"), [("vit", ["class_token", "mean"]), ("small_cnn", ["embedding"])])
def test_every_pooling_is_probed_twice(tmp_path, family, poolings):
    progress, found, folder = probe(config(tmp_path, family))
    assert [(each.pooling, each.probe) for each in found] == [
        (pooling, kind) for pooling in poolings for kind in ("linear", "neighbours")
    ]
    for each in found:
        assert each.test_low <= each.test_accuracy <= each.test_high
        assert each.test_count == 30
        assert each.train_count == (60 if each.probe == "linear" else 54)
        assert each.test_accuracy > 0.9
    steps = [each.step for each in [*progress, found[-1]]]
    assert steps == sorted(steps)
    assert found[-1].step == found[-1].steps
    result = json.loads((folder.path / "result.json").read_text(encoding="utf-8"))
    assert [each["test_accuracy"] for each in result["probes"]] == [each.test_accuracy for each in found]
    assert result["test"] == "test"


def test_a_second_run_reads_the_features(tmp_path, monkeypatch):
    first = probe(config(tmp_path, "vit"))[1]
    monkeypatch.setattr(features, "pool_last", None)
    assert probe(config(tmp_path, "vit"), "again")[1] == first
    mean = probe(replace(config(tmp_path, "vit"), pooling="mean"), "mean")[1]
    assert [each.test_accuracy for each in mean] == [each.test_accuracy for each in first if each.pooling == "mean"]


def test_limits_and_impossible_poolings(tmp_path):
    found = probe(replace(config(tmp_path, "vit"), max_images=18, max_test=10), "few")[1]
    assert [(each.train_count, each.test_count) for each in found[:2]] == [(20, 10), (18, 10)]
    with pytest.raises(IncompatibleError, match="Choose one of: embedding"):
        probe(replace(config(tmp_path, "small_cnn"), pooling="mean"), "no")


def test_photos_of_several_domains(tmp_path):
    for domain in ("oil", "photo"):
        for number, name in enumerate(("dark", "light")):
            (tmp_path / "photos" / domain / name).mkdir(parents=True)
            for index in range(12):
                Image.new("RGB", (120, 100), (number * 200 + index,) * 3).save(
                    tmp_path / "photos" / domain / name / f"{index}.png"
                )
    import_archive(tmp_path / "photos", "photos")
    progress, found, folder = probe(replace(config(tmp_path, "small_cnn"), dataset="photos"))
    assert any("decoding photo" in each.text for each in progress)
    assert found[0].test_count == 24
    assert found[0].test_accuracy > 0.9
    assert json.loads((folder.path / "result.json").read_text(encoding="utf-8"))["test"] == "photo"
