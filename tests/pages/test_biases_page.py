"""The page Biases, one photo: its cards show what the models say, and its address what is on the screen."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.data.examples import load_example
from core.data.transforms import to_batch
from core.methods.accuracy.predictions import predict_logits, softmax
from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.manipulated import manipulated
from core.methods.manipulations.photo import photo_square
from core.methods.manipulations.steps import Step, parse_steps
from core.models.weights import load
from pages.biases.photo_view import CARDS
from tests.pages.exports import check_controls, exported, keep_exports, run_recipe
from tests.pages.harness import open_page, text_of

# Quick to ask, and small enough that every picture is what each of them sees.
QUICK = {"models": "cnn_small", "photo_side": "32"}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the component is given, run after run."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "pages.biases.photo_panel.manipulation_grid",
        lambda data, **options: found.append({**data, **options}),
    )
    return found


def pixels_of(sheet: str, count: int) -> list[np.ndarray]:
    """The pictures that stand side by side in what the browser gets."""
    wide = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet.partition(",")[2]))).convert("RGB"))
    return np.split(wide, count, axis=1)


def card(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in data["rows"] if row["name"] == name)


def uploaded(image: Image.Image, **query: str) -> AppTest:
    """The page with one's own photo."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    app = open_page("biases", **QUICK, **query)
    app.session_state["image_source"] = "Upload"
    app.run()
    app.get("file_uploader")[0].set_value([("mine.png", buffer.getvalue(), "image/png")])  # type: ignore[attr-defined]
    app.run()
    assert not app.exception, app.exception
    return app


def test_every_card_shows_its_picture_and_what_the_model_says_of_it(given: list[dict[str, Any]]) -> None:
    app = open_page("biases", **QUICK)
    assert not app.error
    data, model = given[-1], load("cnn_small")
    assert [row["name"] for row in data["rows"]] == list(CARDS)
    photo = photo_square(load_example("cat"), 32)
    [whole] = pixels_of(data["photo"]["sheet"], 1)
    assert np.array_equal(whole, photo)

    def say(pictures: list[np.ndarray]) -> np.ndarray:
        batch = to_batch([Image.fromarray(each) for each in pictures], model.network.preprocessing)
        return softmax(predict_logits(model.module, batch))

    first = say([photo])[0]
    assert data["photo"]["answers"][0]["label"] == model.classes[int(first.argmax())]
    for row in data["rows"]:
        assert row["strengths"] == [float(each) for each in MANIPULATIONS[row["name"]].ladder]
        pictures = pixels_of(row["sheet"], len(row["strengths"]))
        assert np.array_equal(pictures[row["strengths"].index(row["neutral"])], photo)
        ours = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
        usual = MANIPULATIONS[row["name"]].usual
        made = manipulated(ours, [Step(row["name"], usual)], seed=0, keys=[0])[0].permute(1, 2, 0).numpy()
        assert np.abs(pictures[row["strengths"].index(usual)] - made * 255).max() <= 0.51
        for answer, said in zip(row["answers"][0], say(pictures), strict=True):
            assert answer["label"] == model.classes[int(said.argmax())]
            assert answer["share"] == pytest.approx(said.max(), abs=1e-3)
            assert answer["kept"] == pytest.approx(said[first.argmax()], abs=1e-3)
            assert answer["same"] == (said.argmax() == first.argmax())


def test_the_side_is_that_of_the_address_or_what_the_models_see(given: list[dict[str, Any]]) -> None:
    for query, side in (
        ({"photo_side": "128"}, 128),
        ({}, 32),
        ({"models": "cnn_small,clip_small"}, 64),
        ({"photo_side": "no number"}, 32),
    ):
        open_page("biases", **{"models": "cnn_small", **query})
        [whole] = pixels_of(given[-1]["photo"]["sheet"], 1)
        assert whole.shape == (side, side, 3)


