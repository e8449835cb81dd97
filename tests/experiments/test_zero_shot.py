"""Zero-shot evaluation: the plain open_clip loop's answers, images computed once, strategies chosen elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from core.data.archives import import_archive
from core.data.arrays import load_arrays, validation_indices
from core.data.prompts import STRATEGIES
from core.errors import ConfigError, IncompatibleError, UnknownNameError
from core.experiments import zero_shot
from core.experiments.evaluation import PREDICTIONS, RESULT
from core.experiments.zero_shot import Config, SplitReport, StrategyReport
from core.models.open_clip_folder import OpenClip
from core.reports import Progress
from core.runs.store import RunFolder, RunSpec, create_run
from tests.clip_toy import save_tiny_clip
from tests.toy import save_toy


@pytest.fixture(autouse=True)
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny random model and two classes of noise, in a home of the test's own."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy({"train": 60, "test": 30})
    return save_tiny_clip(tmp_path / "clip")


def evaluate(config: Config, name: str = "zero") -> tuple[list[Any], dict[str, Any], dict[str, np.ndarray], RunFolder]:
    """All reports but progress, the summary and the answers."""
    folder = create_run(name, RunSpec.of("zero_shot", config, device="cpu"))
    reports = list(zero_shot.run(config, folder))
    steps = [report.step for report in reports]
    assert steps == sorted(steps)
    assert reports[-1].step == reports[-1].steps
    with np.load(folder.path / PREDICTIONS) as stored:
        answers = dict(stored)
    found = [report for report in reports if not isinstance(report, Progress)]
    return found, json.loads((folder.path / RESULT).read_text(encoding="utf-8")), answers, folder


def test_answers_are_those_of_the_plain_open_clip_loop(clip: Path) -> None:
    config = Config(model=f"folder:{clip}", dataset="toy", strategy="ensemble", batch_size=7)
    reports, summary, answers, _ = evaluate(config)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{clip}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{clip}")
    weights = open_clip.build_zero_shot_classifier(
        model.eval(), tokenizer, ["dark", "red"], STRATEGIES["ensemble"].templates
    )
    data = load_arrays("toy", "test")
    with torch.no_grad():
        batch = torch.stack([preprocess(Image.fromarray(image)) for image in data.images])  # type: ignore[operator]
        logits = model.logit_scale.exp() * model.encode_image(batch, normalize=True) @ weights
    np.testing.assert_array_equal(answers["predicted"], logits.argmax(dim=1).numpy())
    np.testing.assert_allclose(answers["confidence"], logits.softmax(dim=1).amax(dim=1).numpy(), atol=1e-4)
    np.testing.assert_array_equal(answers["label"], data.labels)
    assert answers["row"].tolist() == list(range(30))
    (report,) = reports
    assert isinstance(report, SplitReport)
    assert report.test_accuracy == (answers["predicted"] == answers["label"]).mean()
    assert report.test_low <= report.test_accuracy <= report.test_high
    assert summary["test"]["count"] == 30
    assert (summary["strategy"], summary["chosen_on"], summary["compared"]) == ("ensemble", "", [])


def test_other_labels_compute_no_image_again(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(model=f"folder:{clip}", dataset="toy", strategy="photo")
    first = evaluate(config)
    monkeypatch.setattr(OpenClip, "embed", None)  # whoever computed an image would fall over this
    again = evaluate(config, "again")
    for key, values in first[2].items():
        np.testing.assert_array_equal(again[2][key], values)
    other = evaluate(replace(config, labels=("the blue ship", "cat"), batch_size=3), "other")
    assert other[1]["labels"] == ["the blue ship", "cat"]
    assert not np.array_equal(other[2]["confidence"], first[2]["confidence"])


def test_the_strategy_is_chosen_on_images_that_are_not_tested(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_toy({"train": 400, "test": 30})
    judged: list[int] = []
    answer = zero_shot._answer

    def spy(parts: list[Any], *rest: Any) -> Any:
        judged.extend(row for part in parts for row in part.rows if part.split == "train")
        return answer(parts, *rest)

    monkeypatch.setattr(zero_shot, "_answer", spy)
    config = Config(model=f"folder:{clip}", dataset="toy", templates=("this is {}",), max_validation=20)
    reports, summary, answers, _ = evaluate(config)
    # Nor are they images that trainings of this project learn from: the carved tenth.
    assert set(judged) < set(validation_indices(np.arange(400) % 2))
    compared = [report for report in reports if isinstance(report, StrategyReport)]
    assert [report.strategy for report in compared] == list(STRATEGIES)
    assert {report.val_count for report in compared} == {20}
    best = max(report.val_accuracy for report in compared)
    assert summary["strategy"] == next(report.strategy for report in compared if report.val_accuracy == best)
    assert summary["chosen_on"].startswith("the tenth of train")
    assert set(answers["split"]) == {"test"}
    assert [type(report) for report in reports].count(SplitReport) == 1


def test_a_lone_split_is_divided_and_no_image_serves_both(tmp_path: Path, clip: Path, monkeypatch: Any) -> None:
    for domain in ("oil", "photo"):
        for number, name in enumerate(("dark_thing", "light")):
            (tmp_path / "photos" / domain / name).mkdir(parents=True)
            for index in range(10):
                Image.new("RGB", (120, 100), (number * 200 + index,) * 3).save(
                    tmp_path / "photos" / domain / name / f"{index}.png"
                )
    import_archive(tmp_path / "photos", "photos")
    seen: list[tuple[str, int]] = []
    answer = zero_shot._answer

    def spy(parts: list[Any], *rest: Any) -> Any:
        seen.extend((part.split, int(row)) for part in parts for row in part.rows)
        return answer(parts, *rest)

    monkeypatch.setattr(zero_shot, "_answer", spy)
    config = Config(model=f"folder:{clip}", dataset="photos")
    reports, summary, answers, _ = evaluate(config)
    tested = set(zip(answers["split"].tolist(), answers["row"].tolist(), strict=True))
    assert len(tested) == 32
    judged = set(seen) - tested
    assert len(judged) == 8
    splits = [report for report in reports if isinstance(report, SplitReport)]
    assert [(report.split, report.test_count) for report in splits] == [("oil", 16), ("photo", 16), ("oil+photo", 32)]
    assert splits[-1].test_accuracy == pytest.approx((splits[0].test_accuracy + splits[1].test_accuracy) / 2)
    assert summary["labels"] == ["dark thing", "light"]
    one = evaluate(replace(config, test_split="photo", strategy="plain", max_images=6), "one")
    assert [(report.split, report.test_count) for report in one[0]] == [("photo", 6)]


def test_what_cannot_be_evaluated_is_a_sentence(tmp_path: Path, clip: Path) -> None:
    config = Config(model=f"folder:{clip}", dataset="toy")
    with pytest.raises(ConfigError, match="2 classes, but 3 labels"):
        evaluate(replace(config, labels=("a", "b", "c")), "a")
    with pytest.raises(UnknownNameError, match="'test'"):
        evaluate(replace(config, test_split="tset"), "b")
    with pytest.raises(IncompatibleError, match="it knows no texts"):
        evaluate(replace(config, model="cnn_small"), "c")
    with pytest.raises(ConfigError, match="twice"):
        replace(config, labels=("cat", "Cat"))
    with pytest.raises(ConfigError, match="no place for the label"):
        replace(config, templates=("a photo",))
    with pytest.raises(ConfigError, match="no prompts of your own"):
        replace(config, strategy="custom")


def test_one_image_a_class_is_too_few_to_choose_by(tmp_path: Path, clip: Path) -> None:
    for name in ("dark", "light"):
        (tmp_path / "two" / name).mkdir(parents=True)
        Image.new("RGB", (120, 100), "red").save(tmp_path / "two" / name / "0.png")
    import_archive(tmp_path / "two", "two")
    with pytest.raises(ConfigError, match="too few images"):
        evaluate(Config(model=f"folder:{clip}", dataset="two"), "a")
    assert evaluate(Config(model=f"folder:{clip}", dataset="two", strategy="photo"), "b")[1]["test"]["count"] == 2
