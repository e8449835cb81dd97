"""What leaves a page is what is on its screen: headline, export, recipe and address follow every control.

The controls are found by walking the page. One that changes nothing in the export fails here.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from core.figures.attention import short_label
from core.methods.attention.attention import AttentionMaps, attention_mass, shown_map
from core.methods.attention.explanations import EXPLANATIONS
from core.methods.attention.rollout import rollout_to
from core.models.weights import load
from core.paths import CHECKOUT
from pages.components.attention.packing import PackedMaps
from pages.masking.address import written_mask
from pages.shared.export import Export
from pages.shared.layout import page_path
from tests.pages.exports import FRAME
from tests.pages.unpacked import weights

MAIN = CHECKOUT / "pages" / "navigation.py"
KINDS = ("selectbox", "slider", "select_slider", "segmented_control", "pills", "toggle", "checkbox", "radio", "tabs",
         "multiselect", "number_input", "text_input", "text_area")  # fmt: skip
AS_THEY_ARE = ("direction", "beside", "compare_map")
# Where a picture or a model comes from is no view of it; the picture and the model themselves are.
SOURCES = ("image_", "model_", "own_", "main_menu", "input_size")


class Page:
    """A page under test, with what it draws and what it exports."""

    def __init__(self, stem: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stem = stem
        self.makers: list[Any] = []
        self.pictures: list[np.ndarray] = []
        self.canvas: dict[str, Any] = {}
        self.slider: dict[str, Any] = {}
        self.told: list[Any] = []

        def image(_self: Any, pixels: Any, *_args: Any, **_options: Any) -> None:
            if Path(sys._getframe(1).f_code.co_filename).parent.name == stem:  # the pickers draw thumbnails
                self.pictures.append(np.asarray(pixels))

        monkeypatch.setattr("pages.shared.export.export_popover", lambda make, **_: self.makers.append(make))
        monkeypatch.setattr(DeltaGenerator, "image", image)
        monkeypatch.setattr(st, "image", partial(image, None))
        monkeypatch.setattr("pages.components.attention.attention.attention_view", self._attention)
        monkeypatch.setattr("pages.components.masked_photo.masking_steps.masking_steps", self._slider)
        monkeypatch.setattr("pages.components.masked_photo.mask_painter.mask_painter", self._paint)
        monkeypatch.setattr("pages.components.feed.feed.Feed.tell", lambda _feed, told: self.told.append(told))
        self.app = AppTest.from_file(str(MAIN), default_timeout=600)

    def _attention(self, photo: str, seen: str, maps: AttentionMaps, packed: PackedMaps, **options: Any) -> None:
        if not options.get("linked"):  # the sides of a comparison
            self.canvas = {"maps": maps, "packed": packed, **options}

    def _slider(self, data: Any, **_options: Any) -> None:
        self.slider = dict(data)

    def _paint(self, photo: str, filling: str, grid: tuple[int, int], removed: Any, **_options: Any) -> None:
        self.slider = {"painted": list(removed)}

    def open(self, **query: str) -> Page:
        for name, value in query.items():
            self.app.query_params[name] = value
        self.app.run()
        self.app.switch_page(page_path(self.stem))
        for name, value in query.items():
            self.app.query_params[name] = value
        return self.run()

    def run(self) -> Page:
        self.makers.clear()
        self.pictures.clear()
        self.told.clear()
        self.app.run()
        assert not self.app.exception, self.app.exception
        assert not self.app.error, [error.value for error in self.app.error]
        return self

    def export(self) -> Export:
        return self.makers[-1]()

    def texts(self) -> list[str]:
        return [element.value for element in [*self.app.markdown, *self.app.caption]]

    def controls(self) -> dict[str, Any]:
        """Every enabled widget that is no source, by key."""
        found = {}
        for kind in KINDS:
            for widget in self.app.get(kind) if kind == "tabs" else getattr(self.app, kind):
                key = getattr(widget, "key", None) or ""
                if key and not getattr(widget, "disabled", False) and not key.startswith(SOURCES):
                    found[key] = widget
        return found


def meant(key: str, option: str) -> Any:
    """What an option stands for, where it is shown in other words."""
    if key == "head":
        return option.removeprefix("head ").removesuffix(" of all")
    if key == "ranked_by":
        return next(each.name for each in EXPLANATIONS.values() if each.title == option)
    return {"Highest ranked": "most_attended", "Lowest ranked": "least_attended", "mean colour": "mean"}.get(
        option, option if key in AS_THEY_ARE else option.lower().removeprefix("by ")
    )


def other_value(key: str, widget: Any, model: str) -> Any:
    """A value that the widget does not have now."""
    if isinstance(widget.value, bool):
        return not widget.value
    if hasattr(widget, "min"):
        return widget.min if widget.value != widget.min else widget.max
    if key.startswith("class_"):  # its options are named "dog 71%"
        names = [short_label(each) for each in load(model).classes]
        return names.index(widget.options[1].rsplit(" ", 1)[0])
    options = [meant(key, option) for option in widget.options]
    return next(option for option in reversed(options) if option != widget.value)


def ran(recipe: str, folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The arrays and pictures that a recipe leaves behind."""
    folder.mkdir(parents=True, exist_ok=True)
    before = os.getcwd()
    os.chdir(folder)
    try:
        exec(compile(recipe, "recipe.py", "exec"), {"__name__": "__main__"})
    finally:
        os.chdir(before)
    arrays = dict(np.load(next(folder.glob("*.npz"))))
    return arrays, {path.stem: np.asarray(Image.open(path)) for path in folder.glob("*.png")}


