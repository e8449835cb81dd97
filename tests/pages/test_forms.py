"""A form offers what its config accepts: the bounds of every number are the option's own."""

from __future__ import annotations

import ast
import dataclasses
import re
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.cli.train import recipe_help
from core.configs import option, parse_overrides
from core.errors import ConfigError
from core.launch.recipes import RECIPES
from core.paths import CHECKOUT
from pages.shared import forms

NUMBERS = [
    pytest.param(entry, id=f"{name}: {'.'.join(entry.path)}")
    for name, recipe in RECIPES.items()
    for entry in forms._fields(recipe.config, "")
    if entry.hint in (int, float)
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What number inputs are made with."""
    calls: list[dict[str, Any]] = []

    def number_input(label: str, **options: Any) -> Any:
        calls.append(options)
        return options["value"]

    monkeypatch.setattr(forms.st, "number_input", number_input)
    monkeypatch.setattr(forms.st, "toggle", lambda *_, **__: True)
    return calls


@pytest.mark.parametrize("entry", NUMBERS)
def test_a_number_of_a_recipe_has_its_options_bounds(entry: forms._Field, asked: list[dict[str, Any]]) -> None:
    forms._widget(entry, forms._first_value(entry), "form")
    low, high = entry.metadata.get("minimum"), entry.metadata.get("maximum")
    if entry.metadata.get("zero"):
        low = 1  # what 0 stands for is the empty field
    assert [(each["min_value"], each["max_value"]) for each in asked] == [(low, high)]
    kinds = {type(each[name]) for each in asked for name in ("min_value", "max_value") if each[name] is not None}
    assert kinds <= {entry.hint}


def test_bounds_stand_in_the_catalogue_at_all() -> None:
    bounded = [entry.values[0] for entry in NUMBERS]
    assert sum("minimum" in each.metadata for each in bounded) > 0.8 * len(bounded)  # type: ignore[attr-defined]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Half:
    count: int = option(3, "Count", minimum=0.5, maximum=4.5)


def test_whole_numbers_keep_within_bounds_that_are_none(asked: list[dict[str, Any]]) -> None:
    (entry,) = forms._fields(Half, "")
    forms._widget(entry, 3, "form")
    assert (asked[0]["min_value"], asked[0]["max_value"]) == (1, 4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Some:
    images: int = option(0, "Images", "0 is all.", minimum=0, zero="all")


def some_form(start: int) -> None:
    import streamlit as st

    from pages.shared import forms
    from tests.pages.test_forms import Some

    (entry,) = forms._fields(Some, "")
    st.text(forms._widget(entry, start, "form"))


@pytest.mark.parametrize(("start", "shown"), [(0, None), (12, 12)])
def test_a_nought_that_stands_for_something_is_not_shown_as_one(start: int, shown: int | None) -> None:
    app = AppTest.from_function(some_form, args=(start,)).run()
    (field,) = app.number_input
    assert (field.value, field.placeholder, app.text[0].value) == (shown, "all", str(start))
    # A field with a value of its own takes that again when it is emptied, so that 0 could not be said.
    assert not field.proto.HasField("default")
    assert field.set_value(None).run().text[0].value == "0"
    assert field.set_value(5).run().text[0].value == "5"


def amount_in_address() -> None:
    import streamlit as st

    from pages.shared.amounts import amount_input

    st.text(amount_input("Images", 500, "all images", key="images", most=1000, in_address=True))


@pytest.mark.parametrize(
    ("address", "amount"), [("", 500), ("0", 0), ("20", 20), ("5000", 500), ("many", 500), ("-1", 500)]
)
def test_an_amount_of_the_address_is_what_it_says_where_it_can_be_meant(address: str, amount: int) -> None:
    app = AppTest.from_function(amount_in_address)
    if address:
        app.query_params["images"] = address
    app.run()
    assert not app.exception
    assert (app.number_input[0].value, app.text[0].value) == (amount or None, str(amount))


def test_an_emptied_amount_is_in_the_address_and_the_usual_one_is_not() -> None:
    app = AppTest.from_function(amount_in_address).run()
    assert "images" not in app.query_params
    app.number_input[0].set_value(None).run()
    assert (app.query_params["images"], app.text[0].value) == ("0", "0")
    app.number_input[0].set_value(500).run()
    assert "images" not in app.query_params


def test_no_number_of_a_page_lets_0_stand_for_something_else() -> None:
    coded = re.compile(r"\b0( is|:| =) all\b|Empty:")
    found = []
    for path in {*(CHECKOUT / "pages").rglob("*.py")} - {CHECKOUT / "pages" / "shared" / "amounts.py"}:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "number_input":
                texts = [str(each.value) for each in ast.walk(node) if isinstance(each, ast.Constant)]
                found += [f"{path.name}: {each}" for each in texts if coded.search(each)]
    assert found == []  # `amount_input` is for those, and the one place where they are made


def test_every_option_whose_nought_stands_for_something_says_what() -> None:
    for entry in (each.values[0] for each in NUMBERS):
        if entry.hint is not int:  # type: ignore[attr-defined]
            continue
        explained = re.search(r"\b0( is|:| measures)", entry.metadata.get("help", ""))  # type: ignore[attr-defined]
        assert not explained or entry.metadata["zero"], entry.path  # type: ignore[attr-defined]


@pytest.mark.parametrize("entry", NUMBERS)
def test_what_lies_outside_is_refused_by_the_config(entry: forms._Field) -> None:
    recipe = next(recipe for recipe in RECIPES.values() if entry in forms._fields(recipe.config, ""))
    for bound, step in (("minimum", -1), ("maximum", 1)):
        if (limit := entry.metadata.get(bound)) is not None:
            with pytest.raises(ConfigError, match=entry.name):
                parse_overrides(recipe.config, [f"{'.'.join(entry.path)}={limit + step}"])


def fields(recipe: str) -> dict[str, forms._Field]:
    return {".".join(entry.path): entry for entry in forms._fields(RECIPES[recipe].config, "")}


def test_no_form_lets_0_stand_for_something_else(asked: list[dict[str, Any]]) -> None:
    entry = fields("vit_scratch")["max_images"]
    forms._widget(entry, 0, "form")
    assert [(each["placeholder"], each["min_value"]) for each in asked] == [("all images", 1)]
    assert asked[0]["help"].endswith("Empty: all images.")
    said: list[Any] = [entry.values[0] for entry in NUMBERS]
    coded = {each.name for each in said if re.search(r"\b0(:| is| measures)", each.metadata.get("help", ""))}
    assert coded <= {"whitening"}  # there 0 is an amount
    # The command line has no fields to leave empty.
    assert "A fixed random part of the training split. 0: all images" in recipe_help("vit_scratch")


def test_small_numbers_are_written_by_their_exponent(asked: list[dict[str, Any]]) -> None:
    form = fields("vit_scratch")
    forms._widget(form["model.norm_eps"], 1e-6, "form")
    forms._widget(form["training.learning_rate"], 0.002, "form")
    assert [each["format"] for each in asked] == ["%e", "%g"]


def test_choices_are_written_as_the_field_writes_them() -> None:
    written = [forms._words(each) for each in ("differential_vit", "learned_1d", "class_token", "adamw", "fp32", 32)]
    assert written == ["differential ViT", "learned 1-D", "class token", "AdamW", "fp32", "32"]


def test_labels_have_units_and_hints_say_what_terms_mean() -> None:
    form = fields("vit_scratch")
    assert form["model.patch_size"].label == "Patch size (px)"
    assert "Patch**: a small square of the picture" in str(form["model.patch_size"].help)
    assert "Augmentation**: random changes of training images" in str(form["training.augmentation"].help)
    assert "Image size (px)" in recipe_help("vit_scratch")
