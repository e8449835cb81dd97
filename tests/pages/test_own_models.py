"""Models that people bring: a page says what they lack for it, and works with those that have it."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers as T

from tests.models.test_transformers_kinds import OTHERS, TRANSFORMERS, shaken
from tests.pages.harness import open_page, text_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))


def saved(name: str, folder: Path) -> str:
    shaken((OTHERS | TRANSFORMERS)[name][0]()).save_pretrained(folder / name)
    return f"folder:{folder / name}"


def test_what_a_model_lacks_is_said_on_the_page_and_in_its_list(tmp_path: Path) -> None:
    name = saved("swin", tmp_path)
    app = open_page("attention", model=name)
    (error,) = app.error
    assert "swin cannot be used on this page: its attention is not one map over all patches" in error.value
    app.session_state["own_models"] = [name]
    app.run()
    assert not app.exception
    assert any("Not in this list: swin (its attention is not one map" in each.value for each in app.caption)


def test_a_tower_without_a_class_token_is_looked_at_by_what_its_head_reads(tmp_path: Path) -> None:
    app = open_page("attention", model=saved("siglip_tower", tmp_path))
    assert not app.error
    assert "reads the mix of tokens that attention pooling makes" in text_of(app)


def test_grey_models_of_others_are_shown_grey(tmp_path: Path) -> None:
    config = T.ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
                         image_size=32, patch_size=8, num_channels=1, num_labels=3)  # fmt: skip
    shaken(T.ViTForImageClassification(config)).save_pretrained(tmp_path / "grey")
    app = open_page("attention", model=f"folder:{tmp_path / 'grey'}")
    assert not app.error
