"""The CLIP page: labels of every kind, strategies, the matrix, and a whole data set evaluated in the background."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.experiments import evaluation, zero_shot
from core.launch.execute import execute
from core.runs.status import read_state
from core.runs.store import RunSpec, create_run, find_run, list_runs
from pages.clip import zero_shot_panel
from pages.shared import zero_shot as zero_shot_cache
from pages.shared.recipes import filled_recipe
from tests.clip_toy import save_tiny_clip
from tests.pages.harness import open_page, text_of
from tests.toy import save_toy

MATRIX, DATASET = "Images × texts", "Whole data set"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"folder:{save_tiny_clip(tmp_path_factory.mktemp('clip') / 'tiny')}"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


def clip(model: str, **query: str) -> AppTest:
    return open_page("clip", model=model, **query)


def headline(app: AppTest) -> str:
    return next(each.value for each in app.markdown if each.value.startswith("####"))


def test_labels_and_strategy_are_read_from_the_address_and_change_the_answer(model: str) -> None:
    app = clip(model, labels="ship, horse", strategy="Label only")
    assert not app.error
    assert "ship" in headline(app)
    assert "horse" in headline(app)
    assert app.text_input(key="labels").value == "ship, horse"
    before = headline(app)
    app.text_input(key="labels").set_value("ship, horse, deer, frog").run()
    assert not app.exception
    assert headline(app) != before
    app.pills(key="strategy").set_value("custom").run()
    app.text_area(key="templates").set_value("this is a drawing of the {}").run()
    assert not app.exception
    assert not app.error


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (" , ,", "There are no labels."),
        ("cat, Cat, dog", "counted once"),
        ("猫, собака, cat", "not in Latin letters"),
        (", ".join(f"thing {number}" for number in range(1000)), "up to 60 labels; there are 1,000"),
        (", ".join(f"thing {number}" for number in range(3000)), "at most 2,000"),
        ("cat", "the only label"),
        ("*cat* <b>{}</b> $x$", r"\*cat\* \<b>{}\</b> \$x\$"),
        ("x" * 3000, "longer than 200"),
    ],
    ids=["none", "twice", "scripts", "thousand", "too many", "one", "markup", "long"],
)
def test_any_list_of_labels_is_an_answer_or_a_sentence(model: str, labels: str, sentence: str) -> None:
    app = clip(model)
    app.text_input(key="labels").set_value(labels).run()
    assert not app.exception
    assert sentence in text_of(app)


@pytest.mark.parametrize(
    ("templates", "sentence"),
    [("a photo of a cat", "no place for the label"), ("  ", "There is no template."), ("a {label}", "in place of")],
)
def test_a_template_without_a_place_for_the_label_is_a_sentence(model: str, templates: str, sentence: str) -> None:
    app = clip(model)
    app.pills(key="strategy").set_value("custom").run()
    app.text_area(key="templates").set_value(templates).run()
    assert not app.exception
    assert any(sentence in error.value for error in app.error)


def test_a_pasted_list_becomes_the_labels(model: str) -> None:
    app = clip(model)
    app.text_area(key="labels_long").set_value("1. cat\n2. dog\n\n3. cat, dog\n").run()
    app.button(key="use_list").click().run()
    assert app.text_input(key="labels").value == "cat, dog"
    app.button(key="list_ImageNet, all 1000").click().run()
    assert not app.exception
    assert "Strategies are compared for up to 60 labels; there are" in text_of(app)


def test_what_speaks_for_a_label_is_checked_in_words(model: str) -> None:
    app = clip(model)
    assert any("as many at random" in each.value for each in app.caption)
    app.segmented_control(key="where").set_value("photo").run()
    assert not any("as many at random" in each.value for each in app.caption)


def test_a_convolutional_clip_shows_bars_and_says_what_it_lacks(tmp_path: Path) -> None:
    folder = save_tiny_clip(tmp_path / "rn", vision={"layers": [1, 1, 1, 1], "width": 8, "head_width": 8})
    app = clip(f"folder:{folder}")
    assert not app.error
    assert "not a plain vision transformer" in text_of(app)


def test_a_sigmoid_model_may_say_none_of_these(tmp_path: Path) -> None:
    app = clip(f"folder:{save_tiny_clip(tmp_path / 'sig', sigmoid=True)}")
    assert not app.error
    assert "None of these" in headline(app)


def test_the_matrix_takes_one_image_and_one_text_and_none(model: str) -> None:
    app = clip(model, view=MATRIX, images="example:cat", texts="a cat")
    assert not app.error
    app.segmented_control(key="measure").set_value("images").run()
    assert "With one image every text chooses it" in text_of(app)
    app.segmented_control(key="measure").set_value("texts").run()
    assert "With one text every image is given to it" in text_of(app)
    app.text_area(key="texts").set_value(" \n").run()
    assert any("There are no texts." in error.value for error in app.error)
    app.text_area(key="texts").set_value("\n".join(f"text {number}" for number in range(50))).run()
    assert any("at most 40" in error.value for error in app.error)
    app.text_area(key="texts").set_value("a cat")
    app.multiselect(key="images_chosen").set_value([]).run()
    assert any("There are no images." in error.value for error in app.error)
    assert not app.exception


def evaluate(model: str, name: str = "toys", **settings: Any) -> None:
    config = zero_shot.Config(model=model, dataset="toy", **settings)
    for _ in execute(create_run(name, RunSpec.of("zero_shot", config, device="cpu"))):
        pass


def test_a_finished_evaluation_is_shown_with_interval_and_errors(model: str) -> None:
    save_toy()
    evaluate(model)
    evaluate(model, "again", strategy="plain", labels=("cat", "dog"))
    app = clip(model, view=DATASET, evaluation="toys")
    assert not app.error
    assert "of 20 (95 % interval" in headline(app)
    assert "chosen on the tenth of train" in text_of(app)
    assert any("→" in each.value for each in app.caption)
    app.selectbox(key="evaluation_choice").select_index(0).run()
    assert not app.exception
    assert not app.warning
    assert any("cat" in each.value and "→" in each.value for each in app.caption)


def test_an_address_of_a_result_that_is_gone_costs_a_sentence(model: str) -> None:
    save_toy()
    evaluate(model, strategy="photo")
    app = clip(model, view=DATASET, evaluation="gone")
    assert any("no result named “gone”" in each.value for each in app.warning)
    assert "of 20 (95 % interval" in headline(app)


def test_launching_makes_a_run_once(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    save_toy()
    submitted = []
    monkeypatch.setattr("pages.shared.evaluation.runs.submit", submitted.append)
    app = clip(model, view=DATASET)
    assert "Nothing has been evaluated" in text_of(app)
    app.selectbox(key="evaluation_strategy").set_value("photo").run()
    app.button(key="evaluate").click().run()
    app.button(key="evaluate").click().run()  # a double click
    assert not app.exception
    (run,) = list_runs()
    assert [each.name for each in submitted] == [run.name]
    spec = run.read_spec()
    assert (spec.recipe, spec.config["strategy"], spec.config["dataset"]) == ("zero_shot", "photo", "toy")
    assert spec.config["labels"] == []


def test_impossible_evaluations_are_sentences(model: str) -> None:
    app = clip(model, view=DATASET)
    assert any("No data set is on this machine" in each.value for each in app.info)
    save_toy()
    app.run()
    app.text_area(key="evaluation_labels_toy").set_value("only one").run()
    assert any("2 classes, but 1 labels" in error.value for error in app.error)
    assert app.button(key="evaluate").disabled
    app.text_area(key="evaluation_labels_toy").set_value("a\nb").run()
    app.multiselect(key="evaluation_splits_toy").set_value([]).run()
    assert any("No split is chosen" in error.value for error in app.error)
    app.multiselect(key="evaluation_splits_toy").set_value(["test"]).run()
    app.text_area(key="evaluation_templates").set_value("a photo").run()
    assert any("no place for the label" in error.value for error in app.error)
    assert not app.exception


def test_a_damaged_result_is_a_sentence(model: str) -> None:
    save_toy()
    evaluate(model, strategy="photo")
    (run,) = list_runs()
    (run.path / evaluation.PREDICTIONS).write_bytes(b"nothing")
    app = clip(model, view=DATASET)
    assert any("cannot be read" in error.value for error in app.error)
    assert not app.exception


@pytest.mark.parametrize("view", ["One image", MATRIX, DATASET])
def test_every_view_can_be_exported(model: str, view: str) -> None:
    save_toy()
    evaluate(model, strategy="photo")
    app = clip(model, view=view)
    app.session_state["export"] = True
    app.run()
    assert not app.exception
    assert not app.error


def test_recipes_run(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process: three more interpreters that import PyTorch would take longer than all the rest."""
    save_toy()
    monkeypatch.chdir(tmp_path)

    def printed(recipe: str) -> str:
        exec(compile(recipe, "recipe.py", "exec"), {"__name__": "__main__"})
        return capsys.readouterr().out

    labels = {"labels": ["cat", "it's"], "templates": ["a {}."]}
    assert "it's" in printed(filled_recipe("clip", model=model, image="example:cat", **labels))
    matrix = {"images": ["example:cat", "data:toy/test/0/1"], "texts": ["a cat", "a dog"], "measure": "cosine"}
    assert printed(filled_recipe("clip", "similarity", model=model, **matrix)).count("best:") == 2
    overrides = [f"model={model}", "dataset=toy", "strategy=photo"]
    assert "test_accuracy" in printed(
        filled_recipe("shared", "run", recipe="zero_shot", name="mine", overrides=overrides)
    )
    assert read_state(find_run("mine")).status == "finished"  # a run like any other, not one that never ends


