"""The Diffusion page's whole data set: launched once, shown with its comparisons, and every odd case a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.experiments import diffusion_zero_shot
from core.experiments.evaluation import RESULT
from core.launch.execute import execute
from core.methods.diffusion.sampling_plan import Plan
from core.runs.store import RunSpec, create_run, find_run, list_runs
from pages.diffusion.evaluation import EVALUATION
from pages.diffusion.pace import Pace, cost_sentence, earlier_pace
from pages.shared.recipes import filled_recipe
from tests.clip_toy import save_tiny_clip
from tests.diffusion_toy import save_tiny_pipeline
from tests.pages.harness import open_page, text_of, while_clicked_again
from tests.toy import save_toy

QUICK = Plan(pruning="t_test", samples=8, least_samples=4, look_every=2, threshold=0.3)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "pipeline": f"folder:{save_tiny_pipeline(folder / 'tiny')}",
        "clip": f"folder:{save_tiny_clip(folder / 'clip')}",
    }


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


def page(models: dict[str, str], **query: str) -> AppTest:
    return open_page("diffusion", model=models["pipeline"], diffusion_view="Whole data set", **query)


def evaluate(models: dict[str, str], name: str = "toys", **settings: Any) -> None:
    config = diffusion_zero_shot.Config(
        model=models["pipeline"], dataset="toy", images=5, plan=QUICK, batch_size=16,
        **{"compare_with": (models["clip"],), **settings},
    )  # fmt: skip
    for _ in execute(create_run(name, RunSpec.of("diffusion_zero_shot", config, device="cpu"))):
        pass


def test_a_result_is_shown_with_its_comparisons_its_price_and_its_errors(models: dict[str, str]) -> None:
    save_toy()
    evaluate(models, full_grid=True)
    evaluate(models, "again", labels=("cat", "dog"), compare_with=())
    app = page(models, diffusion_evaluation="toys")
    assert not app.error
    said = text_of(app)
    found = EVALUATION.runs.read(find_run("toys"))
    assert f"#### {found.accuracy.sentence()}" in said
    assert "exact McNemar test" in said
    assert "By the reconstruction error, without any further call" in said
    assert "What pruning saves" in said
    assert "16" in said  # calls of the full grid
    table = EVALUATION.table(found)
    assert len(table) == 5
    assert (table["label"] == table["said"]).mean() == found.accuracy.value
    app.selectbox(key="diffusion_evaluation_choice").select_index(0).run()
    assert not app.exception
    assert not app.warning
    assert "What pruning saves" not in text_of(app)
    assert "McNemar" not in text_of(app)
    assert (EVALUATION.runs.read(find_run("again")).predicted != found.labels).any(), "or there is no error to show"
    assert any("calls" in each.value and "→" in each.value for each in app.caption)


def test_launching_makes_a_run_once_with_the_plan_of_the_page(
    models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_toy()
    submitted: list[Any] = []
    monkeypatch.setattr("pages.shared.evaluation.runs.submit", submitted.append)
    app = page(models, samples="12")
    assert "Nothing has been evaluated" in text_of(app)
    # 20 images, 2 prompts, 12 samples; the tiny network is timed without being asked.
    assert "20 images, at most 480 calls of the network: at most" in text_of(app)
    app.toggle(key="diffusion_evaluation_full_grid").set_value(True).run()
    assert "20 images, 480 calls of the network: about" in text_of(app)
    app.button(key="evaluate").click().run()
    app.button(key="evaluate").click().run()  # a double click
    assert not app.exception
    (run,) = list_runs()
    assert [each.name for each in submitted] == [run.name]
    spec = run.read_spec()
    assert (spec.recipe, spec.config["dataset"], spec.config["full_grid"]) == ("diffusion_zero_shot", "toy", True)
    assert spec.config["plan"]["samples"] == 12
    # The bundled CNN knows ten other classes; the CLIP can be asked for any.
    assert spec.config["compare_with"] == ["clip_small"]


def test_a_second_click_while_the_first_one_launches_evaluates_once(
    models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_toy()
    app = page(models)
    submitted: list[str] = []
    submit = while_clicked_again(app, "evaluate", lambda run: submitted.append(run.name))
    monkeypatch.setattr("pages.shared.evaluation.runs.submit", submit)
    app.button(key="evaluate").click().run()
    assert not app.exception
    (run,) = list_runs()
    assert submitted == [run.name]
    assert app.session_state[EVALUATION.runs.key] == run.name


def test_impossible_evaluations_are_sentences(models: dict[str, str]) -> None:
    app = page(models)
    assert any("No data set is on this machine" in each.value for each in app.info)
    save_toy()
    app.run()
    app.text_area(key="diffusion_evaluation_labels_toy").set_value("only one").run()
    assert any("2 classes, but 1 labels" in error.value for error in app.error)
    assert app.button(key="evaluate").disabled
    app.text_area(key="diffusion_evaluation_labels_toy").set_value("a\nb").run()
    app.multiselect(key="diffusion_evaluation_splits_toy").set_value([]).run()
    assert any("No split is chosen" in error.value for error in app.error)
    app.multiselect(key="diffusion_evaluation_splits_toy").set_value(["test"]).run()
    app.text_input(key=f"diffusion_evaluation_template_{models['pipeline']}").set_value("a photo").run()
    assert any("no place for the label" in error.value for error in app.error)
    assert not app.exception


def test_damaged_results_and_gone_data_are_sentences(models: dict[str, str]) -> None:
    save_toy()
    evaluate(models)
    found = EVALUATION.runs.read(find_run("toys"))
    app = page(models, diffusion_evaluation="gone")
    assert any("no result named “gone”" in each.value for each in app.warning)
    assert (found.predicted != found.labels).any(), "or there is no error to show"
    save_toy({"train": 4, "test": 1})
    app.run()
    assert not app.exception
    assert any("other images than when it was evaluated" in each.value for each in app.error)
    (find_run("toys").path / RESULT).write_text('{"model": 3}', encoding="utf-8")
    app = page(models)
    assert any("cannot be read" in each.value for each in app.error)
    assert not app.exception


def test_costs_are_what_is_known_and_no_more() -> None:
    probed = Pace(call_seconds=0.01, source="5 passes of 8, just now")
    assert cost_sentence(100, 200_000, probed, pruned=False).startswith(
        "100 images, 200,000 calls of the network: about 33 min (10 ms a call, 5 passes of 8, just now)"
    )
    assert "at most 33 min" in cost_sentence(100, 200_000, probed, pruned=True)
    earlier = Pace(call_seconds=0.01, source="as in classifications", calls=500.0, full_grid=2000.0)
    assert "If pruning leaves 25% of them, as it did there: about 8 min" in cost_sentence(
        100, 200_000, earlier, pruned=True
    )


def test_what_an_earlier_run_saved_counts_for_its_own_plan_alone(models: dict[str, str]) -> None:
    save_toy()
    evaluate(models, compare_with=())
    run = find_run("toys")
    found = EVALUATION.runs.read(run)
    same = earlier_pace(models["pipeline"], QUICK, [found])
    assert same is not None
    assert (same.calls, same.full_grid) == (found.columns["calls"].mean(), 16)
    other = earlier_pace(models["pipeline"], Plan(), [found])
    assert other is not None
    assert (other.calls, other.call_seconds) == (None, same.call_seconds)
    assert earlier_pace("another", QUICK, [found]) is None


def test_the_exported_recipe_gives_the_same_answers(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    save_toy()
    evaluate(models, compare_with=())
    run = find_run("toys")
    overrides = list(run.read_spec().overrides)
    code = filled_recipe("shared", "run", recipe="diffusion_zero_shot", name="mine", overrides=overrides)
    exec(compile(code, "recipe.py", "exec"), {"__name__": "__main__"})
    assert "'accuracy'" in capsys.readouterr().out
    one, other = (EVALUATION.runs.read(find_run(name)) for name in ("toys", "mine"))
    np.testing.assert_array_equal(one.columns["calls"], other.columns["calls"])
    np.testing.assert_array_equal(one.predicted, other.predicted)
