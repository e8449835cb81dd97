"""The Train page: every field of every recipe has a widget, what is wrong is a sentence, a click starts a real run."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import pytest
from streamlit.testing.v1 import AppTest

from core.configs import check_options, option, parse_overrides
from core.errors import ConfigError, CoreError
from core.experiments.estimate import Estimate, Probe, estimate
from core.figures.augmentations import plot_augmentations
from core.launch.recipes import RECIPES
from core.paths import CHECKOUT
from core.precision_choice import Chosen
from core.runs.status import TERMINAL, read_state
from core.runs.store import find_run, list_runs
from core.training.augmentation_results import read_augmentations
from pages.shared.recipes import filled_recipe
from pages.train.panels import augmentation_words, difference
from tests.pages.harness import open_page, text_of, while_clicked_again
from tests.toy import save_toy

TINY = [
    "dataset=toy",
    "model.image_size=8",
    "model.classes=2",
    "model.embed_dim=16",
    "model.depth=1",
    "model.num_heads=2",
    "training.epochs=2",
    "training.batch_size=16",
]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


@pytest.fixture
def toy(tmp_path: Path) -> None:
    save_toy({"train": 80, "test": 20}, root=tmp_path / "data")


def open_train(*overrides: str, recipe: str = "vit_scratch") -> AppTest:
    return open_page("train", recipe=recipe, set=list(overrides))  # type: ignore[arg-type]


def form_key(app: AppTest, name: str) -> Any:
    """The widget of a field, whatever the form is called."""
    return next(
        widget
        for widget in [*app.number_input, *app.selectbox, *app.toggle, *app.text_input, *app.get("button_group")]
        if str(widget.key).startswith("train-") and str(widget.key).endswith(name)
    )


def leaves(config_class: Any, prefix: str = "") -> list[str]:
    found = []
    for field in dataclasses.fields(config_class):
        value = getattr(config_class(), field.name)
        if dataclasses.is_dataclass(value):
            found += leaves(type(value), f"{prefix}{field.name}-")
        else:
            found.append(f"{prefix}{field.name}")
    return found


def form_script(recipe: str) -> None:
    """What AppTest runs: the form of one recipe, and the config that it makes."""
    import streamlit as st

    from core.launch.recipes import RECIPES
    from pages.shared.forms import config_form

    st.session_state["made"] = config_form(RECIPES[recipe].config, "form")


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_field_of_every_recipe_has_a_widget_and_the_form_starts_with_the_defaults(recipe: str) -> None:
    app = AppTest.from_function(form_script, args=(recipe,), default_timeout=600).run()
    assert not app.exception
    assert not app.error
    assert app.session_state["made"] == RECIPES[recipe].config()
    fields = leaves(RECIPES[recipe].config)
    drawn = [f"form-{name}" in app.session_state or f"form-{name}-given" in app.session_state for name in fields]
    # Where there is one family, there is nothing to choose.
    missing = [name for name, has_widget in zip(fields, drawn, strict=True) if not has_widget]
    assert missing == (["family"] if recipe in ("cnn_scratch", "mixer_scratch", "vae") else [])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Odd:
    """A config with every kind of field that a form must know."""

    count: int = option(3, "Count", minimum=1, maximum=5)
    share: float = option(0.25, "Share", "Of all.", minimum=0, maximum=1)
    either: Literal["left", "right"] = option("left", "Either")
    many: Literal["a long first choice", "a long second choice", "a long third choice"] = option(
        "a long first choice", "Many"
    )
    on: bool = option(False, "On")
    limit: int | None = option(None, "Limit", minimum=2)
    lines: tuple[str, ...] = option(("one", "two"), "Lines")
    numbers: tuple[int, ...] = option((1, 2), "Numbers")
    name: str = option("x", "Name")

    def __post_init__(self) -> None:
        check_options(self)
        if self.count == 4:
            raise ConfigError("Four is unlucky.", "Choose another count.")
        if not all(isinstance(number, int) for number in self.numbers):
            raise ConfigError(f"numbers is {self.numbers}; expected whole numbers.")


def odd_script() -> None:
    import streamlit as st

    from pages.shared.forms import config_form
    from tests.pages.test_train_page import Odd

    st.session_state["made"] = config_form(Odd, "odd", Odd(share=0.5))


def test_every_kind_of_field_comes_back_from_its_widget() -> None:
    app = AppTest.from_function(odd_script, default_timeout=600).run()
    assert app.session_state["made"] == Odd(share=0.5)
    app.number_input(key="odd-count").set_value(5)
    app.selectbox(key="odd-many").set_value("a long third choice")
    app.toggle(key="odd-on").set_value(True)
    app.toggle(key="odd-limit-given").set_value(True)
    app.text_area(key="odd-lines").set_value("three\n\n four ")
    app.text_input(key="odd-numbers").set_value("7, 8")
    app.text_input(key="odd-name").set_value(" y ")
    app.run()
    expected = Odd(
        count=5,
        share=0.5,
        many="a long third choice",
        on=True,
        limit=2,
        lines=("three", "four"),
        numbers=(7, 8),
        name="y",
    )
    assert app.session_state["made"] == expected
    assert app.number_input(key="odd-share").help == "Of all."
    assert (app.number_input(key="odd-count").min, app.number_input(key="odd-count").max) == (1, 5)


def test_an_invalid_combination_is_a_sentence_beside_the_form() -> None:
    app = AppTest.from_function(odd_script, default_timeout=600).run()
    app.number_input(key="odd-count").set_value(4).run()
    assert not app.exception
    assert app.session_state["made"] is None
    assert [error.value for error in app.error] == ["Four is unlucky.\n\nChoose another count."]
    app.number_input(key="odd-count").set_value(3)
    app.text_input(key="odd-numbers").set_value("7, many").run()
    assert not app.exception
    assert "numbers holds 'many'; expected int" in app.error[0].value


def test_a_machine_without_data_still_teaches_and_says_how_to_get_it() -> None:
    app = open_page("train")
    text = text_of(app)
    assert "CIFAR-10** is not on this machine" in text
    assert "What a similar training did:** ViT patch 4" in text
    assert any("bundled photos" in caption for image in app.image for caption in image.captions)
    assert app.button(key="run-launch").disabled
    assert any("core data get cifar10" in code.value for code in app.code)


@pytest.mark.usefixtures("toy")
def test_the_form_changes_what_is_shown() -> None:
    app = open_train(*TINY)
    assert "**5** tokens" in text_of(app)
    assert "**5** steps an epoch, 10 in all" in text_of(app)
    form_key(app, "model-patch_size").set_value(2)
    app.run()
    assert "**17** tokens" in text_of(app)
    # A block of code is the heaviest thing on a page: it comes when somebody looks for it.
    assert not app.code
    app.session_state["train_command"] = True
    app.run()
    assert "model.patch_size=2" in next(code.value for code in app.code if "core train" in code.value)
    assert "model.patch_size=2" in app.query_params["set"]


@pytest.mark.usefixtures("toy")
def test_the_precision_is_said_beside_the_button_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VITRINE_PRECISION", raising=False)
    monkeypatch.setattr("pages.shared.launch_panel.known_choice", lambda device: None)
    assert "whichever is faster here" in text_of(open_train(*TINY))
    found = Chosen(precision="fp32", reason="measured on this machine, bf16 takes 12.4 times as long as fp32")
    monkeypatch.setattr("pages.shared.launch_panel.known_choice", lambda device: found)
    assert "Precision fp32" in text_of(open_train(*TINY))
    assert "bf16 takes 12.4 times as long as fp32" in text_of(open_train(*TINY))
    # Who sets it is not told what would have been measured.
    assert "measured on this machine" not in text_of(open_train(*TINY, "training.precision=bf16"))


@pytest.mark.usefixtures("toy")
def test_what_cannot_be_built_cannot_be_launched() -> None:
    app = open_train(*TINY)
    assert not app.button(key="run-launch").disabled
    form_key(app, "model-num_heads").set_value(3)
    app.run()
    assert not app.exception
    assert any("does not split into 3 heads" in error.value for error in app.error)
    assert app.button(key="run-launch").disabled
    form_key(app, "model-patch_size").set_value(3)
    app.run()
    assert any("do not tile" in error.value for error in app.error)
    assert app.button(key="run-launch").disabled
    assert app.button(key="run-estimate").disabled


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"recipe": "nosuch"}, "no recipe named 'nosuch'"),
        ({"recipe": "vit_scratch", "set": "model.depth=999"}, "expected a value between"),
        ({"recipe": "vit_scratch", "set": "model.nonsense=1"}, "nonsense"),
    ],
)
def test_an_address_that_cannot_be_honoured_costs_a_sentence(query: dict[str, str], said: str) -> None:
    app = open_page("train", **query)
    assert any("cannot be used" in warning.value and said in warning.value for warning in app.warning)
    assert not app.exception


@pytest.mark.usefixtures("toy")
def test_a_name_that_no_folder_can_have_costs_a_sentence() -> None:
    app = open_train(*TINY)
    next(each for each in app.text_input if str(each.key).startswith("run-name")).set_value("🐱")
    app.button(key="run-launch").click().run()
    assert any("cannot name a run" in error.value for error in app.error)
    assert not list(list_runs())


@pytest.mark.usefixtures("toy")
@pytest.mark.slow
def test_a_click_starts_one_real_run_even_when_doubled() -> None:
    app = open_train(*TINY)
    app.button(key="run-launch").click().run()
    assert not app.exception
    app.button(key="run-launch").click().run()
    assert [run.name for run in list_runs()] == ["vit-p4-1"]
    run = find_run("vit-p4-1")
    assert "vit-p4-1** is launched" in text_of(app)
    deadline = time.monotonic() + 600
    while read_state(run).status not in TERMINAL and time.monotonic() < deadline:
        time.sleep(0.3)
    assert read_state(run).status == "finished", (read_state(run), run.log.read_text(encoding="utf-8"))
    assert len(run.history()) == 2
    assert run.read_spec().overrides == tuple(text for text in run.read_spec().overrides if text in TINY)


@pytest.mark.usefixtures("toy")
def test_a_second_click_while_the_first_one_launches_says_what_the_first_has_launched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = open_train(*TINY)
    launched: list[str] = []
    submit = while_clicked_again(app, "run-launch", lambda run: launched.append(run.name))
    monkeypatch.setattr("pages.shared.launch_panel.submit", submit)
    app.button(key="run-launch").click().run()
    assert not app.exception
    assert [run.name for run in list_runs()] == launched == ["vit-p4-1"]
    assert "vit-p4-1** is launched" in text_of(app)


@pytest.mark.usefixtures("toy")
def test_the_estimate_runs_real_steps_and_leaves_nothing() -> None:
    config: Any = parse_overrides(RECIPES["vit_scratch"].config, [*TINY, "training.epochs=200"])
    *probes, result = list(estimate(RECIPES["vit_scratch"], config, device="cpu", seconds=0.2))
    assert isinstance(result, Estimate)
    assert all(isinstance(probe, Probe) for probe in probes)
    assert probes[-1].share == 1.0
    assert result.measured_steps >= 5
    assert result.steps == 200 * 5
    assert result.total_seconds == pytest.approx(result.step_seconds * 1000)
    assert result.images_per_second == pytest.approx(16 / result.step_seconds)
    assert not result.finished
    assert "measured just now over" in result.sentence()
    assert not list(list_runs())


@pytest.mark.usefixtures("toy")
def test_a_run_that_is_over_before_the_probe_is_reported_as_measured() -> None:
    config: Any = parse_overrides(RECIPES["vit_scratch"].config, TINY)
    result = list(estimate(RECIPES["vit_scratch"], config, device="cpu", seconds=600))[-1]
    assert isinstance(result, Estimate)
    assert result.finished
    assert result.total_seconds > 0
    assert "to its end" in result.sentence()


@pytest.mark.usefixtures("toy")
@pytest.mark.slow
def test_the_recipe_that_the_page_hands_out_trains(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", filled_recipe("shared", "run", recipe="vit_scratch", name="by-hand", overrides=TINY)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert "epoch 2/2" in done.stdout
    assert read_state(find_run("by-hand")).status == "finished"


def augmentations(folder: Path) -> Path:
    """What the benchmark writes of two regimes and two seeds."""
    seeds = {
        name: [
            {"seed": seed, "val_accuracy": right + seed / 100, "val_interval_95": [right - 0.01, right + 0.01],
             "val_count": 5000, "history": [{"train_accuracy": share, "val_accuracy": share / 2 + seed / 100}
                                            for share in (0.2, 0.4)]}
            for seed in (0, 1)
        ]
        for name, right in {"none": 0.4, "crop_flip": 0.5}.items()
    }  # fmt: skip
    regimes = {
        name: {"summary": "in words", "val_accuracy": {"mean": each[0]["val_accuracy"] + 0.005}, "seeds": each}
        for name, each in seeds.items()
    }
    file = folder / "augmentations.json"
    file.write_text(
        json.dumps(
            {"regimes": regimes, "dataset": "Toy", "train_images": 5000, "epochs": 2, "command": "python -m x",
             "model": {"patch_size": 8, "embed_dim": 96}}
        ),
        encoding="utf-8",
    )  # fmt: skip
    return file


def test_what_augmentations_did_is_read_from_the_benchmark(tmp_path: Path) -> None:
    results = read_augmentations(augmentations(tmp_path))
    assert results is not None
    for each in results.regimes:
        assert each.val_curve == pytest.approx((0.105, 0.205))  # the mean over both seeds
    assert results.best.regime == "crop_flip"
    words = augmentation_words(results)
    assert "crop flip 50.5%, none 40.5% of 5,000 validation images" in words
    assert "2 epochs on 5,000 images of Toy, 2 seeds" in words
    figure = plot_augmentations(results)
    assert [(line.name, line.showlegend) for line in figure.data] == [
        ("none", False), ("none", True), ("crop flip", False), ("crop flip", True),
    ]  # fmt: skip
    assert list(figure.data[3].y) == pytest.approx([0.105, 0.205])
    assert read_augmentations(tmp_path / "none.json") is None
    (tmp_path / "bad.json").write_text('{"regimes": {"none": {}}}', encoding="utf-8")
    with pytest.raises(CoreError, match=r"benchmarks\.augmentations"):
        read_augmentations(tmp_path / "bad.json")


def test_transfer_shows_the_shapes_of_its_features() -> None:
    app = open_page("train", recipe="transfer", set="backbone=resnet152")
    app.session_state["features"] = True
    app.run()
    assert not app.exception
    table = next(each.value for each in app.dataframe if "shape" in each.value)
    assert list(table["shape"]) == ["64×256×56×56", "64×512×28×28", "64×2048×7×7"]
    assert list(table["pooled"]) == ["64×256", "64×512", "64×2048"]


def test_settings_side_by_side_are_as_short_as_they_still_differ() -> None:
    assert difference(0.002, 0.0015470179813170451) == "0.002 (yours 0.00155)"
    assert difference(0.0015471, 0.0015472) == "0.0015471 (yours 0.0015472)"
    assert difference("none", 12) == "none (yours 12)"
