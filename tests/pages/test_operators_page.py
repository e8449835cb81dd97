"""The Operators page: filled at once, honest about what is random, mended where an address makes no sense."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.images import decode_image
from core.errors import CoreError, ImageError
from core.experiments.mixer_scratch import Config
from core.figures.overlay import to_png
from core.launch.execute import execute
from core.methods.operators.layer import OperatorLayer, run_layer
from core.methods.operators.mixer_results import read_mixer_results
from core.methods.operators.picture import small_picture
from core.methods.operators.single_layer import OPERATORS, OperatorSettings, random_layers
from core.models import catalogue
from core.models.catalogue import find_model
from core.models.mixer import MixerConfig
from core.runs.store import RunSpec, create_run
from core.training.config import TrainingConfig
from pages.operators import panels
from pages.operators.words import equation, formula, mixers_sentence, story
from tests.pages.exports import exported, keep_exports, run_recipe
from tests.pages.harness import open_page, text_of
from tests.toy import save_toy


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the component is given, run after run."""
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "pages.components.operators.operators.operators_grid", lambda data, **_: given.append(dict(data))
    )
    return given


def test_it_opens_with_six_random_operators_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for spec in catalogue.MIXER_SPECS:  # as long as none is trained
        monkeypatch.delitem(catalogue.MODELS, spec.name, raising=False)
    given = shown(monkeypatch)
    app = open_page("operators")
    assert not app.error
    data = given[-1]
    assert [column["operator"] for column in data["columns"]] == list(OPERATORS)
    assert data["note"] == "Random projections, seed 0; 32 × 21 positions."
    assert data["state"]["at"] == 10 * 32 + 16  # the centre
    assert data["state"]["temperature"] == 2.83
    assert app.selectbox(key="weights").options == ["Random projections"]
    assert "a position keeps for itself: without projections" in text_of(app)
    assert "an even one has no centre" in data["refused"]["4"]