def test_the_label_that_was_clicked_is_the_one_explained(model: str) -> None:
    app = clip(model, labels="ship, horse, deer")
    app.session_state["explained"] = "deer"
    app.run()
    assert not app.exception
    words = next(each.proto.body for each in app.get("html") if "of the strongest word" in each.proto.body)
    assert ">deer<" in words
    app.text_input(key="labels").set_value("ship, horse").run()  # it is gone: the best one again
    words = next(each.proto.body for each in app.get("html") if "of the strongest word" in each.proto.body)
    assert ">deer<" not in words


def test_a_model_has_met_what_its_labels_are_kinds_of(monkeypatch: pytest.MonkeyPatch) -> None:
    from pages.shared import zero_shot as asked

    def met(labels: list[str]) -> frozenset[str]:
        monkeypatch.setattr(asked, "labels_seen", lambda name: {"some": labels} if labels else {})
        asked.words_met.clear()
        return asked.words_met("any")

    cat = met(["Cat", "goldfish", "truck"])
    assert {"cat", "true cat", "feline", "goldfish", "carassius auratus", "truck", "motortruck"} <= cat
    assert not {"espresso", "drink", "dog"} & cat
    assert met(["gizmo"]) == {"gizmo"}
    assert met([]) == frozenset()
    asked.words_met.clear()