def check_recipe(export: Export, folder: Path) -> None:
    """What a recipe computes is what is exported, number by number and pixel by pixel."""
    arrays, pictures = ran(export.recipe, folder)
    assert arrays.keys() == export.arrays.keys()
    for name, values in export.arrays.items():
        np.testing.assert_allclose(arrays[name], values, atol=2e-5, rtol=1e-4, err_msg=name)
    assert pictures.keys() == export.pictures.keys()
    for name, pixels in export.pictures.items():
        assert pictures[name].shape == pixels.shape
        # rounding in the last bit of a map may move a colour by one step
        assert np.abs(pictures[name].astype(int) - pixels).max() <= 2, name


def check_attention(page: Page, export: Export) -> None:
    """The export holds the map of the canvas, every picture of the page, and the headline."""
    if page.canvas:
        maps, packed, choice = (page.canvas[name] for name in ("maps", "packed", "choice"))
        drawn = replace(maps, weights=weights(packed, maps))
        if choice.kind == "rollout":
            shown = rollout_to(drawn, choice.layer, choice.head, choice.patch)
        else:
            shown = shown_map(drawn, choice.layer, choice.head, choice.patch, choice.direction)
        # A byte a weight: as near as the browser can draw it.
        np.testing.assert_allclose(export.arrays["map"], shown, atol=np.abs(maps.weights[choice.layer]).max() / 255)
        assert ("mask" in export.arrays) == (choice.mass < 100)
    for pixels in page.pictures:
        assert any(pixels.shape == each.shape and (pixels == each).all() for each in export.pictures.values())
    assert f"#### {export.facts['headline']}" in page.texts()


def same(first: Export, second: Export) -> bool:
    """Whether two exports say the same, apart from what the view calls itself."""
    if first.recipe != second.recipe or first.arrays.keys() != second.arrays.keys():
        return False
    return all(np.array_equal(values, second.arrays[name]) for name, values in first.arrays.items())


@pytest.fixture
def attention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    return Page("attention", monkeypatch)


TABS = ["Explanations", "Attention distance", "Predictions", "Compare"]
START = {"model": "vit_p4", "image": "example:cat"}
# What the component reports, which has no widgets that could be found on the page, and the input size.
CHOICES = {"size": "48", "layer": "2", "head": "3", "patch": "11", "map": "rollout", "mass": "85", "as_seen": "true"}


def change_choices(page: Page, folder: Path) -> None:
    """Every choice of the component alone, and put back."""
    before_it = page.export()
    for key, value in CHOICES.items():
        before = page.app.session_state[key]
        page.app.session_state[key] = value
        after = page.run().export()
        assert not same(before_it, after), f"{key} changes nothing of what is exported"
        check_attention(page, after)
        check_recipe(after, folder / key)
        page.app.session_state[key] = before
        assert same(before_it, page.run().export()), key


