"""Every bundled model says how it was made, and what is in `checkpoints/` was made that way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.configs import differences, parse_overrides
from core.errors import CoreError, UnknownNameError
from core.experiments.bundled import BUNDLED_RUNS, BundledRun, bundled_run, find_bundled, install, record_evaluation
from core.experiments.catalogue import find_recipe
from core.models.catalogue import MODELS
from core.paths import BUNDLED
from core.runs.store import RunFolder, RunSpec, create_run


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


@pytest.mark.parametrize("row", BUNDLED_RUNS, ids=lambda row: row.name)
def test_rows_are_settings_that_their_recipe_knows(row: BundledRun) -> None:
    config: object = parse_overrides(find_recipe(row.recipe).config, list(row.overrides))
    run = bundled_run(row.name)
    assert run.read_spec().overrides == tuple(differences(config))
    assert bundled_run(row.name).path == run.path  # called again it is resumed


@pytest.mark.parametrize("row", BUNDLED_RUNS, ids=lambda row: row.name)
def test_what_is_bundled_was_trained_as_its_row_says(row: BundledRun) -> None:
    file = BUNDLED / row.name / "card.json"
    if not file.is_file():
        pytest.skip(f"{row.name} is not trained yet")
    card = json.loads(file.read_text(encoding="utf-8"))
    config = parse_overrides(find_recipe(row.recipe).config, list(row.overrides))
    assert card["config"] == json.loads(json.dumps(vars(config.model)))
    trained = json.loads(card["recipe"])
    # "auto" comes to what the machine that trained was faster with.
    measured = {"precision": trained["precision"]} if config.training.precision == "auto" else {}
    settings = {**vars(config.training), **measured}
    assert {key: value for key, value in settings.items() if key in trained} == trained
    assert len(card["history"]) == config.training.epochs
    assert row.name in MODELS


def test_bundled_models_are_small_together() -> None:
    names = [row.name for row in BUNDLED_RUNS]
    sizes = [file.stat().st_size for name in names for file in (BUNDLED / name).rglob("*") if file.is_file()]
    assert sum(sizes) <= 48e6


def test_other_settings_do_not_continue_a_run() -> None:
    bundled_run("vit_p4")
    with pytest.raises(CoreError, match="other settings"):
        bundled_run("vit_p4", ("training.epochs=50",))


def test_an_unfinished_run_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="no finished model"):
        install(bundled_run("vit_p4"), tmp_path / "checkpoints")


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="vit_p4"):
        find_bundled("vit_p44")


def _classified(root: Path, **result: object) -> RunFolder:
    """A run that classified the bundled pipeline, whose card lies in `root`."""
    (root / "diffusion_small").mkdir(parents=True)
    (root / "diffusion_small" / "card.json").write_text(
        json.dumps({"title": "t", "metrics": {"seed": 0}}), encoding="utf-8"
    )
    run = create_run(
        "classified", RunSpec(recipe="diffusion_zero_shot", config={"model": "diffusion_small"}, overrides=())
    )
    other = {
        "model": "cnn_small",
        "accuracy": 0.9,
        "low": 0.8,
        "high": 0.95,
        "only_race": 1,
        "only_other": 9,
    }  # as once written
    found = {
        "split": "test",
        "test": {"accuracy": 0.6, "low": 0.55, "high": 0.64, "correct": 300, "count": 500},
        "plan": {"draws": 200},
        "plan_words": "200 draws",
        "seed": 3,
        "calls": {"mean": 321.5},
        "others": [{**other, "p_value": 0.02, "title": "CNN"}],
    }
    (run.path / "result.json").write_text(json.dumps({**found, **result}), encoding="utf-8")
    return run


def test_what_classifications_measured_is_written_on_the_card(tmp_path: Path) -> None:
    run = _classified(tmp_path / "checkpoints")
    card = json.loads(record_evaluation(run, tmp_path / "checkpoints").read_text(encoding="utf-8"))
    assert card["title"] == "t"
    measured = card["metrics"]
    assert (measured["seed"], measured["test_accuracy"], measured["test_count"]) == (0, 0.6, 500)
    assert measured["test_interval_95"] == [0.55, 0.64]
    assert (measured["test_plan"], measured["test_seed"]) == ({"draws": 200}, 3)
    assert "--name classified" in measured["test_command"]
    assert measured["test_compared"][0]["p_value"] == 0.02


def test_a_card_reports_test_images_of_a_finished_run_of_its_own_model(tmp_path: Path) -> None:
    run = _classified(tmp_path / "checkpoints", split="val")
    with pytest.raises(CoreError, match="is of val images"):
        record_evaluation(run, tmp_path / "checkpoints")
    (run.path / "result.json").unlink()
    with pytest.raises(CoreError, match="no result"):
        record_evaluation(run, tmp_path / "checkpoints")
    with pytest.raises(CoreError, match="did not evaluate"):
        record_evaluation(run, tmp_path / "elsewhere")
