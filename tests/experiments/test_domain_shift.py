"""Domain shift: a probe is tested away on the whole domain left out, at home on images that it did not learn from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.data.arrays import save_arrays
from core.errors import ConfigError, CoreError
from core.experiments import domain_shift
from core.experiments.domain_shift import Config
from core.methods.biases.shifts import ShiftReport
from core.models.checkpoint import ModelCard, build, save_model
from core.paths import data_root
from core.reports import Progress
from core.runs.store import RunSpec, create_run
from tests.toy import save_toy

CNN = {"image_size": 8, "channels": 3, "classes": 2, "width": 8, "stages": 2, "blocks": 1}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


@pytest.fixture
def model(tmp_path: Path) -> str:
    card = ModelCard(
        family="small_cnn", title="Tiny", config=CNN, classes=("a", "b"), mean=(0.5,) * 3, std=(0.2,) * 3,
        dataset="none", recipe="", command="", date="",
    )  # fmt: skip
    torch.manual_seed(0)
    save_model(tmp_path / "cnn", build("small_cnn", CNN), card)
    return f"folder:{tmp_path / 'cnn'}"


def measure(config: Config, name: str = "shift") -> tuple[list[ShiftReport], dict[str, Any]]:
    folder = create_run(name, RunSpec.of("domain_shift", config, device="cpu"))
    reports = [each for each in domain_shift.run(config, folder) if not isinstance(each, Progress)]
    assert reports[-1].step == reports[-1].steps
    return reports, json.loads((folder.path / "result.json").read_text(encoding="utf-8"))


def save_domains() -> None:
    """Two domains alike, and a third whose classes have changed places: at home all is right, away all is wrong."""
    folder = save_toy({"one": 60, "two": 40}, name="domains")
    images, labels = (np.load(folder / f"one_{kind}.npy") for kind in ("images", "labels"))
    save_arrays(folder, "wrong", images[:30], 1 - labels[:30])
    card = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    card["splits"]["wrong"] = 30
    (folder / "dataset.json").write_text(json.dumps(card), encoding="utf-8")


def test_each_domain_is_left_out_once_and_measured_as_a_whole(model: str) -> None:
    save_domains()
    reports, result = measure(Config(models=(model,), dataset="domains"))
    found = {each.place: each for each in reports}
    assert list(found) == ["one", "two", "wrong"]
    wrong = found["wrong"]
    assert (wrong.test_accuracy, wrong.test_count) == (0, 30)
    # A fifth of every class of the two others is set aside, and a tenth of the rest chooses the penalty.
    assert (wrong.home_accuracy, wrong.home_count, wrong.train_count) == (1, 12 + 8, 48 + 32)
    assert wrong.corrected == -1
    assert found["one"].test_count == 60
    assert result["domains"] == list(found)
    assert [each["place"] for each in result["shifts"]] == list(found)


def test_other_classes_are_probed_on_their_own_splits(model: str) -> None:
    save_toy({"train": 80, "test": 24}, name="others", classes=("up", "down"))
    [report], result = measure(Config(models=(model,), dataset="", semantic=("others",), max_images=40, max_test=10))
    assert (report.shift, report.place, report.test_count) == ("semantic", "others", 10)
    assert report.train_count == 40 + 4
    assert report.test_accuracy == 1
    assert report.home_accuracy is None
    assert result["semantic"] == [{"name": "others", "title": "Others"}]


def test_bad_input_is_a_sentence(model: str) -> None:
    save_toy({"train": 20, "test": 20})
    with pytest.raises(ConfigError, match="no domains: its splits are train, test"):
        measure(Config(models=(model,), dataset="toy"))
    with pytest.raises(CoreError, match="not on this machine"):
        measure(Config(models=(model,), dataset="gone"), "gone")
    with pytest.raises(ConfigError, match="no data set to shift to"):
        Config(models=(model,), dataset="")
    with pytest.raises(ConfigError, match="each once"):
        Config(models=(model, model))
    assert not list(data_root().glob("gone"))
