"""The mixers' recipe: every operator is trained, stored, measured and opened again by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
import torch

from core.data.arrays import load_arrays
from core.data.loading import measure_normalisation
from core.experiments import mixer_scratch, vit_scratch
from core.experiments.preview import network_shape
from core.models.mixer import OPERATOR_TITLES, MixerConfig, OperatorName
from core.models.weights import load
from core.runs.store import RunSpec, create_run
from core.training.config import TrainingConfig
from core.training.evaluate import evaluate
from tests.toy import save_toy


@pytest.fixture(autouse=True)
def _tiny_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy()


@pytest.mark.parametrize("operator", get_args(OperatorName))
def test_what_is_opened_is_what_was_measured(operator: OperatorName) -> None:
    config = mixer_scratch.Config(
        dataset="toy",
        model=MixerConfig(operator=operator, image_size=8, embed_dim=16, num_heads=2, depth=1, classes=2),
        training=TrainingConfig(epochs=8, batch_size=8, precision="fp32", learning_rate=0.01, optimizer="muon"),
    )
    folder = create_run("finished", RunSpec.of("mixer_scratch", config, device="cpu"))
    assert [report.epoch for report in mixer_scratch.run(config, folder) if hasattr(report, "epoch")] == [*range(1, 9)]
    card = json.loads((folder.model / "card.json").read_text(encoding="utf-8"))
    assert card["title"] == f"{OPERATOR_TITLES[operator]} mixer"
    model = load("run:finished")
    assert model.spec.capabilities == {"classifier", "convolution"}
    assert model.classes == ("dark", "red")
    again = evaluate(model.module, load_arrays("toy", "test"), measure_normalisation(load_arrays("toy", "train")))
    assert again.accuracy == card["metrics"]["test_accuracy"] == 1
    trace = model.module.trace_mixers(torch.zeros(1, 3, 8, 8))
    assert trace.logits.shape == (1, 2)
    assert all((kernel is None) == (operator == "attention") for kernel in trace.kernels)


def test_a_preview_counts_the_class_token_only_where_there_is_one() -> None:
    mixer, vit = network_shape(mixer_scratch.Config()), network_shape(vit_scratch.Config())
    assert mixer is not None
    assert vit is not None
    assert (mixer.tokens, vit.tokens) == (64, 65)
