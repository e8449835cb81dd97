"""A run settles its precision once: the folder, the card and the estimate say which and why, a resumption keeps it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.configs import from_dict
from core.experiments import run_precision, vit_scratch
from core.experiments.catalogue import find_recipe
from core.experiments.estimate import Estimate, estimate
from core.experiments.run_precision import read_precision, settle_precision
from core.launch.execute import execute
from core.models.vit import ViTConfig
from core.precision_choice import Chosen
from core.reports import Progress
from core.runs.status import read_state
from core.runs.store import RunFolder, RunSpec, create_run
from core.training.config import TrainingConfig
from core.training.loop import Fit
from tests.toy import save_toy

CONFIG = vit_scratch.Config(
    dataset="toy",
    model=ViTConfig(image_size=8, patch_size=4, embed_dim=16, depth=1, num_heads=2, classes=2),
    training=TrainingConfig(epochs=2, batch_size=8),
)


@pytest.fixture(autouse=True)
def _toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy()


def says(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """What the probe finds from now on."""
    monkeypatch.setenv("VITRINE_PRECISION", precision)


def folder(name: str = "run") -> RunFolder:
    return create_run(name, RunSpec.of("vit_scratch", CONFIG, device="cpu"))


def test_a_run_says_in_which_precision_it_was_trained_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, "bf16")
    run = folder()
    list(execute(run))
    assert read_state(run).status == "finished"
    card = json.loads((run.model / "card.json").read_text(encoding="utf-8"))
    expected = {"precision": "bf16", "reason": "VITRINE_PRECISION says so"}
    assert card["metrics"]["precision"] == expected
    assert json.loads(card["recipe"])["precision"] == "bf16"
    assert read_precision(run) == Chosen(**expected)  # type: ignore[arg-type]


def test_a_resumed_run_goes_on_in_the_precision_that_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    begin = Fit.__init__

    def watched(self: Fit, *arguments: object, **named: object) -> None:
        begin(self, *arguments, **named)  # type: ignore[arg-type]
        used.append(self.precision)

    monkeypatch.setattr(Fit, "__init__", watched)
    says(monkeypatch, "bf16")
    run = folder()
    reports = execute(run)
    next(each for each in reports if isinstance(each, Progress) and each.step == 3)
    reports.close()
    assert read_state(run).status == "stopped"
    says(monkeypatch, "fp32")  # as on another processor
    list(execute(run))
    assert used == ["bf16", "bf16"]


def test_a_run_of_a_gpu_in_fp16_that_goes_on_on_a_cpu_is_settled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, "fp32")
    run = folder()
    (run.path / run_precision.FILE).write_text('{"precision": "fp16", "reason": "of a T4"}', encoding="utf-8")
    assert settle_precision(run, "auto").precision == "fp32"


def test_what_is_set_is_kept_as_set() -> None:
    run = folder()
    assert settle_precision(run, "bf16") == Chosen(precision="bf16", reason="as set") == read_precision(run)


def test_the_estimate_says_the_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, "fp32")
    *_, found = estimate(find_recipe("vit_scratch"), CONFIG, device="cpu", least_steps=1, seconds=0.01)
    assert isinstance(found, Estimate)
    assert "Precision fp32: VITRINE_PRECISION says so." in found.sentence()


def test_a_run_of_before_keeps_what_its_specification_says() -> None:
    """Specifications of earlier runs name bf16, the default of then."""
    assert from_dict(TrainingConfig, {"precision": "bf16"}).precision == "bf16"