def test_the_first_pictures_are_there_before_every_strength_was_asked(given: list[dict[str, Any]]) -> None:
    open_page("biases", image="example:rocket", **QUICK)
    quick = next(data for data in given if data["photo"]["alt"].startswith("Rocket"))
    assert all(len(row["strengths"]) == 2 for row in quick["rows"])
    assert all(len(row["strengths"]) >= 5 for row in given[-1]["rows"])
    assert quick["state"] == given[-1]["state"]
    shared = card(quick, "edges")["answers"][0][1]
    assert shared == card(given[-1], "edges")["answers"][0][-1]


def test_the_address_says_what_is_done_and_how_strongly(given: list[dict[str, Any]]) -> None:
    app = open_page("biases", **QUICK, kept="grey:100+blur:1", strengths="noise:33+scramble:8", manipulation="noise")
    assert not app.error
    data = given[-1]
    assert data["kept"] == ["Greyscale, 100\u202f%", "Gaussian blur, 1 px"]
    assert data["state"]["strengths"]["noise"] == 33
    assert data["state"]["strengths"]["scramble"] == 8
    assert data["state"]["strengths"]["blur"] == MANIPULATIONS["blur"].usual
    assert 33 in card(data, "noise")["strengths"]
    [whole] = pixels_of(data["photo"]["sheet"], 1)
    assert np.array_equal(whole[..., 0], whole[..., 2])
    for picture in pixels_of(card(data, "scramble")["sheet"], 5):
        assert np.abs(picture[..., 0].astype(int) - picture[..., 1]).max() <= 1  # grey, whatever else is done to it
    assert "Gaussian noise" in text_of(app)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"kept": "gray:100"}, "There is no manipulation named"),
        ({"kept": "grey:900"}, "Greyscale goes from 0 to 100"),
        ({"kept": "+".join(["blur:1"] * 6)}, "does 6 things to every picture"),
        ({"strengths": "scramble:2.5"}, "takes a whole number"),
        ({"strengths": "nonsense"}, "There is no manipulation named"),
        ({"manipulation": "**bold**"}, "shows a manipulation that is not here"),
        ({"models": "no_such_model"}, "There is no model named"),
        ({"models": "vae_2d"}, "cannot be used here"),
        ({"models": "cnn_small,diffusion_small"}, "it has no classification head and it knows no texts"),
        ({"image": "example:nobody"}, "unknown image"),
        ({"models": "clip_small", "photo_labels": "cat"}, "chooses from 1 labels"),
        ({"models": "clip_small", "photo_labels": " , ,"}, "label"),
    ],
)
def test_an_address_that_makes_no_sense_costs_a_sentence(query: dict[str, str], said: str) -> None:
    app = open_page("biases", **{**QUICK, **query})
    assert said in text_of(app).replace("\\", "").replace("\u2060", "")