@pytest.mark.parametrize(
    ("query", "said", "state"),
    [
        ({"kernel": "4"}, "an even one has no centre", {"kernel": 3}),
        ({"kernel": "17"}, "1 to 15 taps a side", {"kernel": 3}),
        ({"kernel": "three"}, "no whole number", {"kernel": 3}),
        ({"size": "4", "kernel": "5", "op_padding": "circular"}, "meets itself", {"kernel": 3}),
        ({"temperature": "0"}, "not a number from 0.05 to 200", {"temperature": 2.83}),
        ({"temperature": "nan"}, "", {"temperature": 2.83}),
        ({"weight": "heavy"}, "not a number from -10 to 10", {"weight": 1.0}),
        ({"at": "99,99"}, "There is no position", {"at": 5 * 16 + 8}),
        ({"at": "0,1"}, "There is no position", {"at": 5 * 16 + 8}),
        ({"operator": "**bold**"}, "There is no operator", {"operator": "pre"}),
        ({"channel": "-1"}, "There is no such channel", {"channel": 0}),
        ({"weights": "No such weights"}, "", {"kernel": 3}),
    ],
)
def test_an_address_that_makes_no_sense_costs_a_sentence(
    query: dict[str, str], said: str, state: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = shown(monkeypatch)
    app = open_page("operators", **{"image": "example:cat", "size": "16", **query})
    if query.get("size") != "4":
        assert given[-1]["grid"] == [11, 16]
    assert said in text_of(app)
    assert {name: given[-1]["state"][name] for name in state} == state


def test_an_address_brings_back_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    given = shown(monkeypatch)
    query = {"size": "12", "kernel": "7", "temperature": "0.5", "weight": "2", "at": "3,4", "operator": "post"}
    app = open_page("operators", image="example:cat", op_window="whole", op_seed="5", channel="2", **query)
    assert not app.warning
    assert given[-1]["state"] == {
        "kernel": 7, "temperature": 0.5, "weight": 2.0, "at": 2 * 12 + 3, "operator": "post", "channel": 1,
    }  # fmt: skip
    assert "seed 5" in given[-1]["note"]
    assert {column["window"] for column in given[-1]["columns"]} == {"whole"}
    # A place on another map means nothing: the centre, without a word.
    app.number_input(key="size").set_value(8).run()
    assert given[-1]["state"]["at"] == 2 * 8 + 4
    assert not app.warning


def test_the_export_is_what_the_view_says_and_its_recipe_makes_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_exports(monkeypatch)
    query = {
        "image": "example:cat",
        "size": "10",
        "at": "2,3",
        "kernel": "5",
        "temperature": "1",
        "op_axis": "channels",
    }
    export = exported(open_page("operators", **query, op_modulation="softmax", weight="2"))
    assert export.facts["position"] == [2, 3]
    assert set(export.pictures) == {"output", "features", "attention", "field", "reach"}
    settings = OperatorSettings(kernel_size=5, temperature=1, weight=2, modulation="softmax", axis="channels")
    picture = export.arrays["picture"]
    layers = random_layers(picture, settings)
    for name, layer in layers.items():
        expected = run_layer(layer, (1, 2))
        np.testing.assert_array_equal(export.arrays[f"{name}_output"], expected.output)
        np.testing.assert_array_equal(export.arrays[f"{name}_field"], expected.field.gradient)
    printed = run_recipe(export.recipe, capsys)
    assert "a position keeps for itself, without projections" in printed
    with np.load("operators.npz") as made:
        assert set(made) == set(export.arrays)
        for name in made:
            np.testing.assert_array_equal(made[name], export.arrays[name])
    assert Path("identity_trap.html").stat().st_size > 1000
    for name, pixels in export.pictures.items():
        assert Path(f"{name}.png").read_bytes() == to_png(pixels)


@pytest.mark.slow
def test_every_choice_reaches_the_export_and_its_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_exports(monkeypatch)
    base = {"image": "example:cat", "size": "6", "op_modulation": "softmax"}
    before = exported(open_page("operators", **base))
    choices = {
        "neighbourhood": "3", "projections": "none", "normalise": "false", "kernel": "gaussian", "padding": "circular",
        "outside": "excluded", "window": "whole", "modulation": "none", "axis": "channels", "activation": "gelu",
        "channels": "4", "seed": "7",
    }  # fmt: skip
    left_to_sliders = {"kernel_size", "temperature", "weight"}
    assert {field.name for field in fields(OperatorSettings)} == set(choices) | left_to_sliders
    for name, other in choices.items():
        after = exported(open_page("operators", **{**base, f"op_{name}": other}))
        assert before.recipe != after.recipe, name
        pairs = [(before.arrays[key], after.arrays[key]) for key in before.arrays]
        assert any(one.shape != two.shape or (one != two).any() for one, two in pairs), name


def test_odd_pictures_cost_a_sentence_or_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def upload(pixels: np.ndarray) -> bytes:
        return to_png(pixels)

    with pytest.raises(ImageError, match="1 × 1 pixels, too few"):
        decode_image(upload(np.zeros((1, 1, 3), np.uint8)))
    given = shown(monkeypatch)
    wide = np.zeros((40, 2000, 3), np.uint8)
    wide[:, ::2] = 255
    clear = np.zeros((20, 20, 4), np.uint8)  # transparent all over: laid on white
    app = open_page("operators")
    app.segmented_control(key="image_source").set_value("Upload").run()
    app.file_uploader(key="image_upload").set_value(("wide.png", upload(wide), "image/png")).run()
    assert not app.exception
    assert given[-1]["grid"] == [1, 32]
    app.file_uploader(key="image_upload_1").set_value(("clear.png", upload(clear), "image/png")).run()
    assert not app.exception
    assert given[-1]["grid"] == [20, 20]  # never enlarged
    assert given[-1]["contrast"] == {"mean": [1.0, 1.0, 1.0], "spread": 0.0}


def test_a_huge_picture_is_reduced_and_its_longer_side_is_at_most_64() -> None:
    image = Image.fromarray(np.zeros((300, 1600, 3), np.uint8))
    assert small_picture(image, 64).shape == (12, 64, 3)
    assert small_picture(image.resize((3, 2)), 64).shape == (2, 3, 3)


def toy_mixer(name: str, operator: str, *, seed: int = 0, embed_dim: int = 8) -> Path:
    """A mixer of a few steps on noise in two colours: a model's folder, and nothing to learn from."""
    model = MixerConfig(
        operator=operator,
        image_size=8,
        patch_size=2,
        embed_dim=embed_dim,
        num_heads=2,
        depth=2,
        kernel_size=3,
        classes=2,
    )  # type: ignore[arg-type]
    config = Config(dataset="toy", model=model, training=TrainingConfig(epochs=1, batch_size=20, seed=seed))
    run = create_run(name, RunSpec.of("mixer_scratch", config))
    for _ in execute(run):
        pass
    return run.model


def test_trained_mixers_are_offered_once_they_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_toy({"train": 40, "val": 20, "test": 20})
    for spec in catalogue.MIXER_SPECS:
        if spec.name in ("mixer_conv", "mixer_pre"):
            operator = {"mixer_conv": "convolution", "mixer_pre": "pre"}[spec.name]
            folder = toy_mixer(f"toy-{operator}", operator)
            source = replace(spec.sources[0], kind="folder", location=str(folder))
            monkeypatch.setitem(catalogue.MODELS, spec.name, replace(spec, sources=(source,)))
        else:
            monkeypatch.delitem(catalogue.MODELS, spec.name, raising=False)
    given = shown(monkeypatch)
    keep_exports(monkeypatch)
    app = open_page("operators", image="example:cat", weights="Trained mixers", mixer_head="2")
    assert not app.error
    data = given[-1]
    assert data["note"] == "Trained mixers: block 1, head 2, 4 × 4 patches."
    assert [bool(column.get("missing")) for column in data["columns"]] == [False, True, True, False, True, True]
    assert data["sizes"] == [3]
    assert data["state"]["temperature"] == 2.0  # √4, the channels of a head, though the first operator has no queries
    assert data["photo"] == [8, 8]
    assert "with learned projections" in text_of(app)
    first = exported(app)
    assert set(first.arrays) >= {"convolution_output", "pre_field"}
    assert first.facts["operators"][0]["operator"] == "Depthwise convolution"  # type: ignore[index]
    app.number_input(key="mixer_block").set_value(2).run()
    second = exported(app)
    assert (first.arrays["pre_output"] != second.arrays["pre_output"]).any()
    toy_mixer("mine", "pre", seed=5)
    toy_mixer("only-mine", "attention")
    toy_mixer("larger", "post", embed_dim=16)  # does not compare with the others
    app.run()
    assert [bool(column.get("missing")) for column in given[-1]["columns"]] == [False, False, True, False, True, True]
    app.selectbox(key="mixer_pre").set_value("run:mine").run()
    assert given[-1]["columns"][3]["note"] == find_model("run:mine").title
    third = exported(app)
    assert third.facts["mixers"] == {"convolution": "mixer_conv", "attention": "run:only-mine", "pre": "run:mine"}
    assert (third.arrays["pre_output"] != second.arrays["pre_output"]).any()
    run_recipe(second.recipe, capsys)
    with np.load("operators.npz") as made:
        np.testing.assert_allclose(made["pre_output"], second.arrays["pre_output"], atol=1e-6)


INVENTED = {
    # Not a measurement: numbers that no network could have.
    "date": "1900-01-01",
    "command": "invented for tests/pages/test_operators_page.py",
    "machine": {"device": "no machine"},
    "operators": {
        name: {
            "accuracy": {"mean": mean, "std": None, "interval_95": interval},
            "split": "test",
            "seeds": [
                {"run": "none", "seed": 0, "test_accuracy": mean, "test_interval_95": [0.1, 0.3], "test_count": 7}
            ],
            "parameters": 11,
            "multiply_adds": {"products": 100, "number_by_number": 23},
            "images_per_second": {"batch": 3, "forward": 5.0, "forward_and_backward": 1.0},
            "receptive_field": [{"theoretical_share": 1.0, "area_holding_half": 0.1, "area_holding_90_percent": 0.25}],
        }
        for name, mean, interval in (("attention", 0.2, None), ("pre", 0.9, [0.8, 1.0]))
    },
}


def test_the_measured_table_is_shown_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_mixer_results(tmp_path / "none.json") is None
    monkeypatch.setattr(panels, "RESULTS", tmp_path / "mixers.json")
    app = open_page("operators", size="8")
    assert "not measured in this checkout yet" in text_of(app)
    (tmp_path / "mixers.json").write_text(json.dumps(INVENTED), encoding="utf-8")
    app = open_page("operators", size="8")
    assert not app.error
    table = app.dataframe[0].value
    assert list(table["operator"]) == ["Self-attention", "Pre-normalisation combination"]
    assert list(table["multiply-adds"]) == [123, 123]
    assert (table["95 % from"][0], table["95 % from"][1]) == (0.1, 0.8)  # of its images; of its seeds
    words = text_of(app)
    assert "Pre-normalisation combination is ahead with 90.0%, Self-attention last with 20.0%" in words
    assert "their intervals do not overlap" in words
    assert "invented for tests" in words


@pytest.mark.parametrize(
    "damaged",
    ["[]", "{", '{"operators": {"sorcery": {}}}', '{"operators": []}', '{"operators": {"pre": {"seeds": []}}}'],
)
def test_a_damaged_table_costs_a_sentence(damaged: str, tmp_path: Path) -> None:
    path = tmp_path / "mixers.json"
    path.write_text(damaged, encoding="utf-8")
    with pytest.raises(CoreError, match=r"mixers.json is not what benchmarks/mixers.py writes"):
        read_mixer_results(path)


def test_overlapping_intervals_are_called_so(tmp_path: Path) -> None:
    close = json.loads(json.dumps(INVENTED))
    close["operators"]["pre"]["accuracy"] = {"mean": 0.25, "std": 0.1, "interval_95": [0.15, 0.35]}
    path = tmp_path / "mixers.json"
    path.write_text(json.dumps(close), encoding="utf-8")
    results = read_mixer_results(path)
    assert results is not None
    assert mixers_sentence(results).endswith("their intervals overlap.")


def test_equations_say_the_choices() -> None:
    def layer(name: str, **changes: Any) -> OperatorLayer:
        return random_layers(np.zeros((3, 3, 3), np.float32), OperatorSettings(**changes))[name]  # type: ignore[index]

    for name in OPERATORS:
        for words in (equation(layer(name)), formula(layer(name))):
            assert words.count("<span") == words.count("</span>")
        assert story(layer(name)).endswith(".")
    assert "softmax<sub>j∈L(i)</sub>" in formula(layer("attention_modulated_convolution"))
    assert "softmax<sub>j</sub>" in formula(layer("attention_modulated_convolution", window="whole"))
    plain = equation(layer("convolution_modulated_attention"))
    assert "softmax" not in plain
    choices = {"modulation": "softmax_rescaled", "axis": "channels", "activation": "gelu"}
    spelled = equation(layer("convolution_modulated_attention", **choices))
    assert "C·" in spelled
    assert "softmax<sub>channels</sub>" in spelled
    assert "gelu" in spelled
    assert "L(i)" in equation(layer("pre", outside="excluded"))