def change_each(page: Page, model: str, check: Any, folder: Path, done: set[str]) -> set[str]:
    """Change every control that is there and not `done`, one at a time, and put it back."""
    for key in page.controls():
        if (
            key in done
            or key in FRAME
            or key == "tabs"
            or len(getattr(page.controls()[key], "options", None) or (1, 2)) < 2
        ):
            continue
        before_it, widget = page.export(), page.controls()[key]
        before = widget.value
        page.app.session_state[key] = other_value(key, widget, model)
        after = page.run().export()
        assert not same(before_it, after), f"{key} changes nothing of what is exported"
        check(page, after)
        check_recipe(after, folder / key)
        page.app.session_state[key] = before
        assert same(before_it, page.run().export()), key
        done.add(key)
    return done


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vit_p4", "differential_vit_p4", "cnn_small"])
def test_every_control_of_attention_is_in_what_is_exported(model: str, attention: Page, tmp_path: Path) -> None:
    page = attention.open(**START | {"model": model})
    changed: set[str] = set()
    for tab in TABS if page.canvas else ["no tabs"]:
        if page.canvas:
            page.app.session_state["tabs"] = tab
        export = page.run().export()
        check_attention(page, export)
        check_recipe(export, tmp_path / tab)
        if page.canvas and tab == TABS[0]:
            change_choices(page, tmp_path / "choices")
        change_each(page, model, check_attention, tmp_path / f"{tab}, changed", changed)
    expected = {"fusion", "discard", "residual", "beside", "compare_map"}
    assert changed - {key for key in changed if key.startswith("class_")} == (expected if page.canvas else set())
    assert any(key.startswith("class_") for key in changed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen",
    [
        {"layer": "2", "head": "3", "patch": "11", "direction": "is attended by", "as_seen": "true"},
        {"layer": "4", "head": "max", "patch": "60", "fusion": "min", "discard": 30, "residual": False},
        {"size": "48", "mass": "85", "patch": "0", "head": "min"},
        {"map": "rollout", "layer": "3", "patch": "9", "head": "5", "mass": "40", "as_seen": "true"},
        {"tabs": "Compare", "beside": "Another image", "compare_map": "Rollout", "image_b": "example:flower"},
        {"tabs": "Compare", "compare_map": "Rollout", "model_b": "differential_vit_p4", "layer": "1"},
    ],
)
def test_several_choices_at_once(chosen: dict[str, Any], attention: Page, tmp_path: Path) -> None:
    page = attention.open(**START)
    first = page.export()
    for key, value in chosen.items():
        page.app.session_state[key] = value
    export = page.run().export()
    assert not same(first, export)
    check_attention(page, export)
    check_recipe(export, tmp_path / "recipe")


def test_the_headline_speaks_of_the_map_on_the_screen(attention: Page) -> None:
    page = attention.open(**START)
    assert "in the last layer (mean of its heads), the class token holds" in page.export().facts["headline"]
    page.app.session_state["layer"], page.app.session_state["head"] = "2", "3"
    assert "in layer 2 (head 3), the class token holds 60 %" in page.run().export().facts["headline"]
    page.app.session_state["patch"] = "11"
    assert "the patch at row 2, column 4 holds" in page.run().export().facts["headline"]
    page.app.session_state["direction"] = "is attended by"
    headline = page.run().export().facts["headline"]
    assert "60 % of the attention paid to the patch at row 2, column 4 comes from" in headline
    maps = page.canvas["maps"]
    few = int(attention_mass(maps.weights[1, 2, 1:, 12], 0.6).sum())
    assert headline.endswith(f"comes from {few} of 64 patches.")
    page.app.session_state["map"] = "rollout"
    few = int(attention_mass(rollout_to(maps, 1, "3", 11), 0.6).sum())
    said = (
        f"rolled out up to layer 2 (head 3), 60 % of what has reached the patch at row 2, column 4 comes from {few} of"
    )
    assert said in page.run().export().facts["headline"]


