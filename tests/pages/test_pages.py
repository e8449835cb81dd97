"""Every page through Streamlit's own test harness: no exception, and its controls change what is shown."""

from __future__ import annotations

import gc
import json
import re
from pathlib import Path
from typing import Any

import pytest
from streamlit.proto.Checkbox_pb2 import Checkbox
from streamlit.proto.NumberInput_pb2 import NumberInput
from streamlit.proto.Slider_pb2 import Slider
from streamlit.proto.TextArea_pb2 import TextArea
from streamlit.proto.TextInput_pb2 import TextInput
from streamlit.testing.v1 import AppTest

from core.errors import CoreError
from core.paths import CHECKOUT
from pages.navigation import ENTRIES, HOME, SECTIONS
from pages.shared.layout import page_path
from pages.shared.recipes import recipe_files, without_settings
from pages.shared.start import heavy_imports
from tests.pages.exports import data_of, exported, keep_exports
from tests.pages.harness import MAIN, open_page, text_of

PAGES = sorted(path.parent.name for path in (CHECKOUT / "pages").glob("*/page.py"))


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


def ends(app: AppTest) -> bool:
    """Whether the last element of every page is there, until which grey bars stand for what is not drawn yet."""
    return [each.key for each in app.get("bidi_component")][-1:] == ["page_keys"]


@pytest.mark.parametrize(
    ("stem", "query"),
    [
        ("attention", {"model": "vit_b16"}),  # one download away
        ("masking", {"model": "folder:/nowhere"}),
        ("runs", {"show": "Sweeps"}),
        ("clip", {"model": "clip_vit_b32"}),
    ],
)
def test_a_page_that_stops_early_ends_all_the_same(stem: str, query: dict[str, str]) -> None:
    assert ends(open_page(stem, **query))


def test_no_garbage_is_looked_for_among_what_was_imported() -> None:
    gc.unfreeze()
    heavy_imports.cache_clear()
    heavy_imports().result()
    assert gc.get_freeze_count() > 100_000


@pytest.mark.slow
@pytest.mark.parametrize("stem", PAGES)
def test_pages_open_filled(stem: str) -> None:
    app = open_page(stem)
    assert not app.error
    assert ends(app)
    assert len(text_of(app)) > 200
    assert r"\*\*" not in text_of(app)  # a sentence of ours with bold words went through the escaper
    if stem != HOME:
        assert any(each.value.startswith(f"### {ENTRIES[stem].title} ") for each in app.markdown)
        for title in ("What you see", "How it is computed", "Caveat"):
            assert title in text_of(app)
    else:
        linked = {Path(each.proto.page).name or each.proto.page for each in app.get("page_link")}
        assert linked >= {*ENTRIES} - {HOME}


def test_every_page_has_its_line_in_the_navigation() -> None:
    assert sorted(ENTRIES) == PAGES
    assert len(ENTRIES) == sum(map(len, SECTIONS.values()))