def test_what_comes_from_the_browser_is_remembered_as_far_as_it_can_be_meant(given: list[dict[str, Any]]) -> None:
    app = open_page("biases", **QUICK)
    kept: dict[str, str] = {}
    choose = given[-1]["on_choice"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pages.biases.photo_view.remember", kept.__setitem__)
        choose({"shown": "blur", "strengths": {"blur": 6, "grey": 100}, "kept": [{"name": "hue", "strength": 30}]})
        assert kept == {"manipulation": "blur", "strengths": "blur:6", "kept": "hue:30"}
        for wrong in (
            {"shown": "nobody"},
            {"shown": ["blur"]},
            {"strengths": {"blur": 1e9}},
            {"strengths": {"blur": math.nan, "scramble": 2.5, "nobody": 1}},
            {"strengths": {"blur": "<b>"}},
            {"kept": [{"name": "nobody", "strength": 1}, {"name": "blur"}, "blur", None]},
        ):
            kept.clear()
            choose(wrong)
            assert set(kept.values()) <= {""}, wrong
        kept.clear()
        choose({"kept": [{"name": "grey", "strength": 100}] * 40})
        choose({"kept": "grey:100"})
        assert kept in ({}, {"kept": ""})
    assert not app.exception


def test_an_own_model_joins_the_others(given: list[dict[str, Any]]) -> None:
    app = open_page("biases", **QUICK)
    app.session_state["models_added"] = "mixer_conv"  # as the form of own models leaves it
    app.run()
    assert [model["title"] for model in given[-1]["models"]] == [
        load(n).spec.title for n in ("cnn_small", "mixer_conv")
    ]
    assert app.session_state["models"] == "cnn_small,mixer_conv"
    six = [f"vit_small_{each}" for each in ("p4", "p2", "p8", "learned_2d", "sinusoidal", "no_positions")]
    app = open_page("biases", **QUICK | {"models": ",".join(six)})
    app.session_state["models_added"] = "cnn_small"
    app.run()
    assert app.session_state["models"].split(",") == [*six[:5], "cnn_small"]


def test_a_photo_of_four_pixels_is_enlarged_and_it_is_said() -> None:
    app = uploaded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)))
    assert not app.error
    assert "This photo is 4 × 4 px; it is enlarged to 32 × 32 px" in text_of(app)


def test_a_photo_of_one_colour_is_said_to_be_one() -> None:
    app = uploaded(Image.new("RGB", (50, 40), (90, 120, 30)))
    assert not app.error
    assert "This photo is of one colour" in text_of(app)


def test_models_of_other_classes_are_said_to_choose_from_others() -> None:
    said = "choose from different classes"
    assert said not in text_of(open_page("biases", **QUICK))
    assert said in text_of(open_page("biases", models="cnn_small,clip_small", photo_side="32", photo_labels="cat, dog"))


def test_the_headline_counts_what_changes(given: list[dict[str, Any]]) -> None:
    app = open_page("biases", **QUICK)
    changed = [
        row["title"]
        for row in given[-1]["rows"]
        if not row["answers"][0][row["strengths"].index(MANIPULATIONS[row["name"]].usual)]["same"]
    ]
    headline = next(each.value for each in app.markdown if each.value.startswith("#### "))
    assert 0 < len(changed) < len(CARDS)
    assert changed[0] in headline
    assert f"under {len(CARDS) - len(changed)} of {len(CARDS)} nothing changes" in headline
    still = "+".join(f"{name}:{MANIPULATIONS[name].neutral:g}" for name in CARDS)
    app = open_page("biases", **QUICK, strengths=still)
    assert "No answer changes at these strengths" in text_of(app)


def test_the_export_is_what_is_shown_and_its_recipe_makes_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    keep_exports(monkeypatch)
    query = {"models": "cnn_small,clip_small", "photo_side": "32", "photo_labels": "cat, ship", "photo_seed": "3"}
    export = exported(open_page("biases", **query, kept="blur:0.5", strengths="noise:33", manipulation="noise"))
    printed = run_recipe(export.recipe, capsys)
    with np.load(tmp_path / "biases.npz") as made:
        for place in range(2):
            assert np.allclose(made[f"probabilities_{place}"], export.arrays[f"probabilities_{place}"], atol=1e-5)
    for name in ("photo", *CARDS):
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"biases_{name}.png")), export.pictures[name])
    assert export.table is not None
    changed = export.table[~export.table["same"]]
    assert printed.count("≠") == len(changed)
    assert parse_steps(str(export.facts["kept"])) == (Step("blur", 0.5),)
    assert "33" in (tmp_path / "biases_strengths.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_control_is_in_the_export(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_exports(monkeypatch)
    changed = check_controls(
        lambda: open_page("biases", models="cnn_small,clip_small", photo_side="32"),
        excused={
            "biases_view": "each view has its own export",
            "image_source": "where pictures come from",
            "own_kind": "where models come from",
            "own_location": "where models come from",
        },
    )
    assert {"models_chosen", "photo_side", "photo_seed", "photo_labels"} <= changed
