"""Figures of earlier weights: whoever quotes one says so once the model was trained anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.experiments import accuracies
from core.models import stamps
from core.models.stamps import earlier_sentence, trained_anew, weight_stamps
from core.paths import BUNDLED
from pages.masking import track_records


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundled models: one of one file, one of two."""
    for path, words in (("single/model", b"one"), ("pair/unet/model", b"two"), ("pair/vae/model", b"three")):
        file = tmp_path / f"{path}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(words)
    monkeypatch.setattr(stamps, "BUNDLED", tmp_path)
    return tmp_path


def test_a_model_is_anew_when_any_of_its_weight_files_changed(bundled: Path) -> None:
    before = weight_stamps(["single", "pair", "hub:some/where", "../pair"])
    assert set(before) == {"single", "pair"}
    assert trained_anew(before) == []
    assert earlier_sentence(before, {}) == ""
    (bundled / "pair/vae/model.safetensors").write_bytes(b"another")
    assert trained_anew(before) == ["pair"]
    assert earlier_sentence(before, {"pair": "The Pair"}).startswith("Of The Pair these figures are about earlier")


def stamped(path: Path, folder: Path, model: str = "") -> Path:
    """A copy of a bundled result that says it was measured with today's weights, but with others of `model`."""
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    result["weight_files"] = weight_stamps(result["weight_files"]) | ({model: "0" * 16} if model else {})
    copy = folder / path.name
    copy.write_text(json.dumps(result), encoding="utf-8")
    return copy


def test_a_track_record_says_when_its_weights_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = track_records.RESULTS / "faithfulness_cnn_small.json"
    monkeypatch.setattr(track_records, "RESULTS", tmp_path)
    stamped(path, tmp_path)
    now = track_records.track_record("cnn_small")
    assert now is not None
    assert "earlier" not in now.sentence
    stamped(path, tmp_path, "cnn_small")
    stale = track_records.track_record("cnn_small")
    assert stale is not None
    assert "Of this model these figures are about earlier weights" in stale.sentence


def test_accuracies_of_earlier_weights_name_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracies, "MEASURED", stamped(accuracies.MEASURED, tmp_path, "cnn_small"))
    sources: dict[str, set[str]] = {}
    for each in accuracies.bundled_accuracies():
        if "frozen_heads" in each.source:
            sources.setdefault(each.model, set()).add(each.source)
    title = accuracies._model_title("cnn_small")
    assert sources.pop(title) == {"benchmarks/results/frozen_heads.json, with earlier weights"}
    assert set.union(*sources.values()) == {"benchmarks/results/frozen_heads.json"}


@pytest.mark.parametrize("name", ["biases", "frozen_heads", "faithfulness_vit_p4"])
def test_bundled_figures_name_the_weights_of_every_bundled_model_they_are_about(name: str) -> None:
    result = json.loads((track_records.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    held = [result] if "weight_files" in result else list(result["tables"].values())
    asked = set(result.get("titles", {})) or {"vit_p4"}
    for each in held:
        assert set(each["weight_files"]) >= {model for model in asked if (BUNDLED / model).is_dir()}
