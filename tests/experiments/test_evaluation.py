"""Results on disk: what earlier versions wrote is read under today's names, and what is damaged is a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.configs import from_dict, parse_overrides
from core.errors import CoreError, UnknownNameError
from core.experiments import diffusion_zero_shot
from core.experiments.evaluation import PREDICTIONS, RESULT, read_evaluation
from core.methods.diffusion.sampling_plan import Plan
from core.runs.store import RunFolder, RunSpec, create_run
from pages.clip.evaluation import EVALUATION as CLIP
from pages.diffusion.evaluation import EVALUATION as DIFFUSION
from tests.toy import save_toy

OLD_PLAN = {
    "objective": "noise", "distance": "l2", "decay": 7.0, "spread": "even", "draws": 8, "pruning": "t_test",
    "least_draws": 4, "look_every": 2, "threshold": 0.3, "stage_draws": [50, 200], "stage_keeps": [5, 1], "seed": 0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy({"test": 8, "other": 6})


def written(recipe: str, summary: dict[str, Any], columns: dict[str, Any]) -> RunFolder:
    """A run folder as an earlier version left it."""
    folder = create_run("old", RunSpec(recipe=recipe, config={}, overrides=()))
    every = {"model": "m", "dataset": "toy", "command": "train", "model_title": "M", "dataset_title": "Toy"}
    whole = {**every, "labels": ["dark", "red"], "image_size": 16, **summary}
    (folder.path / RESULT).write_text(json.dumps(whole), encoding="utf-8")
    np.savez(folder.path / PREDICTIONS, **{key: np.array(values) for key, values in columns.items()})
    return folder


def old_clip() -> RunFolder:
    accuracies = {"test_accuracy": 0.5, "test_low": 0.2, "test_high": 0.8}
    compared = {"step": 26, "steps": 28, "val_accuracy": 0.5, "val_low": 0.2, "val_high": 0.8, "val_count": 6}
    return written(
        "zero_shot",
        {
            "strategy": "plain",
            "templates": ["{}"],
            "chosen_on": "other images",
            "compared": [{"strategy": "plain", **compared}, {"strategy": "photo", **compared}],
            "splits": [{"split": split, "test_count": 3, **accuracies} for split in ("other", "test")],
            "test": {"strategy": "plain", "split": "other+test", "test_count": 6, **accuracies},
            "skipped": {},
            "text_seconds": 0.1,
            "image_seconds": 0.2,
        },
        {
            "split": ["other"] * 2 + ["test"] * 4,
            "row": [0, 1, 0, 1, 2, 3],
            "label": [0, 1, 0, 1, 0, 1],
            "predicted": [1, 1, 1, 1, 0, 1],
            "confidence": [0.6, 0.6, 0.7, 0.8, 0.9, 0.5],
            "true_confidence": [0.4, 0.6, 0.3, 0.8, 0.9, 0.5],
        },
    )  # fmt: skip


def old_diffusion() -> RunFolder:
    right = {"accuracy": 2 / 3, "low": 0.2, "high": 0.9, "correct": 2, "count": 3}
    compared = {"both": 1, "only_race": 1, "only_other": 0, "neither": 1, "p_value": 1.0, "difference": [0.3, -1, 1]}
    return written(
        "diffusion_zero_shot",
        {
            "template": "a photo of a {}.",
            "split": "test",
            "plan": OLD_PLAN,
            "plan_words": "t-test, p < 0.3",
            "full_grid": False,
            "batch_size": 16,
            "precision": "fp32",
            "device": "cpu",
            "threads": 1,
            "test": right,
            "calls": {"mean": 4.0, "quantile_0.1": 4, "quantile_0.9": 4, "saved": 1.0, "full_grid": 4},
            "image_seconds": {"mean": 0.1},
            "call_seconds": 0.01,
            "other_objective": {"objective": "reconstruction", **right, "same_answer": right},
            "others": [{"model": "clip", "title": "CLIP", **right, **compared}],
        },
        {
            "split": ["test"] * 3,
            "row": [2, 4, 3],
            "label": [0, 0, 1],
            "predicted": [0, 1, 1],
            "other_objective": [0, 1, 0],
            "calls": [2, 4, 4],
            "seconds": [0.1, 0.2, 0.3],
            "seed": [1, 2, 3],
            "leader": [[0, 0], [1, 1], [0, 1]],
            "calls_by_draw": [[2, 2], [2, 4], [2, 4]],
            "compared": [[0, 0, 0]],
        },
    )


def test_an_old_result_of_clip_is_shown_split_by_split() -> None:
    found = read_evaluation(old_clip())
    assert found.summary["split"] == "other+test"
    assert found.accuracy.correct == 4
    assert {split: (right.correct, right.count) for split, right in found.split_accuracies.items()} == {
        "other": (1, 2),
        "test": (3, 4),
    }
    assert "M on Toy, other+test" in CLIP.headline(found)
    assert [each.key for each in CLIP.all_figures(found)] == ["confusion", "classes", "prompts", "splits"]
    assert list(CLIP.table(found)["said"]) == ["red", "red", "red", "red", "dark", "red"]
    assert found.image(2).shape == (8, 8, 3)


def test_an_old_result_of_the_diffusion_classifier_is_shown_with_its_comparisons() -> None:
    found = read_evaluation(old_diffusion())
    np.testing.assert_array_equal(found.columns["calls_by_sample"], [[2, 2], [2, 4], [2, 4]])
    assert [each.key for each in DIFFUSION.all_figures(found)] == ["accuracy_by_calls", "confusion", "classes"]
    assert "CLIP is right on 0 images on which" in DIFFUSION.sentences(found)[0]
    assert "calls" in DIFFUSION.table(found)
    assert DIFFUSION.note(found, 0) == ", 2 calls; CLIP too"


@pytest.mark.parametrize("column", ["label", "split", "row"])
def test_a_result_without_a_column_is_a_sentence(column: str) -> None:
    folder = old_clip()
    with np.load(folder.path / PREDICTIONS) as stored:
        columns = {key: stored[key] for key in stored.files if key != column}
    np.savez(folder.path / PREDICTIONS, **columns)
    with pytest.raises(CoreError, match="cannot be read"):
        read_evaluation(folder)


def test_settings_of_before_are_read_under_todays_names() -> None:
    plan = from_dict(Plan, OLD_PLAN)
    assert (plan.sampling, plan.samples, plan.least_samples, plan.stage_samples) == ("even", 8, 4, (50, 200))
    config = parse_overrides(diffusion_zero_shot.Config, ["plan.draws=12", "plan.spread=even", "images=3"])
    assert (config.plan.samples, config.plan.sampling, config.images) == (12, "even", 3)
    with pytest.raises(UnknownNameError):
        from_dict(Plan, {"drawz": 3})