def test_every_page_has_its_cards_and_every_card_is_whole() -> None:
    cards = list((CHECKOUT / "pages").glob("*/card*.md"))
    assert {path.parent.name for path in cards if path.name == "card.md"} == set(PAGES) - {HOME}
    for path in cards:
        parts = re.findall(r"^## (.*)\n([\s\S]*?)(?=^## |\Z)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert [title for title, _ in parts] == ["see", "how", "caveat"], path
        assert all(text.strip() for _, text in parts), path


@pytest.mark.slow
@pytest.mark.parametrize("stem", [stem for stem in PAGES if stem != HOME])
def test_every_page_exports_and_its_recipe_is_one_of_its_files(stem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_exports(monkeypatch)
    export = exported(open_page(stem))
    assert any(data_of(export).values())
    own = [path for path in recipe_files() if path.parent.name in (stem, "shared")]
    assert without_settings(export.recipe) in [without_settings(path.read_text(encoding="utf-8")) for path in own]


def bound_controls(app: AppTest) -> dict[str, Any]:
    """What Streamlit tells the browser of every control that can be used and is in the address, by its name there."""
    messages = [getattr(element, "proto", None) for element in app._tree]
    return {
        each.query_param_key: each
        for each in messages
        if getattr(each, "query_param_key", "") and not getattr(each, "disabled", False)
    }


def another_choice(control: Any) -> str:
    """A choice that is not the usual one, as an address says it; nothing where there is no other."""
    if isinstance(control, Checkbox):
        return str(not control.default).lower()
    if isinstance(control, TextInput | TextArea):
        return f"{control.default}, zebra"
    usual = control.default if hasattr(control.default, "__len__") else [control.default]
    options = [getattr(option, "content", option) for option in getattr(control, "options", ())]
    if options:
        return next((str(option) for place, option in enumerate(options) if place not in usual), "")
    return f"{control.min if usual[0] != control.min else usual[0] + control.step:g}"


def offered(control: Any, choice: str) -> bool:
    """Whether a control can be set to it: what another one leaves to choose may be less."""
    options = [str(getattr(option, "content", option)) for option in getattr(control, "options", ())]
    return not options or choice in options


def restored(control: Any, choice: str) -> bool:
    """Whether a control came up with this choice."""
    if isinstance(control, Checkbox):
        return str(control.value).lower() == choice
    if isinstance(control, Slider | NumberInput) and not getattr(control, "options", ()):
        value = control.value[0] if isinstance(control, Slider) else control.value
        return f"{value:g}" == choice
    if isinstance(control, Slider):  # of options
        return choice in control.raw_value
    held = list(getattr(control, "raw_values", ())) or [getattr(control, "raw_value", "") or control.value]
    return choice in held


@pytest.mark.slow
@pytest.mark.parametrize("stem", PAGES)
def test_the_address_alone_restores_every_control_that_it_names(stem: str) -> None:
    first = open_page(stem)
    kept = {name: "example:cat" if name == "image" else value for name, value in first.query_params.items()}
    choices = {name: another_choice(control) for name, control in bound_controls(first).items()}
    left = {name: choice for name, choice in choices.items() if choice}
    assert kept or left
    while True:
        app = open_page(stem, **kept, **left)
        assert kept.items() <= dict(app.query_params.items()).items()
        found = bound_controls(app)
        there = [name for name in left.keys() & found.keys() if offered(found[name], left[name])]
        assert [name for name in there if not restored(found[name], left[name])] == []
        # What one choice hides, or does not leave to choose, is asked for without it.
        hidden = {
            name: choice for name, choice in left.items() if name not in found or not offered(found[name], choice)
        }
        assert len(hidden) < max(1, len(left))
        if not hidden:
            return
        left = hidden


@pytest.mark.parametrize("stem", ["attention", "masking", "biases"])
def test_what_goes_without_saying_is_not_added_to_the_address(stem: str) -> None:
    """Each word that a page adds on its own is one more press of the browser's Back."""
    model = {"models": "cnn_small"} if stem == "biases" else {"model": "vit_p4"}
    given = {"image": "example:cat"} | model
    assert open_page(stem, **given).query_params.keys() == given.keys()


def test_the_headline_is_computed_from_the_chosen_image() -> None:
    cat, flower = open_page("attention", image="example:cat"), open_page("attention", image="example:flower")
    headline = [next(m.value for m in app.markdown if "of its patch attention in" in m.value) for app in (cat, flower)]
    assert headline[0] != headline[1]


def test_a_layer_and_a_head_can_be_chosen_and_a_bad_layer_is_mended() -> None:
    app = open_page("attention", layer="2", head="3")
    assert "in layer 2 (head 3)" in text_of(app)
    app.session_state["layer"], app.session_state["head"], app.session_state["patch"] = "40", "77", "9999"
    app.run()
    assert not app.exception
    assert "in the last layer (mean of its heads), the class token holds" in text_of(app)
    assert (app.session_state["layer"], app.session_state["head"]) == ("6", "mean")


def test_an_input_size_that_cannot_be_costs_a_sentence() -> None:
    app = open_page("attention", model="vit_p4", size="50")
    assert any("do not divide into patches of 4" in each.value for each in app.error)
    assert app.number_input(key="input_size").value == 32
    app = open_page("attention", model="cnn_small", size="64")
    assert any("takes 32 pixels alone" in each.value for each in app.error)


def test_an_unknown_image_in_the_address_costs_a_sentence() -> None:
    app = open_page("attention", image="upload:deadbeef")
    assert any("only the browser that uploaded it" in error.value for error in app.error)
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
    app = AppTest.from_file(str(MAIN), default_timeout=600)
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
    from core.methods.attention.explanations import explanations_for
    from core.models.catalogue import find_model
    from pages.masking.track_records import RESULTS, sanity_sentence, track_record

    paths, measured = list(RESULTS.glob("faithfulness_*.json")), 0
    assert paths
    for path in paths:
        record = track_record(path.stem.removeprefix("faithfulness_"))
        assert record is not None
        stored = json.loads(path.read_text(encoding="utf-8"))
        assert stored["count"] >= 200
        assert {"seed", "split", "dataset", "steps", "orders", "fill"} <= stored.keys()
        methods = {each.name: each.title for each in explanations_for(find_model(stored["model"]))}
        assert record.tracks.keys() <= methods.keys()
        measured += len(record.sanity)
        said = sanity_sentence(record.sanity, methods)
        assert all(methods[method] in said for method in record.sanity)
        assert all(check.count >= 20 and check.shares[-1] == 1 for check in record.sanity.values())
    assert measured