def test_a_label_more_reads_its_own_sentences_alone_and_no_photo(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = clip(model, labels="ship, horse")
    read: list[list[str]] = []
    embed_texts = zero_shot_cache.embed_texts

    def noted(module: Any, texts: list[str], **more: Any) -> Any:
        read.append(list(texts))
        return embed_texts(module, texts, **more)

    monkeypatch.setattr(zero_shot_cache, "embed_texts", noted)
    monkeypatch.setattr(zero_shot_cache, "embed_images", lambda *_: pytest.fail("the photo is known"))
    app.text_input(key="labels").set_value("ship, horse, gherkin").run()
    assert not app.exception
    # The sentence that the bars wait for, then those of all strategies at once.
    assert [len(texts) for texts in read] == [1, 10]
    assert all("gherkin" in text for texts in read for text in texts)


def test_map_and_charts_wait_until_no_letter_follows_and_for_nothing_else(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []

    class LetterFollows(Exception):
        """As Streamlit ends the script of a page that is asked for anew."""

    def followed(seconds: float) -> None:
        rests.append(seconds)
        raise LetterFollows

    app = clip(model, labels="ship, horse")
    monkeypatch.setattr(zero_shot_panel, "rest", followed)
    app.segmented_control(key="where").set_value("photo").run()
    assert not app.exception
    assert rests == []  # nor when the page was opened
    app.text_input(key="labels").set_value("ship, horse, ghe").run()
    assert "plotly_chart" not in {each.type for each in app.main}
    monkeypatch.setattr(zero_shot_panel, "rest", rests.append)
    app.text_input(key="labels").set_value("ship, horse, gherkin").run()
    assert not app.exception
    assert rests == [zero_shot_panel.REST_S] * 2
    assert "plotly_chart" in {each.type for each in app.main}
    app.segmented_control(key="where").set_value("map").run()
    assert len(rests) == 2
