"""Every bundled model says how it was made, and what is in `checkpoints/` was made that way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.configs import differences, parse_overrides
from core.errors import CoreError, UnknownNameError
from core.experiments.bundled import BUNDLED_RUNS, BundledRun, bundled_run, find_bundled, install
from core.experiments.catalogue import find_recipe
from core.models.catalogue import MODELS
from core.paths import BUNDLED


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
    card = json.loads(file.read_text())
    config = parse_overrides(find_recipe(row.recipe).config, list(row.overrides))
    assert card["config"] == json.loads(json.dumps(vars(config.model)))
    trained = json.loads(card["recipe"])
    assert {key: value for key, value in vars(config.training).items() if key in trained} == trained
    assert len(card["history"]) == config.training.epochs
    assert row.name in MODELS


def test_bundled_models_are_small_together() -> None:
    names = [row.name for row in BUNDLED_RUNS]
    sizes = [file.stat().st_size for name in names for file in (BUNDLED / name).glob("*.safetensors")]
    assert sum(sizes) <= 24 * 2**20


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
