"""The page Patch features: colours of all photos at once, likeness to a patch, an export of what is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity
from streamlit.testing.v1 import AppTest

from pages.components.patch_features.patch_features import quantised, read_choice
from tests.pages.exports import check_controls, exported, keep_exports, run_recipe
from tests.pages.harness import open_page, text_of


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def shown(app: AppTest) -> dict[str, Any]:
    """What the component was given."""
    return next(data for each in app.get("bidi_component") if "tokens" in (data := json.loads(each.proto.json)))


def test_it_opens_with_three_photos_in_the_last_layer() -> None:
    app = open_page("patch_features")
    assert not app.error
    data = shown(app)
    assert [each["title"] for each in data["photos"]] == ["Cat", "Cup of coffee", "Dahlia"]
    assert (data["layers"], data["layer"], data["rows"], data["columns"], data["dim"]) == (6, 5, 8, 8, 192)
    assert len(data["tokens"]) == 6
    assert data["photos"][0]["note"] == "The model sees 67% of this photo, from its middle, in 32 × 32 pixels."
    assert data["chosen"] is None
    assert "Of what differs between the patches of these photos, ViT on CIFAR-10 tells" in text_of(app)


@pytest.mark.parametrize(
    "query",
    [
        {"feature_layer": "7"}, {"feature_layer": "0"}, {"feature_layer": "x"}, {"feature_patch": "9:1"},
        {"feature_patch": "1:64"}, {"feature_patch": "a"}, {"feature_images": "example:none,upload:gone"},
        {"ground": "nonsense"}, {"model": "cnn_small"}, {"model": "vae_2d"},
    ],
)  # fmt: skip
def test_an_address_that_makes_no_sense_is_a_sentence_at_most(query: dict[str, str]) -> None:
    app = open_page("patch_features", **query)
    assert not app.exception
    assert "What you see" in text_of(app)
    if "model" in query or "feature_images" in query:
        assert app.error
    else:
        assert shown(app)["layer"] == 5


def test_without_a_photo_the_page_asks_for_one() -> None:
    app = open_page("patch_features")
    app.multiselect(key="feature_images_chosen").set_value([]).run()
    assert not app.exception
    assert any("No photo is chosen" in each.value for each in app.error)


def test_the_export_is_of_the_layer_and_the_patch_that_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_exports(monkeypatch)
    query = {"feature_images": "example:cat,example:flower", "feature_layer": "3", "feature_patch": "1:20"}
    app = open_page("patch_features", **query)
    export = exported(app)
    tokens = export.arrays["tokens"]
    assert tokens.shape == (2, 64, 192)
    expected = cosine_similarity(tokens.reshape(-1, 192), tokens[1, 20][None]).reshape(2, 8, 8)
    np.testing.assert_allclose(export.arrays["likeness"], expected, atol=1e-5)
    assert export.facts["layer"] == 3
    assert export.facts["nearest"] == [int(expected[0].argmax()), -1]
    assert set(export.pictures) == {"patch_features", "likeness"}
    assert run_recipe(export.recipe, capsys)
    with np.load("patch_features.npz") as made:
        np.testing.assert_allclose(made["likeness"], export.arrays["likeness"], atol=1e-5)
        np.testing.assert_allclose(made["colours"], export.arrays["colours"], atol=1e-4)
    other = exported(open_page("patch_features", **query | {"feature_layer": "4", "feature_patch": "none"}))
    assert "likeness" not in other.pictures
    assert (other.arrays["tokens"] != tokens).any()


def test_every_control_reaches_the_export(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_exports(monkeypatch)
    excused = {
        "feature_images_set": "a form that adds photos", "feature_images_seed": "a form that adds photos",
        "own_*": "a form that adds a model", "export": "the menu itself",
    }  # fmt: skip
    query = {"feature_images": "example:cat,example:flower"}
    assert check_controls(lambda: open_page("patch_features", **query), excused=excused, values={})


def test_a_byte_a_number_is_enough_for_a_cosine() -> None:
    tokens = np.random.default_rng(0).normal(size=(40, 384)).astype(np.float32)
    tokens[:, 7] *= 60  # one channel that dominates, as in large models
    found = cosine_similarity(quantised(tokens).astype(np.float32))
    np.testing.assert_allclose(found, cosine_similarity(tokens), atol=0.01)


@pytest.mark.parametrize("told", [None, 3, [1], [2, 0], [0, 9], [True, 1], ["0", 1], [-1, -1, 5], [0.0, 1]])
def test_what_is_no_choice_of_a_patch_is_none(told: object) -> None:
    assert read_choice(told, 2, 9) is None
    assert read_choice([1, 8, 17], 2, 9) == (1, 8)
