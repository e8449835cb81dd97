"""The study that comes with Vitrine: whole, made by the command beside it, and of no machine in particular."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from core.configs import parse_overrides
from core.errors import UnknownNameError
from core.experiments.catalogue import RECIPES
from core.launch.sweep import Config, base_config
from core.paths import BUNDLED_STUDIES
from core.runs.studies import bundled_studies, list_studies, parameter_importance, read_study

NAME = "vit-p8-cifar10"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


def test_every_trial_has_ended_and_the_best_is_one_of_the_finished() -> None:
    summary = read_study(NAME)
    assert summary.done == len(summary.trials) >= 20
    assert not summary.having("failed", "stopped", "running")
    finished = summary.having("finished")
    assert {len(trial.epochs) for trial in finished} == {summary.epochs}
    assert all(len(trial.epochs) < summary.epochs and trial.reason for trial in summary.having("pruned"))
    assert summary.best is not None
    assert summary.best.value == max(trial.value or 0.0 for trial in finished)
    # Shares of the validation images: every score is a whole number of them.
    count = bundled_studies()[NAME].val_count
    for trial in finished:
        assert trial.value is not None
        assert trial.value * count == pytest.approx(round(trial.value * count), abs=1e-3)
    assert sum(parameter_importance(NAME).shares.values()) == pytest.approx(1.0)


def test_the_command_beside_it_is_the_one_that_made_it() -> None:
    summary = read_study(NAME)
    words = shlex.split(bundled_studies()[NAME].command)
    assert words[:5] == ["python", "-m", "core", "sweep", summary.recipe]
    pairs = list(zip(words[5::2], words[6::2], strict=True))
    options = dict(pairs)
    assert options["--name"] == NAME
    base, space = ([value for option, value in pairs if option == each] for each in ("--set", "--space"))
    config = Config(recipe=summary.recipe, base=tuple(base), space=tuple(space), epochs=int(options["--epochs"]))
    assert sorted(base) == sorted(summary.base)
    assert base_config(config)
    assert [line.partition("=")[0] for line in space] == [line.partition("=")[0] for line in summary.space]
    assert (int(options["--epochs"]), int(options["--images"])) == (summary.epochs, summary.max_images)
    assert int(options["--trials"]) == summary.budget


def test_the_best_configuration_is_one_that_can_be_trained() -> None:
    summary = read_study(NAME)
    assert summary.best is not None
    config: Any = parse_overrides(RECIPES[summary.recipe].config, list(summary.overrides(summary.best)))
    assert config.model.embed_dim == summary.best.params["model.embed_dim"]


def test_it_names_no_machine_and_looking_at_it_writes_nothing() -> None:
    before = {path.name: path.stat().st_mtime_ns for path in BUNDLED_STUDIES.iterdir()}
    read_study(NAME)
    assert {path.name: path.stat().st_mtime_ns for path in BUNDLED_STUDIES.iterdir()} == before
    assert list_studies() == []
    text = (BUNDLED_STUDIES / f"{NAME}.journal").read_text(encoding="utf-8")
    assert not any(word in text for word in ("/home", "/tmp", "/work", "\\\\Users"))


def test_an_unknown_study_is_told_of_it() -> None:
    with pytest.raises(UnknownNameError, match=NAME):
        read_study("gone")
