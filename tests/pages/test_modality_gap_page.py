"""The Modality gap page: filled without data, moved by its slider, honest with few pairs and odd addresses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.methods.modality_gap.alignment import VARIANTS
from pages.shared.recipes import filled_recipe
from tests.clip_toy import save_tiny_clip
from tests.pages.exports import run_recipe
from tests.pages.harness import open_page, text_of
from tests.toy import save_toy


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"folder:{save_tiny_clip(tmp_path_factory.mktemp('clip') / 'tiny')}"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


def gap(model: str, **query: str) -> AppTest:
    return open_page("modality_gap", model=model, **query)


def numbers(app: AppTest) -> list[str]:
    return [each.value for each in app.metric]


def test_without_data_the_example_photos_fill_the_page_and_claim_nothing(model: str) -> None:
    app = gap(model)
    assert not app.error
    assert any("nothing about the model" in warning.value for warning in app.warning)
    assert any("ofheld-out" in m.value.replace(" ", "") or "held-out accuracy" in m.value for m in app.markdown)
    assert len(numbers(app)) == 4
    assert "images of other classes" in text_of(app)  # cut-outs of one photo are never on both sides


def test_a_data_set_is_fitted_on_one_split_and_measured_on_the_other_and_the_slider_moves(model: str) -> None:
    save_toy({"train": 120, "test": 110})
    app = gap(model)
    assert not app.error
    assert "fitted on 120 pairs, measured on 110 other images" in text_of(app)
    start = numbers(app)
    app.select_slider(key="way").set_value("rotated").run()
    assert not app.exception
    end = numbers(app)
    assert end[0] != start[0]
    assert end[1] != start[1]
    app.selectbox(key="align").set_value("mean_shift").run()
    assert not app.exception
    assert "nothing is rotated" in text_of(app)
    assert app.select_slider(key="way").value == "rotated"  # it stays where it was, and there is no control
    assert numbers(app)[3] == "–"
    table = app.dataframe[0].value
    assert list(table["alignment"]) == [variant.title for variant in VARIANTS.values()]
    assert table["accuracy"].between(0, 1).all()


def test_other_classes_need_more_than_two_of_them(model: str) -> None:
    save_toy({"train": 40, "test": 40})
    app = gap(model, apart="other classes")
    assert any("2 classes are too few" in error.value for error in app.error)
    assert not app.exception
    app.segmented_control(key="apart").set_value("images").run()
    assert not app.error
    assert not app.exception


def test_an_address_that_makes_no_sense_shows_the_page_all_the_same(model: str) -> None:
    app = gap(
        model, align="no such alignment", way="nowhere", pairs_of="a data set that was deleted", pair_count="1e9",
        gap_plane="🙈", gap_colours="",
    )  # fmt: skip
    assert not app.exception
    assert len(numbers(app)) == 4


def test_images_of_one_class_are_a_sentence(model: str) -> None:
    folder = save_toy({"all": 30})
    np.save(folder / "all_labels.npy", np.zeros(30, dtype=np.int64))
    app = gap(model)
    assert any("of one class" in error.value for error in app.error)
    assert not app.exception


def test_the_recipe_runs(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    save_toy({"all": 30})
    asked = {"source": "toy/all", "strategy": "photo", "pairs": 100, "by": "images", "variant": "centred"}
    printed = run_recipe(filled_recipe("modality_gap", model=model, **asked), capsys)
    assert "fitted on 15 pairs, measured on 15 other images" in printed
    assert "Procrustes, L2, centred" in printed
    assert "paired interval" in printed
