"""Addresses that were sent before things got other names still open what they meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.diffusion_toy import save_tiny_pipeline
from tests.pages.harness import open_page


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


def test_diffusion(tmp_path: Path) -> None:
    model = f"folder:{save_tiny_pipeline(tmp_path / 'tiny')}"
    app = open_page(
        "diffusion", model=model, draws="12", least_draws="7", pruning="None", spread="Staged",
        race_labels="ship, horse", race_template="a {}", race_seed="5", race_view="Photo", races="other",
    )  # fmt: skip
    assert app.number_input(key="samples").value == 12
    assert app.number_input(key="least_samples").value == 7
    assert app.selectbox(key="sampling").value == "staged"
    assert app.text_input(key="diffusion_labels").value == "ship, horse"
    assert app.text_input(key="diffusion_template").value == "a {}"
    assert app.number_input(key="sampling_seed").value == 5
    assert app.segmented_control(key="denoising_view").value == "photo"
    assert app.query_params["diffusion_evaluation"] == "other"
    assert "draws" not in app.query_params
