"""From settings to a trained model in a browser: launch on Train, watch it finish on Runs, open it in Attention."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

from core.data.arrays import save_arrays

TINY = (
    "dataset=toy", "model.image_size=8", "model.classes=2", "model.embed_dim=16", "model.depth=1",
    "model.num_heads=2", "training.epochs=3", "training.batch_size=16",
)  # fmt: skip


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    folder = tmp_path / "home" / "data" / "toy"
    for split, count in (("train", 80), ("test", 20)):
        labels = np.arange(count) % 2
        save_arrays(folder, split, np.full((count, 8, 8, 3), 30) + 150 * labels[:, None, None, None], labels)
    card = {"name": "toy", "title": "Toy", "classes": ["dark", "bright"], "storage": "arrays", "image_size": [8, 8]}
    (folder / "dataset.json").write_text(json.dumps({**card, "splits": {"train": 80, "test": 20}}))


@pytest.mark.usefixtures("toy")
def test_launch_watch_and_open(start_server: Callable[[], str], page: Any) -> None:
    query = urlencode([("recipe", "vit_scratch"), *(("set", pair) for pair in TINY)])
    page.goto(f"{start_server()}/train?{query}")
    page.get_by_text("5 tokens an image").wait_for()
    # Twice, as impatient people do: it is one run all the same.
    page.get_by_role("button", name="Launch", exact=True).dblclick()
    page.get_by_text("vit-p4-1 is launched").wait_for()
    page.get_by_role("link", name="Watch it").click()
    page.get_by_text("Is it learning, and when is it done?").wait_for()
    # Without another click: the page looks by itself until the run has ended.
    page.get_by_text("finished · on").wait_for()
    page.locator(".js-plotly-plot").nth(1).wait_for()
    assert "runs=vit-p4-1" in page.url
    assert page.get_by_text("vit-p4-2").count() == 0
    page.get_by_role("button", name="Attention", exact=True).click()
    page.get_by_text("of its patch attention in").first.wait_for()
    assert "run%3Avit-p4-1" in page.url
    assert page.locator('[data-testid="stException"]').count() == 0
