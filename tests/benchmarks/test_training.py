"""The benchmark of the training loop runs to its end and says what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report, training


@pytest.mark.slow
@pytest.mark.parametrize("regime", training.PLAIN_REGIMES)
def test_the_quick_benchmark_compares_the_recipe_with_the_bare_step(
    regime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_PRECISION", raising=False)
    words = ["--quick", "--regime", regime, "--device", "cpu", "--probe-says", "fp32"]
    training.main(words)
    found = json.loads((tmp_path / "training_quick.json").read_text(encoding="utf-8"))
    assert found["precision"]["precision"] == "fp32"
    assert set(found["images_per_second"]) == {"bare", "bare_fp32", "recipe", "recipe_data", "plain_data", "plain"}
    assert all(rate > 0 for rates in found["images_per_second"].values() for rate in rates)
    assert found["recipe_over_bare_fp32"] > 0
