"""The Modality gap page: filled without data, moved by its slider, honest with few pairs and odd addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.methods.modality_gap.alignment import VARIANTS, find_variant
from core.methods.modality_gap.modality_gap import measure
from pages.modality_gap.modality_gap import GapRequest, halves_of
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


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the browser was given, run by run."""
    found: list[dict[str, Any]] = []
    way = "pages.modality_gap.modality_gap_panel.alignment_way"
    monkeypatch.setattr(way, lambda data, **_: found.append(data))
    return found


def numbers(data: dict[str, Any], stop: int | None = None) -> list[str]:
    """Gap, cosine, accuracy and control at a stop; of the slider's own, if none is given."""
    at = data["titles"].index(data["stop"]) if stop is None else stop
    return [tile["values"][at] for tile in data["tiles"]]


def test_without_data_the_example_photos_fill_the_page_and_claim_nothing(
    model: str, shown: list[dict[str, Any]]
) -> None:
    app = gap(model)
    assert not app.error
    assert any("nothing about the model" in warning.value for warning in app.warning)
    assert any("ofheld-out" in m.value.replace(" ", "") or "held-out accuracy" in m.value for m in app.markdown)
    assert len(numbers(shown[-1])) == 4
    assert "images of other classes" in text_of(app)  # cut-outs of one photo are never on both sides


def test_a_data_set_is_fitted_on_one_split_and_measured_on_the_other_and_the_way_is_sent_once(
    model: str, shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_toy({"train": 120, "test": 110})
    sent: dict[str, bytes] = {}
    monkeypatch.setattr("pages.modality_gap.way.served", lambda content, _kind, place: sent.setdefault(place, content))
    app = gap(model)
    assert not app.error
    assert "fitted on 120 pairs, measured on 110 other images" in text_of(app)
    way = shown[-1]
    assert (way["titles"][0], way["titles"][10], way["titles"][-1]) == ("as given", "centred", "rotated")
    assert numbers(way, -1)[:2] != numbers(way, 0)[:2]
    places = np.frombuffer(sent["gap.gap"], "<u2").reshape(21, 2, 110, 2)
    assert len(way["labels"]) == 110
    # The means that are drawn are those of what is sent.
    np.testing.assert_allclose(places.mean(axis=2) / 65535, way["planes"]["gap"]["means"], atol=1e-4)
    app.session_state["way"] = "rotated"
    app.selectbox(key="align").set_value("mean_shift").run()
    assert not app.exception
    assert "nothing is rotated" in text_of(app)
    assert (shown[-1]["stop"], numbers(shown[-1])[3]) == ("centred", "–")  # as far as it goes, and there is no control
    assert app.query_params["way"] in ("rotated", ["rotated"])
    table = app.dataframe[0].value
    assert list(table["alignment"]) == [variant.title for variant in VARIANTS.values()]
    assert table["accuracy"].between(0, 1).all()


def test_what_the_slider_shows_at_each_stop_is_what_was_computed(model: str, shown: list[dict[str, Any]]) -> None:
    save_toy({"train": 60, "test": 50})
    gap(model, way="centred")
    halves = halves_of(GapRequest(model, "toy", "ensemble", 500, "images"))
    before = find_variant("before")
    centred = measure(halves.fitted, halves.held_out, find_variant("centred_only"))
    rotated = measure(halves.fitted, halves.held_out, find_variant("centred"))
    for stop, outcome in ((0, measure(halves.fitted, halves.held_out, before)), (10, centred), (20, rotated)):
        assert numbers(shown[-1], stop)[:2] == [
            f"{outcome.held_out.distance:.2f}",
            f"{outcome.held_out.paired_cosine:.2f}",
        ]
        line = shown[-1]["charts"][1]["lines"][0]["values"]
        assert line[stop] == pytest.approx(100 * outcome.accuracy)
    assert shown[-1]["stop"] == "centred"


@pytest.mark.slow
def test_both_sides_are_drawn_by_each_method(model: str) -> None:
    save_toy({"train": 60, "test": 50})
    for method in ("PCA", "t-SNE", "UMAP"):
        app = gap(model, gap_method=method)
        assert not app.exception
        assert text_of(app).count("have a caption as their nearest point") == 2


def test_other_classes_need_more_than_two_of_them(model: str) -> None:
    save_toy({"train": 40, "test": 40})
    app = gap(model, apart="other classes")
    assert any("2 classes are too few" in error.value for error in app.error)
    assert not app.exception
    app.segmented_control(key="apart").set_value("images").run()
    assert not app.error
    assert not app.exception


def test_an_address_that_makes_no_sense_shows_the_page_all_the_same(model: str, shown: list[dict[str, Any]]) -> None:
    app = gap(
        model, align="no such alignment", way="nowhere", pairs_of="a data set that was deleted", pair_count="1e9",
        gap_plane="🙈", gap_colours="", gap_method="magic",
    )  # fmt: skip
    assert not app.exception
    assert shown[-1]["stop"] == "as given"


def test_images_of_one_class_are_a_sentence(model: str) -> None:
    folder = save_toy({"all": 30})
    np.save(folder / "all_labels.npy", np.zeros(30, dtype=np.int64))
    app = gap(model)
    assert any("of one class" in error.value for error in app.error)
    assert not app.exception


def test_the_recipe_runs(
    model: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_toy({"all": 30})
    asked = {
        "source": "toy/all",
        "strategy": "photo",
        "pairs": 100,
        "by": "images",
        "variant": "centred",
        "method": "pca",
    }
    printed = run_recipe(filled_recipe("modality_gap", model=model, **asked), capsys)
    assert "fitted on 15 pairs, measured on 15 other images" in printed
    assert "Procrustes, L2, centred" in printed
    assert "paired interval" in printed
    assert "after: " in printed
    with np.load("modality_gap.npz") as saved:
        assert saved["before_images"].shape == saved["after_images"].shape == (15, 2)
