"""The Precision page: filled at once, the whole protocol on a click, stopped without losing what was measured."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import CoreError
from core.methods.precision import precision_probe
from pages.shared.pictures import example_picture
from pages.shared.recipes import filled_recipe
from tests.clip_toy import save_tiny_clip
from tests.pages.exports import run_recipe
from tests.pages.harness import open_page, text_of
from tests.toy import save_toy

RECIPE = {
    "image": "example:cat",
    "formats": ["bf16"],
    "batch_size": 2,
    "device": "auto",
    "compared": "",
    "images": [],
    "count": 32,
}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


def precision(**query: str) -> AppTest:
    return open_page("precision", **{"model": "vit_p4", **query})


def headline(app: AppTest) -> str:
    return next(each.value for each in app.markdown if "the same answer on" in each.value)


def test_it_opens_with_a_first_look_that_says_what_it_is() -> None:
    app = precision()
    assert not app.error
    assert "of 8** images" in headline(app)
    assert "a first look, not the protocol" in text_of(app)
    table = app.dataframe[0].value.set_index("format")
    assert table.loc["fp32", "weights MiB"] == pytest.approx(2 * table.loc["bf16", "weights MiB"], rel=0.01)
    assert (table["runs"].dropna() >= 3).all()


@pytest.mark.slow
def test_other_formats_batches_and_images_change_what_is_shown() -> None:
    save_toy({"train": 40, "test": 40})
    app = precision()
    app.pills(key="formats").set_value(["bf16_autocast"]).run()
    assert "bf16 autocast" in headline(app)
    app.selectbox(key="compared").set_value("toy/test").run()
    app.select_slider(key="count").set_value(32).run()
    assert not app.exception
    assert "of 33** images" in headline(app)  # the chosen photo is among them
    app.segmented_control(key="batch").set_value(8).run()
    assert "batch of 8" in text_of(app)
    app.pills(key="formats").set_value([]).run()
    assert not app.exception
    assert any("Choose a format" in info.value for info in app.info)


@pytest.mark.slow
def test_the_whole_protocol_runs_through_the_probes_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_this_process(command: list[str], tick: Callable[[], None]) -> Iterator[dict[str, Any]]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert precision_probe.main(command[3:]) == 0
        for line in printed.getvalue().splitlines():
            values = json.loads(line)
            del values["kind"]
            yield values

    monkeypatch.setattr("pages.precision.precision.printed_by", in_this_process)
    monkeypatch.setattr("pages.precision.precision.RUNS", 3)
    monkeypatch.setattr("pages.precision.precision.WARMUPS", 1)
    app = precision(formats="bf16", image="example:camera")
    app.button(key="measure").click().run(timeout=600)
    assert not app.exception
    assert not app.error
    assert "3 runs of each after 1 warm-up," in text_of(app)
    assert "in a process of its own" in text_of(app)
    table = app.dataframe[0].value.set_index("format")
    assert (table["runs"] == 3).all()
    assert table["process peak MiB"].notna().all()


@pytest.mark.parametrize("lines", [7, 0])
def test_what_was_measured_before_the_end_is_kept(lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(command: list[str], tick: Callable[[], None]) -> Iterator[dict[str, Any]]:
        tick()
        yield {
            "formats": ["fp32", "bf16"], "probes": {"bf16": {"pass_ms": 1.0, "factor": 0.5, "measured": True}},
            "left_out": {}, "runs": 100, "warmups": 10, "batch_size": 1,
            "conditions": {"device": "CPU", "capability": "x", "threads": 1, "torch": "2", "tf32": "", "cudnn": "",
                           "load": None},
        }  # fmt: skip
        for number in range(lines):
            yield {"name": ("fp32", "bf16")[number % 2], "milliseconds": 1.5, "done": number + 1, "total": 200}
        raise CoreError("The process died.", "Try again.")

    monkeypatch.setattr("pages.precision.precision.printed_by", broken)
    app = precision(formats="bf16", image=f"example:{'cat' if lines else 'rocket'}")
    app.button(key="measure").click().run()
    assert any("The process died" in error.value for error in app.error)
    assert not app.exception
    app.run()
    if lines:
        assert "3–4 runs of each" in text_of(app)
        assert "stopped before its end" in text_of(app)
    else:
        assert "a first look" in text_of(app)


def test_a_slow_format_is_said_and_its_answers_wait_for_a_click(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.methods.precision.precision._kernel_factor", lambda dtype: 5000.0)
    app = precision(formats="fp16", image="example:flower")
    assert not app.exception
    assert any("5,000 times as slow as in fp32" in caption.value for caption in app.caption)
    assert any("5,000 times as slow here, so not timed" in markdown.value for markdown in app.markdown)
    app.button(key="anyway-fp16-button").click().run()
    assert not app.exception
    assert "of 8** images" in headline(app)


def test_a_model_of_texts_is_asked_with_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = f"folder:{save_tiny_clip(tmp_path / 'tiny')}"
    app = precision(model=model, formats="bf16")
    assert not app.error
    assert "of 8** images" in headline(app)
    labels = next(each for each in app.text_input if each.label == "Labels to choose from")
    labels.set_value("cat").run()
    assert any("one label" in error.value for error in app.error)
    assert not app.exception
    next(each for each in app.text_input if each.label == "Labels to choose from").set_value(" ; ").run()
    assert any("There are no labels" in error.value for error in app.error)
    printed = run_recipe(filled_recipe("precision", model=model, labels=["cat", "dog"], **RECIPE), capsys)
    assert "bf16: median" in printed


def test_own_photos_are_compared_by_their_names_and_chosen_ones_are_explained(tmp_path: Path) -> None:
    model = f"folder:{save_tiny_clip(tmp_path / 'tiny')}"
    app = precision(
        model=model, formats="bf16", compared="Your own photos", compared_photos="example:cat,example:rocket"
    )
    assert not app.error
    typed = next(each for each in app.text_input if each.label == "Labels to choose from")
    assert typed.value == ", ".join(example_picture(name).title for name in ("cat", "rocket"))
    # The page's own photo, and these two.
    assert "on **3 of 3** images" in headline(app)
    assert re.search(r"Of the image encoder alone, [\d,]+ of the model's [\d,]+ parameters", text_of(app))
    app.multiselect(key="looked_at").set_value([2]).run()
    assert not app.exception
    tables = [each.value for each in app.markdown if "logit behind" in each.value]
    assert len(tables) == 1
    assert tables[0].count("| best |") == 1
    assert "The chosen images in bf16" in text_of(app)


def test_an_address_that_makes_no_sense_shows_the_page_all_the_same() -> None:
    app = precision(formats="fp8", batch="-3", compared="gone/test", count="many", model="run:../../etc")
    assert app.error
    assert not app.exception
    assert app.dataframe


def test_the_recipe_runs(capsys: pytest.CaptureFixture[str]) -> None:
    save_toy({"test": 20})
    asked = {**RECIPE, "compared": "toy/test", "count": 8}
    printed = run_recipe(filled_recipe("precision", model="vit_p4", labels=[], **asked), capsys)
    assert re.search(r"bf16: .* of 9, ", printed)
    assert "fp32: median" in printed
    assert "bf16: median" in printed
