"""The Diffusion page: a classification and its settings, stopped, gone on with, shared by two sessions, odd cases."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.data.examples import load_example
from core.data.images import image_digest
from core.errors import CoreError
from core.methods.diffusion.diffusion_classifier import Classification, replay
from core.methods.diffusion.sampling_plan import Plan
from pages.diffusion import diffusion_classifier as classifications
from pages.diffusion.classification_words import classification_sentence
from pages.diffusion.denoising_pictures import shown_prompts
from pages.diffusion.diffusion_classifier import ClassificationRequest, known_classification, run_classification
from pages.shared.recipes import filled_recipe
from tests.diffusion_toy import save_tiny_pipeline
from tests.pages.exports import run_recipe
from tests.pages.harness import open_page, text_of

QUICK = {"samples": "24", "least_samples": "8"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"folder:{save_tiny_pipeline(tmp_path_factory.mktemp('diffusion') / 'tiny')}"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


def diffusion(model: str, **query: str) -> AppTest:
    return open_page("diffusion", model=model, **{**QUICK, **query})


def headline(app: AppTest) -> str:
    return next(each.value for each in app.markdown if each.value.startswith("####"))


def ask(model: str, *labels: str, **settings: object) -> ClassificationRequest:
    picture = load_example("cat")
    return ClassificationRequest(model, image_digest(picture), labels, "a photo of a {}.", Plan(**settings))  # type: ignore[arg-type]


def test_the_classification_is_run_and_told_in_words_and_figures(model: str) -> None:
    app = diffusion(model, diffusion_labels="ship, horse, deer", pruning="None")
    assert not app.error
    assert "72 calls" in headline(app)  # 24 samples of 3 prompts
    table = app.dataframe[0].value
    assert sorted(table["label"]) == ["deer", "horse", "ship"]
    first, second = table["label"].iloc[:2]
    assert re.search(rf"\b{first}( wins)?, then {second} ", headline(app))
    assert set(table["samples"]) == {24}
    assert table["above leader, %"].iloc[0] == 0
    assert "CLIP, %" in table
    assert "would win" in text_of(app)
    assert "simulated" not in text_of(app)  # nothing is pruned, so nothing is pruned wrongly


def test_pruning_is_shown_with_what_it_risks(model: str) -> None:
    app = diffusion(model, diffusion_labels="ship, horse, deer", pruning="t-test", threshold="1.0")
    assert "instead of 72" in headline(app)
    assert "simulated classifications" in text_of(app)
    left = app.dataframe[0].value.dropna(subset="p")
    assert (left["p"] < 1).all()
    assert len(left) == 2


def test_the_objective_changes_what_is_classified(model: str) -> None:
    app = diffusion(model, diffusion_labels="ship, horse")
    assert "by reconstruction" in app.dataframe[0].value
    app.segmented_control(key="objective").set_value("reconstruction").run()
    assert not app.exception
    assert "by noise" in app.dataframe[0].value


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"diffusion_labels": " , ,"}, "There are no labels."),
        ({"diffusion_labels": "cat", "diffusion_template": "a photo"}, "{}"),
        ({"diffusion_labels": "cat, dog", "diffusion_template": ""}, "{}"),
        ({"diffusion_labels": "cat, dog", "pruning": "Stages", "stage_samples": "ten"}, "whole numbers"),
        ({"diffusion_labels": "cat, dog", "pruning": "Stages", "stage_samples": "50, 20"}, "Stages must grow"),
    ],
)
def test_bad_questions_get_a_sentence(model: str, query: dict[str, str], sentence: str) -> None:
    app = diffusion(model, **query)
    assert any(sentence in error.value for error in app.error)


def test_a_single_draw_has_no_interval(model: str) -> None:
    app = diffusion(model, diffusion_labels="cat, dog", samples="1", pruning="None")
    assert "Too close to call" in headline(app)
    assert "a single sample" in headline(app)
    assert "inf" not in headline(app)


@pytest.mark.parametrize(("ahead", "words"), [(0.5, "cat wins, then dog (+50 %"), (0.0, "Too close to call: ")])
def test_only_a_sure_winner_wins(ahead: float, words: str) -> None:
    samples = 40
    error = 0.5 + 0.01 * np.random.default_rng(0).random((samples, 2), dtype=np.float32)
    error[:, 1] *= 1 + ahead
    plan = Plan(samples=samples, pruning="none")
    classification = replay(error, error, np.arange(samples), plan, 1000)
    assert classification_sentence(classification, ask("any", "cat", "dog", samples=samples)).startswith(words)
    begun = classification_sentence(replace(classification, finished=False), ask("any", "cat", "dog"))
    assert begun.startswith(words.replace("wins", "leads").replace("call:", "call yet:"))


def test_one_label_has_nothing_to_classification_against(model: str) -> None:
    app = diffusion(model, diffusion_labels="cat")
    assert not app.error
    assert "the only label" in headline(app)
    app.segmented_control(key="denoising_view").set_value("where").run()
    assert not app.exception
    assert "nothing to compare" in text_of(app)


@pytest.mark.slow
def test_a_thousand_labels_are_classified(model: str) -> None:
    labels = ", ".join(f"thing {number}" for number in range(1000))
    app = diffusion(model, diffusion_labels=labels, samples="8", least_samples="4", threshold="0.5")
    assert not app.error
    assert len(app.dataframe[0].value) == 1000


def test_pictures_of_every_kind(model: str) -> None:
    app = diffusion(model, diffusion_labels="ship, horse, deer, frog")
    app.slider(key="noise").set_value(80).run()
    assert not app.exception
    app.selectbox(key="also_show").select_index(0).run()
    assert not app.exception
    for view, words in {"where": "Red: the noise is predicted better", "photo": "sees it at 16 pixels"}.items():
        app.segmented_control(key="denoising_view").set_value(view).run()
        assert not app.exception
        assert words in text_of(app)


@pytest.mark.slow
def test_a_model_that_does_not_draw_is_replaced_by_one_that_does(model: str) -> None:
    app = diffusion("vit_p4")
    assert not app.exception


def test_a_classification_that_was_stopped_goes_on_and_ends_like_one_that_was_not(model: str) -> None:
    picture = load_example("cat")
    question = ask(model, "ship", "horse", "deer", samples=40, pruning="none", seed=1)
    looks = run_classification(question, picture)
    for _ in range(3):
        stopped = next(looks)
    looks.close()
    assert known_classification(question) is not None
    assert not stopped.finished
    *_, ended = run_classification(question, picture)
    assert ended.finished
    assert ended.calls == 120
    classifications._classifications().found.clear()
    *_, again = run_classification(question, picture)
    np.testing.assert_array_equal(again.noise_error, ended.noise_error)


def test_two_sessions_with_the_same_question_share_one_classification(model: str) -> None:
    picture = load_example("cat")
    question = ask(model, "ship", "horse", samples=60, pruning="none", seed=2)
    ends: list[Classification] = []

    def visit() -> None:
        *_, ended = run_classification(question, picture)
        ends.append(ended)

    sessions = [threading.Thread(target=visit) for _ in range(3)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join(timeout=600)
    assert len(ends) == 3
    assert {id(classification.noise_error) for classification in ends} == {id(ends[0].noise_error)}
    assert ends[0].calls == 120


def test_a_classification_that_failed_is_free_for_the_next_one(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = load_example("cat")
    question = ask(model, "ship", "horse", samples=20, pruning="none", seed=3)

    def broken(*_: object, **__: object) -> None:
        raise CoreError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(classifications, "classify", broken)
        with pytest.raises(CoreError):
            list(run_classification(question, picture))
    *_, ended = run_classification(question, picture)
    assert ended.finished


def test_the_recipe_runs(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = filled_recipe(
        "diffusion",
        model=model,
        image="example:cat",
        labels=["ship", "horse"],
        template="a photo of a {}.",
        plan={"samples": 12, "pruning": "none"},
    )
    assert "24 calls" in run_recipe(recipe, capsys)


def test_the_chosen_prompt_takes_the_last_place() -> None:
    labels = ("ship", "horse", "deer", "frog")
    assert shown_prompts(labels, (2, 0, 3, 1), "") == [2, 0, 3]
    assert shown_prompts(labels, (2, 0, 3, 1), "horse") == [2, 0, 1]
    assert shown_prompts(labels, (2, 0, 3, 1), "ship") == [2, 0, 3]
    assert shown_prompts(labels, (0,), "no such label") == [0]