def test_the_address_alone_makes_the_same_view(attention: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {"layer": "2", "direction": "is attended by", "patch": "11", "as_seen": "true", "class": "3"}
    chosen |= {"fusion": "max", "discard": "30", "residual": "false"}
    by_address = attention.open(**START, **chosen).export()
    facts = by_address.facts
    assert (facts["layer"], facts["direction"], facts["patch"], facts["as_seen"]) == (2, "from", 11, True)
    assert (facts["class_index"], facts["fusion"], facts["discard"], facts["residual"]) == (3, "max", 0.3, False)
    other = Page("attention", monkeypatch).open(**START, map="rollout", mass="85", size="40").export()
    assert (other.facts["kind"], other.facts["mass"]) == ("rollout", 0.85)
    assert other.facts["grid"] == (10, 10)
    assert other.facts["model"] == "vit_p4;size=40"


@pytest.fixture
def masking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    return Page("masking", monkeypatch)


def check_masking(page: Page, export: Export) -> None:
    """The export holds what the browser draws, its curve and what is said of them."""
    facts, slider = export.facts, page.slider
    if facts["strategy"] == "hand":
        assert facts["removed"] == slider["painted"]
        assert f"#### {facts['headline']}" in page.texts()
        return
    told, step = page.told[-1], facts["step"]
    assert (slider["step"], slider["rows"], slider["cols"]) == (step, *facts["grid"])
    assert sorted(told["order"][: slider["counts"][step]]) == facts["removed"]
    assert (told["headlines"][step], told["sentence"]) == (facts["headline"], facts["areas"])
    marked = next(trace for trace in export.figures["curve"].data if trace.mode == "markers")
    curve = export.arrays[f"curve_{facts['strategy']}"]
    assert marked.y[0] == pytest.approx(curve[step])
    np.testing.assert_allclose(told["lines"][0]["values"], curve)
    np.testing.assert_allclose(told["band"]["mean"], export.table["random_mean"])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vit_p4", "cnn_small", "clip_small"])
def test_every_control_of_masking_is_in_what_is_exported(model: str, masking: Page, tmp_path: Path) -> None:
    page = masking.open(**START | {"model": model})
    export = page.export()
    check_masking(page, export)
    check_recipe(export, tmp_path / "first")
    changed = change_each(page, model, check_masking, tmp_path, set())
    assert changed >= {"strategy", "fill", "ranked_by"}


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [
    {"strategy": "least_attended", "ranked_by": "relevance", "fill": "noise", "share": "50"},
    {"strategy": "random", "fill": "blur", "share": "100"},
    {"strategy": "centre", "fill": "black"},
])  # fmt: skip
def test_several_choices_of_masking_at_once(chosen: dict[str, Any], masking: Page, tmp_path: Path) -> None:
    page = masking.open(**START)
    for key, value in chosen.items():
        page.app.session_state[key] = value
    export = page.run().export()
    check_masking(page, export)
    check_recipe(export, tmp_path / "recipe")


@pytest.mark.slow
def test_what_is_painted_is_what_is_exported(masking: Page, tmp_path: Path) -> None:
    painted = [0, 9, 63]
    page = masking.open(**START, strategy="By hand", fill="noise", mask=written_mask(painted, (8, 8)))
    export = page.export()
    check_masking(page, export)
    check_recipe(export, tmp_path / "recipe")
    assert export.facts["removed"] == painted
    assert np.flatnonzero(~export.arrays["masks"][0].ravel()).tolist() == painted


def test_a_backbone_says_what_is_like_what(masking: Page) -> None:
    page = masking.open(**START | {"model": "clip_small"})
    headline = page.export().facts["headline"]
    assert re.fullmatch(r"Cosine of the embedding with the whole photo's: 1\.000 → -?\d\.\d{3}", headline), headline


def test_what_ranks_is_named(masking: Page) -> None:
    page = masking.open(**START | {"model": "cnn_small"})
    names = {trace.name for trace in page.export().figures["curve"].data}
    assert {"highest by Grad-CAM", "lowest by Grad-CAM"} <= names
    said = " ".join([*page.texts(), *(str(option) for option in page.app.button_group[0].options)])
    assert "attended" not in said.split("What you see")[0].lower()
