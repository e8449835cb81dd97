"""Conditions and CLIP against ImageNet, as panels of the CLIP page: filled on arrival, answering to every control."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from streamlit.testing.v1 import AppTest

from core.data.wordnet import imagenet_wnids
from core.methods.clip.disagreements import Disagreements, class_names, find_disagreements
from pages.clip import collection_store, conditions, conditions_answers, disagreements, disagreements_comparison
from pages.clip.disagreements_words import divided_classes
from tests.clip_toy import save_tiny_clip
from tests.pages.harness import text_of
from tests.toy import save_toy

SCRIPT = """
import streamlit as st
from pages.clip import {panel}
from pages.shared.errors import guard
{panel}.panel({model!r})
with guard():
    st.session_state["exported"] = {panel}.export({model!r})
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"folder:{save_tiny_clip(tmp_path_factory.mktemp('clip') / 'tiny')}"


def save_tiny_classifier(folder: Path) -> str:
    """timm's smallest network, with random weights, over 1000 classes; its address."""
    folder.mkdir()
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", pretrained=False)
    save_file(
        {name: tensor.contiguous() for name, tensor in network.state_dict().items()}, folder / "model.safetensors"
    )
    settings = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
    card = {"architecture": "test_efficientnet", "num_classes": 1000, "pretrained_cfg": settings}
    (folder / "config.json").write_text(json.dumps(card), encoding="utf-8")
    return f"folder:{folder}"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_classifier(tmp_path_factory.mktemp("classifier") / "tiny")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


def open_panel(panel: str, model: str, **query: str) -> AppTest:
    app = AppTest.from_string(SCRIPT.format(panel=panel, model=model), default_timeout=600)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception
    return app


def sheet(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.get("html"))


def folder_of(tmp_path: Path, groups: dict[str, int]) -> Path:
    """A picture in each of the folders, of the given brightness."""
    random = np.random.default_rng(0)
    for name, level in groups.items():
        path = tmp_path / "pictures" / name
        path.mkdir(parents=True)
        pixels = random.integers(0, 60, (40, 40, 3)) + level
        Image.fromarray(pixels.astype(np.uint8)).save(path / "0.png")
    return tmp_path / "pictures"


@pytest.mark.slow
def test_conditions_open_filled_with_the_bundled_photos(model: str) -> None:
    app = open_panel("conditions", model)
    assert not app.error
    for title in ("As it is", "Silhouette", "Blurred", "Edges", "Shuffled parts"):
        assert title in sheet(app)
    assert sheet(app).count("<img") >= 36  # eight photos in five conditions, a few of which have no silhouette
    assert "espresso" in sheet(app)


def test_conditions_answer_to_their_controls(model: str) -> None:
    save_toy({"test": 10})
    app = open_panel("conditions", model, conditions_made_data="Toy", conditions_count="2")
    assert re.search(r">\d of 4<", sheet(app))
    app.number_input(key="conditions_count").set_value(3).run()
    assert ">of 6 (" in sheet(app)
    before = sheet(app)
    app.slider(key="conditions_blur").set_value(10.0).run()
    assert sheet(app) != before
    app.text_input(key="conditions_reference").set_value("Blurred: 1").run()
    assert "Blurred: " in text_of(app)
    assert "1.0%" in text_of(app)
    app.text_input(key="conditions_reference").set_value("Geons: 99").run()
    assert not app.exception
    assert "'Geons' is no condition here" in app.error[0].value


