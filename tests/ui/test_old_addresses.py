"""Addresses that were sent before things got other names still open what they meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.diffusion_toy import save_tiny_pipeline
from tests.ui.test_pages import open_page


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


def test_diffusion(tmp_path: Path) -> None:
    model = f"folder:{save_tiny_pipeline(tmp_path / 'tiny')}"
    app = open_page("diffusion", model=model, draws="12", least_draws="7", pruning="None", spread="Staged")
    assert app.number_input(key="samples").value == 12
    assert app.number_input(key="least_samples").value == 7
    assert app.selectbox(key="sampling").value == "staged"
    assert "draws" not in app.query_params
