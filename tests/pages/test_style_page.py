"""The Style transfer page: filled on arrival, one computation for all sessions, stopped and gone on with, exported."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.data.images import image_digest
from core.methods.style_transfer.transfer import StyleSettings, Transfer
from pages.shared.pickers import Picture
from pages.style import transfers
from pages.style.settings_form import TIMES, factor
from pages.style.transfers import TransferRequest, known_film, run_transfer
from pages.style.words import headline, share
from tests.pages.exports import check_controls, exported, keep_exports, run_recipe
from tests.pages.harness import open_page, text_of
from tests.pages.test_exports import SHARED

QUICK = {"features": "cnn_small", "side": "64", "steps": "2"}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    transfers._films.clear()
    keep_exports(monkeypatch)


def picture(colour: str | None = None, size: tuple[int, int] = (64, 64), mode: str = "RGB") -> Picture:
    image = Image.new(mode, size, colour or "navy").convert("RGB")
    if colour is None:
        image = Image.effect_noise(size, 90).convert("RGB")
    digest = image_digest(image)
    return Picture(key=f"upload:{digest[:16]}", title="Mine", image=image, digest=digest)


def with_upload(place: str, chosen: Picture, **query: str) -> AppTest:
    app = open_page("style", **{**QUICK, **query})
    app.session_state["uploads"] = {chosen.key: chosen}
    app.session_state[place] = chosen.key
    app.run()
    assert not app.exception, app.exception
    return app


def shown(app: AppTest) -> str:
    return text_of(app).replace("\\", "")


def test_it_opens_with_a_result_and_says_whose_features_they_are() -> None:
    app = open_page("style", **QUICK)
    assert not app.error
    assert re.search(r"Step 2: style loss at .* content loss at", shown(app))
    assert "Features of Small CNN on CIFAR-10. In place of the paper's VGG-19" in shown(app)
    captions = [caption for image in app.get("image") for caption in image.captions if caption]  # type: ignore[attr-defined]
    assert captions == ["Content: Cat", "Style: Swirl", "After 2 steps", "Step 0"]


@pytest.mark.slow
def test_every_control_reaches_the_export_and_its_recipe() -> None:
    changed = check_controls(
        lambda: open_page("style", **QUICK, start="noise"),
        excused={
            **{key: why for key, why in SHARED.items() if "image" not in key},
            "content_*": "the content's picker, whose choice is an address",
            "style_source": "the style's picker, whose choice is an address",
            "features_choice": "another network is slow; the address test below has one",
        },
        values={"style_layers_cnn_small": ("options", ["stem"]), "content_layer_cnn_small": ("index", 1), "side": 96},
    )
    assert {"style_times", "tv_times", "steps", "side", "noise_seed", "start", "optimiser", "pooling"} <= changed


def test_the_recipe_makes_what_is_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    export = exported(open_page("style", **QUICK, style="painted:mosaic", optimiser="adam"))
    printed = run_recipe(export.recipe, capsys)
    assert export.table is not None
    last = export.table.iloc[-1]
    assert f"style {last['style left']:.2%} left, content {last['content away']:.2%} away" in printed
    np.testing.assert_array_equal(np.asarray(Image.open("style_step_2.png")), export.pictures["result"])
    assert export.facts["network_note"].startswith("In place of the paper's VGG-19")  # type: ignore[attr-defined]
    assert export.facts["steps_done"] == 2


@pytest.mark.slow
def test_more_steps_go_on_where_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    real = transfers.transfer_style

    def watched(*arguments: Any, begin: Transfer | None = None) -> Generator[Transfer, None, Transfer]:
        begun.append(begin.step if begin is not None else 0)
        return real(*arguments, begin=begin)

    monkeypatch.setattr(transfers, "transfer_style", watched)
    app = open_page("style", **QUICK)
    app.run()
    assert begun == [0]  # a second look computes nothing
    app.number_input(key="steps").set_value(4).run()
    assert begun == [0, 2]
    assert "Step 4: style loss" in shown(app)
    app.number_input(key="steps").set_value(3).run()  # which is behind it
    assert begun == [0, 2, 0]
    assert "Step 3: style loss" in shown(app)
    app.button(key="more_steps").click().run()
    assert app.number_input(key="steps").value == 103


def request(steps: int) -> tuple[TransferRequest, Picture, Picture]:
    content, style = picture(), picture("gold")
    settings = StyleSettings(steps=steps)
    asked = TransferRequest("cnn_small", content.key, style.key, content.digest, style.digest, 64, settings)
    return asked, content, style


def test_what_is_left_is_kept_and_gone_on_with() -> None:
    asked, content, style = request(5)
    films = run_transfer(asked, content, style)
    for film in films:
        if film.transfer.step == 2:
            break
    films.close()
    kept = known_film(asked)
    assert kept is not None
    assert (kept.transfer.step, sorted(kept.stages)) == (2, [0])
    steps = [film.transfer.step for film in run_transfer(asked, content, style)]
    assert steps == [2, 2, 3, 4, 5]
    assert [film.transfer.step for film in run_transfer(asked, content, style)] == [5]


def test_the_page_stays_stopped_until_somebody_goes_on() -> None:
    app = open_page("style", **QUICK)
    app.session_state["stopped_transfer"] = _request_on(app, 4)
    app.number_input(key="steps").set_value(4).run()
    assert "Stopped after 2 of 4 steps" in shown(app)
    app.button(key="resume_transfer").click().run()
    assert "Step 4: style loss" in shown(app)


def _request_on(app: AppTest, steps: int) -> TransferRequest:
    """What the page asks with so many steps, read from its export."""
    settings = dict(exported(app).facts["settings"])  # type: ignore[call-overload]
    facts = exported(app).facts
    kept = {key: settings[key] for key in ("style_weight", "tv_weight", "content_layer", "style_layers")}
    return TransferRequest(
        "cnn_small",
        str(facts["content"]),
        str(facts["style"]),
        str(facts["content_sha256"]),
        str(facts["style_sha256"]),
        64,
        StyleSettings(**{**kept, "style_layers": tuple(kept["style_layers"]), "steps": steps}),
    )


@pytest.mark.parametrize(
    ("place", "chosen", "sentence"),
    [
        ("style", picture("teal"), "Gram matrices have rank one"),
        ("content", picture("teal", (4, 4)), "only 4 × 4 pixels"),
        ("content", picture(None, (900, 60)), "more than 3 times as long as wide"),
    ],
)
def test_odd_pictures_cost_a_sentence(place: str, chosen: Picture, sentence: str) -> None:
    app = with_upload(place, chosen)
    assert not app.error
    assert sentence in shown(app)
    assert "Step 2: style loss" in shown(app)


def test_a_style_without_weight_changes_nothing() -> None:
    app = open_page("style", **QUICK, style_times="0", tv_times="0")
    found = exported(app)
    np.testing.assert_array_equal(found.pictures["result"], found.pictures["content"])


def test_a_network_that_cannot_be_used_here_is_named_and_another_taken() -> None:
    app = open_page("style", **{**QUICK, "features": "vit_p4"})
    assert any("network for this page" in error.value for error in app.error)
    assert "Features of Small CNN" in shown(app)


def test_the_papers_network_is_one_download_away() -> None:
    app = open_page("style", **{**QUICK, "features": "vgg19"})
    assert not app.exception
    assert "VGG-19" in text_of(app)
    assert "one download away" in text_of(app)


def test_the_recipe_of_whole_data_sets_opens_with_this_style() -> None:
    app = open_page("train", recipe="stylise", set="style=painted:brush")
    assert not app.error
    assert any("painted:brush" in str(each.value) for each in (*app.text_input, *app.code))


def test_words() -> None:
    assert [share(value) for value in (1.2, 0.5, 0.0951, 0.0123, 0.0001)] == [
        "120%", "50%", "10%", "1.2%", "less than 0.1%",
    ]  # fmt: skip
    assert [factor(text) for text in TIMES] == sorted(map(factor, TIMES))
    assert factor("1/30") == pytest.approx(1 / 30)
    asked, content, style = request(1)
    start, last = [film.transfer for film in run_transfer(asked, content, style)]
    said = StyleSettings(style_layers=("a", "b", "c", "d"), layer_weights=(0.25,) * 4)
    assert headline(start, said).startswith("Step 0: the picture to start from")
    assert headline(last, said).startswith("Step 1: style loss")