def test_parts_of_a_data_set_and_folders_are_conditions(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_toy({"sketch": 6, "photo": 6})
    app = open_panel("conditions", model, conditions_from="Data set")
    assert "Sketch" in sheet(app)
    assert "Photo" in sheet(app)
    assert list(app.session_state["exported"].table["shown"]) == [6, 6]  # all, where nothing is said
    monkeypatch.setattr(conditions_answers, "MOST_PICTURES", 8)
    app.run()
    assert "8 of 12 pictures" in text_of(app)
    assert "COUNT = 2" in app.session_state["exported"].recipe
    app.number_input(key="conditions_most_typed").set_value(1).run()
    assert list(app.session_state["exported"].table["shown"]) == [2, 2]
    folder = folder_of(tmp_path, {"real/cat": 40, "real/dog": 90, "drawn/cat": 150, "drawn/dog": 190})
    app.button_group(key="conditions_from").set_value("folder").run()
    assert "Which folder?" in app.error[0].value
    app.text_input(key="conditions_folder").set_value(str(folder)).run()
    assert not app.error
    assert "Drawn" in sheet(app)
    app.text_input(key="conditions_folder").set_value(str(tmp_path / "nowhere")).run()
    assert not app.exception
    assert "holds no pictures" in app.error[0].value


def test_the_recipe_of_conditions_prints_what_the_panel_shows(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    save_toy({"test": 10})
    app = open_panel("conditions", model, conditions_made_data="Toy", conditions_count="3")
    export = app.session_state["exported"]
    capsys.readouterr()
    exec(export.recipe, {})  # a process of its own would only import everything again
    printed = capsys.readouterr().out
    for right, shown, title in zip(
        export.table["right"], export.table["shown"], export.table["condition"], strict=True
    ):
        assert re.search(rf"{title} +{right / shown:6.1%} of {shown},", printed)


def test_disagreements_open_filled_with_the_bundled_photos(model: str, classifier: str) -> None:
    app = open_panel("disagreements", model, classifier=classifier)
    assert not app.error
    assert "pictures in its best 5" in text_of(app)
    assert "› " in text_of(app)  # the path in WordNet
    assert "steps away in WordNet" in text_of(app)
    table = app.session_state["exported"].table
    assert set(table["class"]) >= {"espresso", "tripod"}
    assert set(table["wnid"]) <= set(imagenet_wnids())


def test_disagreements_answer_to_their_controls(model: str, classifier: str, tmp_path: Path) -> None:
    app = open_panel("disagreements", model, classifier=classifier)
    before = app.session_state["exported"].facts["difference"]
    app.number_input(key="disagreements_top").set_value(20).run()
    assert not app.exception
    assert app.session_state["exported"].facts["top"] == 20
    assert "pictures in its best 20" in text_of(app)
    assert len(before) == 3
    folder = folder_of(tmp_path, {"n02123045": 40, "golden_retriever": 90, "something else": 150})
    app.selectbox(key="disagreements_data").set_value("folder").run()
    assert "Which folder?" in app.error[0].value
    app.text_input(key="disagreements_folder").set_value(str(folder)).run()
    assert not app.error
    assert len(app.session_state["exported"].table) == 2
    # Two pictures are named, not given per cent with an interval from −90 to 90.
    assert "2 pictures, too few for percentages. Among their best 20" in text_of(app)
    assert "points" not in text_of(app)
    assert "1 picture is of no class" in text_of(app)


def test_classes_that_divide_the_two_are_listed_with_their_path() -> None:
    (row,) = divided_classes([(281, 2, 1)], class_names("wordnet"), "CLIP", "Net").to_dict("records")
    assert (row["class"], row["only CLIP"], row["only Net"], row["wnid"]) == ("tabby", 2, 1, "n02123045")
    assert row["in WordNet"].startswith("entity › ")
    assert row["in WordNet"].endswith("domestic cat › tabby")


def test_a_classifier_of_other_classes_is_refused(model: str) -> None:
    app = open_panel("disagreements", model, classifier="vit_p4")
    assert "10 classes" in app.error[0].value


def test_the_recipe_of_disagreements_counts_the_same(
    model: str, classifier: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app = open_panel("disagreements", model, classifier=classifier)
    export = app.session_state["exported"]
    capsys.readouterr()
    exec(export.recipe, {})  # a process of its own would only import everything again
    printed = capsys.readouterr().out
    counts = export.table["named by"].value_counts()
    for who in ("both", "only_clip", "only_classifier", "neither"):
        assert f"{who} {counts.get(who.replace('_', ' '), 0)}\n" in printed


def test_both_panels_are_there_to_be_mounted() -> None:
    assert callable(conditions.panel)
    assert callable(disagreements.panel)


COLLECTING = """
import streamlit as st
from pages.clip import collection_panel, disagreements
from pages.shared.errors import guard
disagreements.panel({model!r})
collection_panel.panel()
with guard():
    st.session_state["exported"] = collection_panel.export({model!r})
"""


@pytest.mark.parametrize("kept", [True, False], ids=["of a browser", "of a session"])
def test_pictures_are_collected_by_search_and_by_hand_written_to_and_exported(
    model: str, classifier: str, tmp_path: Path, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kept:
        monkeypatch.setattr(collection_store, "browser_secret", lambda: "0" * 32)
    folder = folder_of(tmp_path, {"tabby": 40, "goldfish": 190, "espresso": 10, "bathtub": 90, "teapot": 160})
    # Two untrained networks over 1000 classes: with so many best ones each names about half of them.
    query = {"classifier": classifier, "disagreements_data": "Folder on this machine", "disagreements_top": "20"}
    app = AppTest.from_string(COLLECTING.format(model=model), default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    app.session_state["disagreements_folder"] = str(folder)
    monkeypatch.setattr(disagreements_comparison, "find_disagreements", divided)
    app.run()
    assert not app.exception, app.exception
    app.button(key="collection_fill").click().run()
    assert not app.exception, app.exception
    assert "2 pictures of 2 classes added" in text_of(app)
    assert "0 of 10 classes are whole: 2 of 30 pictures" in text_of(app)
    assert "Missing: 2 pictures that only CLIP names" in text_of(app)
    assert "steps apart over" in text_of(app)  # how far apart the two lie
    reason = next(each for each in app.text_area if each.key.startswith("collection_reason"))
    reason.set_value("a <b>close-up</b>").run()
    page = app.session_state["exported"].documents["collection"]()
    assert page.count("data:image/webp") == 2
    assert "Why: a &lt;b&gt;close-up&lt;/b&gt;" in page
    assert "Source: pictures, " in page
    assert "› " in page  # where each class lies in WordNet
    app.button(key="collection_undo").click().run()
    assert not next(each for each in app.text_area if each.key.startswith("collection_reason")).value
    app.button(key="collection_undo").click().run()
    assert "Nothing is collected yet." in text_of(app)
    assert not app.session_state["exported"].documents["collection"]().count("<img")
    app.button(key="collection_add").click().run()
    assert "1 of 30 pictures" in text_of(app)
    assert app.button(key="collection_add").disabled
    assert len(list((tmp_path / "collections").glob("*/*.png"))) == (1 if kept else 0)
    next(each for each in app.button if str(each.key).startswith("collection_remove")).click().run()
    assert "Nothing is collected yet." in text_of(app)


def divided(clip_logits: np.ndarray, classifier_logits: np.ndarray, labels: np.ndarray, top: int) -> Disagreements:
    """What two networks might say: the first picture is CLIP's alone, the second the other's alone."""
    clip_logits, classifier_logits = np.zeros_like(clip_logits), np.zeros_like(classifier_logits)
    clip_logits[0, labels[0]] = classifier_logits[1, labels[1]] = 9.0
    clip_logits[1:, :30] = classifier_logits[0, :30] = classifier_logits[2:, :30] = 5.0
    return find_disagreements(clip_logits, classifier_logits, labels, top)


def test_photos_of_ones_own_are_compared_once_they_have_a_class(
    model: str, classifier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_panel(
        "disagreements", model, classifier=classifier, disagreements_data="Your own photos",
        own_photos="example:cat,example:coffee",
    )  # fmt: skip
    assert "No photo has a class yet." in app.error[0].value
    app.selectbox(key="class_of_example:coffee").set_value("n07920052").run()
    assert not app.exception
    assert not app.error
    assert "1 picture, too few for percentages" in text_of(app)
    assert "espresso" in text_of(app)
    assert 'DATA = "photos"' in app.session_state["exported"].recipe.replace("'", '"')
    assert app.session_state["exported"].facts["pictures"] == 1


def test_synsets_are_shown_on_the_pictures_of_a_data_set(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    app = open_panel("synsets_panel", model)
    assert "on this machine" in text_of(app)
    assert "14 steps apart, over whole" in text_of(app)  # crane and crane
    assert "tabby" in text_of(app)
    save_toy({"test": 12}, classes=("cat", "frog"))
    app = open_panel("synsets_panel", model)
    assert not app.error
    assert sheet(app).count("<img") == 12
    export = app.session_state["exported"]
    assert export.facts["pictures"] == 6
    capsys.readouterr()
    exec(export.recipe, {})
    printed = capsys.readouterr().out
    for _, row in export.table.iterrows():
        assert f"{row['way']:8} {row['picture']}: {row['value']:.4f}" in printed
    assert set(export.table["way"]) == {"light", "framing", "kind"}
