"""Every page through Streamlit's own test harness: no exception, and its controls change what is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import CoreError
from core.paths import CHECKOUT
from pages.shared.layout import page_path

MAIN = CHECKOUT / "pages" / "navigation.py"
PAGES = (
    "home", "attention", "masking", "anatomy", "clip", "diffusion", "embeddings", "train", "runs", "modality_gap",
    "precision", "latent",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


def open_page(stem: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    if stem != "home":
        app.switch_page(page_path(stem))
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
    assert not app.exception, app.exception
    return app


def text_of(app: AppTest) -> str:
    return " ".join(element.value for element in [*app.markdown, *app.caption, *app.error, *app.warning, *app.info])


@pytest.mark.parametrize("stem", PAGES)
def test_pages_open_filled(stem: str) -> None:
    app = open_page(stem)
    assert not app.error
    assert len(text_of(app)) > 200
    assert r"\*\*" not in text_of(app)  # a sentence of ours with bold words went through the escaper


def test_every_file_in_pages_is_in_the_navigation() -> None:
    assert {path.parent.name for path in (CHECKOUT / "pages").glob("*/page.py")} == set(PAGES)


@pytest.mark.parametrize("stem", [stem for stem in PAGES if stem != "home"])
def test_every_page_has_its_three_cards(stem: str) -> None:
    text = (CHECKOUT / "assets" / "cards" / f"{stem}.md").read_text(encoding="utf-8")
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == ["see", "how", "caveat"]
    app = open_page(stem)
    for title in ("What you see", "How it is computed", "Caveat"):
        assert title in text_of(app)


def test_the_headline_is_computed_from_the_chosen_image() -> None:
    cat, flower = open_page("attention", image="example:cat"), open_page("attention", image="example:flower")
    headline = [next(m.value for m in app.markdown if "of its patch attention in" in m.value) for app in (cat, flower)]
    assert headline[0] != headline[1]


def test_a_layer_and_a_head_can_be_chosen_and_a_bad_layer_is_mended() -> None:
    app = open_page("attention")
    app.selectbox(key="head").set_value("3")
    app.slider(key="layer").set_value(2).run()
    assert not app.exception
    assert (app.slider(key="layer").value, app.selectbox(key="head").value) == (2, "3")
    app.session_state["layer"] = 40
    app.run()
    assert not app.exception
    assert app.slider(key="layer").value == 6


def test_masking_more_removes_more() -> None:
    app = open_page("masking")
    app.slider(key="share").set_value(75.0).run()
    assert not app.exception
    assert "→" in text_of(app)


def test_an_unknown_image_in_the_address_costs_a_sentence() -> None:
    app = open_page("attention", image="upload:deadbeef")
    assert any("only the session that made it" in error.value for error in app.error)
    assert any("of its patch attention in" in element.value for element in app.markdown)


@pytest.mark.parametrize("model", ["no-such-model", "folder:/nonexistent", "run:../../etc"])
def test_an_unknown_model_in_the_address_costs_a_sentence(model: str) -> None:
    app = open_page("attention", model=model)
    assert app.error
    assert not app.exception


def test_a_model_without_the_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page("attention", model="dino_s16")
    assert any("one download away" in element.value for element in app.info)

    def refuse(*_: object) -> None:
        raise CoreError("The network does not answer.", "Use a model that is ready.")

    monkeypatch.setattr("core.models.weights.fetch", refuse)
    monkeypatch.setattr("pages.shared.pickers.fetch", refuse)
    app.button(key="fetch_dino_s16").click().run()
    assert any("does not answer" in error.value for error in app.error)
    assert not app.exception


@pytest.mark.parametrize(
    ("stem", "chosen", "second", "name"),
    [
        ("attention", {"tabs": "Compare"}, "model_b", "dino_s16"),
        ("anatomy", {"anatomy_tabs": "Two models"}, "model_b", "dino_s16"),
        ("embeddings", {"planes": "models"}, "encoder2", "dino_s16"),
        ("clip", {"view": "imagenet"}, "classifier", "resnet50"),
    ],
)
def test_a_second_model_that_is_one_download_away_costs_only_its_part(
    stem: str, chosen: dict[str, str], second: str, name: str
) -> None:
    app = AppTest.from_file(str(MAIN), default_timeout=120)
    for key, value in {**chosen, second: name}.items():
        app.session_state[key] = value
    app.run()
    app.switch_page(page_path(stem)).run()
    assert not app.exception, app.exception
    assert "one download away" in text_of(app)
    assert "What you see" in text_of(app)


def test_uploads_two_at_once_one_bad() -> None:
    import io

    from core.data.examples import load_example

    buffer = io.BytesIO()
    load_example("cat").save(buffer, "PNG")
    app = open_page("attention")
    app.session_state["image_source"] = "Upload"
    app.run()
    uploader = app.get("file_uploader")[0]
    uploader.set_value([("cat.png", buffer.getvalue(), "image/png"), ("words.jpg", b"no pixels here", "image/jpeg")])  # type: ignore[attr-defined]
    app.run()
    assert not app.exception
    assert any("words.jpg" in error.value for error in app.error)
    assert app.session_state["image"].startswith("upload:")


def test_results_that_the_pages_quote_exist_and_say_what_they_are() -> None:
    from pages.masking.track_records import RESULTS, track_record

    paths = list(RESULTS.glob("faithfulness_*.json"))
    assert paths
    for path in paths:
        record = track_record(path.stem.removeprefix("faithfulness_"))
        assert record is not None
        stored = json.loads(path.read_text(encoding="utf-8"))
        assert stored["count"] >= 200
        assert {"seed", "split", "dataset", "steps", "orders", "fill"} <= stored.keys()
