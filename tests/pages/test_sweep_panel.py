"""The sweeps of the Runs page: an empty machine is told how to begin, a study is shown, its best goes on to Train."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.experiments.catalogue import RECIPES
from core.launch import sweep
from core.launch.execute import execute
from core.paths import CHECKOUT
from core.runs.store import RunSpec, create_run, find_run
from core.runs.studies import bundled_studies, list_studies, read_study
from pages.shared.layout import page_path
from tests.experiments import toy_recipe
from tests.pages.harness import while_clicked_again

SPACE = ("training.learning_rate=log:1e-3..0.5", "model.num_heads=choice:1,2,5")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.setitem(RECIPES, "toy", toy_recipe.TOY)


def open_sweeps(**query: str) -> AppTest:
    app = AppTest.from_file(str(CHECKOUT / "pages" / "navigation.py"), default_timeout=600)
    app.run()
    app.switch_page(page_path("runs"))
    for name, value in {"show": "Sweeps", **query}.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception
    return app


def text_of(app: AppTest) -> str:
    return " ".join(element.value for element in [*app.markdown, *app.caption, *app.info, *app.error, *app.code])


def progress_of(app: AppTest) -> str:
    return " ".join(element.proto.text for element in app.get("progress"))  # type: ignore[union-attr]


def study(name: str, trials: int) -> None:
    config = sweep.Config(recipe="toy", space=SPACE, trials=trials, epochs=3, startup_trials=2, sampler="random")
    list(execute(create_run(name, RunSpec.of("sweep", config, device="cpu"))))


def test_a_machine_without_sweeps_shows_the_one_that_comes_with_vitrine() -> None:
    (name,) = bundled_studies()
    app, summary = open_sweeps(), read_study(name)
    best = summary.best
    assert best is not None
    assert best.value is not None
    shown = text_of(app)
    assert f"is right on **{best.value:.1%}**" in shown
    assert "not on this machine" in shown
    assert "5,000 validation images" in shown
    assert summary.command(best) in shown
    assert len(app.get("plotly_chart")) == 3
    assert not {"run", "minutes"} & set(app.dataframe[0].value)
    assert not [button for button in app.button if button.key == "show_trial_runs"]
    assert list_studies() == [], "looking at it makes nothing"


def test_without_any_study_the_page_says_how_to_begin_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("core.runs.studies.BUNDLED_STUDIES", tmp_path / "none")
    app = open_sweeps()
    assert "No sweep was begun" in text_of(app)
    assert "python -m core sweep" in text_of(app)


def test_a_study_of_this_machine_comes_first_and_hides_the_bundled_one_of_its_name() -> None:
    (bundled,) = bundled_studies()
    study("first", 2)
    assert open_sweeps().selectbox(key="study_choice").options == ["first", f"{bundled} · comes with Vitrine"]
    assert "not on this machine" in text_of(open_sweeps(study=bundled))
    study(bundled, 2)
    assert bundled_studies() == {}
    assert "not on this machine" not in text_of(open_sweeps(study=bundled))


def test_a_study_is_shown_with_its_best_and_its_trials_lead_to_their_runs() -> None:
    study("first", 3)
    study("second", 12)
    app = open_sweeps(study="second")
    summary = read_study("second")
    assert summary.best is not None
    assert summary.best.value is not None
    assert f"is right on **{summary.best.value:.1%}**" in text_of(app)
    assert summary.command(summary.best) in text_of(app)
    assert "12 of 12 trials" in progress_of(app)
    assert len(app.dataframe[0].value) == 12
    for view in ("slices", "epochs", "parallel"):
        app.segmented_control(key="trials_view").set_value(view).run()
        assert not app.exception
    app.selectbox(key="study_choice").set_value("first").run()
    assert "so far there are" in text_of(app)
    app.session_state["trials-first-3"] = {"selection": {"rows": [0], "columns": []}}
    app.run()
    app.button(key="show_trial_runs").click().run()
    assert not app.exception
    best = read_study("first").best
    assert best is not None
    assert app.session_state["runs"] == best.run


def test_the_best_configuration_goes_on_to_train() -> None:
    study("first", 3)
    best = read_study("first").best
    assert best is not None
    app = open_sweeps(study="first")
    app.button(key="train_best").click().run()
    assert not app.exception
    assert app.selectbox(key="recipe").value == "toy"
    assert "show" not in app.query_params
    values = {str(each.key).rpartition("-")[2]: each.value for each in app.number_input}
    assert values["learning_rate"] == pytest.approx(best.params["training.learning_rate"])


def test_an_unknown_study_in_the_address_shows_another() -> None:
    study("first", 2)
    assert open_sweeps(study="gone").selectbox(key="study_choice").value == "first"


def test_a_sweep_begun_on_the_page_is_queued_and_a_bad_line_costs_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    queued: list[str] = []
    monkeypatch.setattr("pages.runs.sweep_panel.submit", lambda folder: queued.append(folder.name))
    app = open_sweeps()
    app.selectbox(key="sweep_recipe").set_value("toy").run()
    app.text_area(key="sweep_space_toy").set_value("training.learning_rate=log:0..1")
    app.button(key="sweep_begin").click().run()
    assert "starts above 0" in text_of(app)
    assert list_studies() == queued == []
    app.text_area(key="sweep_space_toy").set_value("\n".join(SPACE))
    app.number_input(key="sweep_trials").set_value(7)
    app.button(key="sweep_begin").click().run()
    assert not app.exception
    assert list_studies() == queued == ["sweep-1"]
    assert find_run("sweep-1").read_spec().config["trials"] == 7
    assert "0 of 7 trials" in progress_of(app)


def test_a_second_click_while_the_first_one_begins_a_sweep_begins_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_sweeps()
    app.selectbox(key="sweep_recipe").set_value("toy").run()
    app.text_area(key="sweep_space_toy").set_value("\n".join(SPACE)).run()
    queued: list[str] = []
    submit = while_clicked_again(app, "sweep_begin", lambda run: queued.append(run.name))
    monkeypatch.setattr("pages.runs.sweep_panel.submit", submit)
    app.button(key="sweep_begin").click().run()
    assert not app.exception
    assert not app.error
    assert list_studies() == queued == ["sweep-1"]
    assert app.selectbox(key="study_choice").value == "sweep-1"


def test_a_sweep_among_the_runs_leads_to_its_trials() -> None:
    study("first", 2)
    study("second", 3)
    app = open_sweeps(show="Runs", run="first")
    assert not [button for button in app.button if button.label == "Clone"]
    next(button for button in app.button if button.label == "Its trials").click().run()
    assert not app.exception, app.exception
    assert app.segmented_control(key="show").value == "Sweeps"
    assert "2 of 2 trials" in progress_of(app)
