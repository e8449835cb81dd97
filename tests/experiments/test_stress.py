"""The stress recipe: each model as it answers by itself, one table of all, nothing asked twice, bad input refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.archives import import_archive
from core.data.arrays import load_arrays
from core.data.transforms import normalise
from core.errors import ConfigError, CoreError, IncompatibleError, UnknownNameError
from core.experiments import stress, stress_models, zero_shot
from core.experiments.cue_conflict import check_cues, has_cues, shape_biases
from core.experiments.evaluation import Evaluation, read_evaluation
from core.experiments.stress import ConditionReport, Config
from core.launch.execute import execute
from core.methods.biases import asking
from core.methods.biases.stress_table import StressRow
from core.models.checkpoint import ModelCard, build, save_model
from core.models.denoising_differences import DifferenceCovariance
from core.models.weights import load
from core.reports import Progress
from core.runs.store import RunFolder, RunSpec, create_run
from tests.clip_toy import save_tiny_clip
from tests.diffusion_toy import save_tiny_pipeline
from tests.toy import save_toy

CNN = {"image_size": 8, "channels": 3, "classes": 2, "width": 8, "stages": 2, "blocks": 1}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy({"train": 40, "test": 30, "other": 20})


def classifier(folder: Path, classes: tuple[str, ...] = ("red", "dark"), name: str = "cnn") -> str:
    card = ModelCard(
        family="small_cnn", title="Tiny", config=CNN, classes=classes, mean=(0.5,) * 3, std=(0.2,) * 3, dataset="none",
        recipe="", command="", date="",
    )  # fmt: skip
    torch.manual_seed(0)
    save_model(folder / name, build("small_cnn", CNN), card)
    return f"folder:{folder / name}"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    clip = f"folder:{save_tiny_clip(tmp_path / 'clip')}"
    return Config(
        models=(classifier(tmp_path), clip), dataset="toy", conditions=("grey:100", "scramble"), max_images=0,
    )  # fmt: skip


def evaluate(config: Config, name: str = "stress") -> tuple[list[Any], Evaluation, RunFolder]:
    folder = create_run(name, RunSpec.of("stress", config, device="cpu"))
    reports = list(stress.run(config, folder))
    steps = [report.step for report in reports]
    assert steps == sorted(steps)
    assert reports[-1].step == reports[-1].steps
    return [report for report in reports if not isinstance(report, Progress)], read_evaluation(folder), folder


def test_a_classifier_says_what_it_says_by_itself_in_the_data_sets_order(config: Config) -> None:
    _, found, _ = evaluate(config)
    data, model = load_arrays("toy", "test"), load(config.models[0])
    pixels = normalise(torch.from_numpy(np.array(data.images)), model.network.preprocessing.normalisation)
    with torch.inference_mode():
        said = model.module(pixels)
    # Its outputs are red and dark, the data set's classes dark and red.
    expected = 1 - said.argmax(dim=1).numpy()
    np.testing.assert_array_equal(found.answers[:, 0, 0], expected[found.columns["row"]])


def test_clip_says_what_its_own_evaluation_says(config: Config) -> None:
    _, found, _ = evaluate(config)
    alone = zero_shot.Config(model=config.models[1], dataset="toy", strategy="photo")
    folder = create_run("alone", RunSpec.of("zero_shot", alone, device="cpu"))
    list(zero_shot.run(alone, folder))
    expected = read_evaluation(folder)
    assert expected.answers.shape == (30, 1, 1)
    np.testing.assert_array_equal(found.answers[:, 1, 0], expected.predicted[found.columns["row"]])


def test_the_result_holds_a_row_for_each_model_and_condition(config: Config) -> None:
    reports, found, _ = evaluate(config)
    assert found.answers.shape == (30, 2, 3)
    assert [each["steps"] for each in found.summary["conditions"]] == ["", "grey:100", "scramble:4"]
    rows = [StressRow.read(values) for values in found.summary["table"]]
    assert [(row.condition, row.model) for row in rows] == [(c, m) for c in range(3) for m in range(2)]
    for row, report in zip(rows, reports, strict=True):
        assert isinstance(report, ConditionReport)
        assert report.test_accuracy == row.accuracy.value
        assert report.test_accuracy == (found.answers[:, row.model, row.condition] == found.labels).mean()
        assert report.p_value == (row.ratio.paired.p_value if row.ratio and row.ratio.paired else None)
    assert len(found.summary["pairs"]) == 3
    assert found.accuracy.count == 30


def test_fewer_images_are_the_first_of_more_and_splits_stand_beside_each_other(config: Config) -> None:
    _, more, _ = evaluate(replace(config, test_split="test+other"), "more")
    _, few, _ = evaluate(replace(config, test_split="test+other", max_images=7), "few")
    np.testing.assert_array_equal(few.answers, more.answers[:7])
    np.testing.assert_array_equal(few.columns["row"], more.columns["row"][:7])
    counts = {split: right.count for split, right in more.split_accuracies.items()}
    assert counts == {"test": 30, "other": 20}
    index = int(np.flatnonzero(more.columns["split"] == "other")[0])
    stored = load_arrays("toy", "other").images[int(more.columns["row"][index])]
    np.testing.assert_array_equal(more.image(index), stored)


def test_a_repeated_condition_is_not_asked_again(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ask = asking._ask
    monkeypatch.setattr(asking, "_ask", lambda model, *rest: (asked.append(model.title), ask(model, *rest))[1])
    _, before, _ = evaluate(config)
    assert len(asked) == 6
    _, after, _ = evaluate(config, "again")
    assert len(asked) == 6
    np.testing.assert_array_equal(after.answers, before.answers)
    evaluate(replace(config, conditions=("scramble:4", "scramble:2")), "other")
    assert len(asked) == 8


def test_a_stopped_run_goes_on_where_it_was(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ask = asking._ask
    monkeypatch.setattr(asking, "_ask", lambda model, *rest: (asked.append(model.title), ask(model, *rest))[1])
    folder = create_run("stopped", RunSpec.of("stress", config, device="cpu"))
    for report in execute(folder):
        if report.step >= 90:
            folder.stop.touch()
    assert not (folder.path / "result.json").exists()
    before = len(asked)
    assert 3 <= before < 6
    folder.stop.unlink(missing_ok=True)
    list(execute(folder))
    assert len(asked) == 6
    lines = [(line["model"], line["condition"]) for line in folder.history() if "condition" in line]
    assert len(lines) == len(set(lines)) == 6


def test_a_diffusion_model_is_asked_about_the_first_images_alone(tmp_path: Path, config: Config) -> None:
    pipeline = f"folder:{save_tiny_pipeline(tmp_path / 'pipeline')}"
    bounded = replace(
        config, models=(config.models[0], pipeline), conditions=("grey:100",), diffusion_images=2, diffusion_samples=4
    )
    _, found, _ = evaluate(bounded)
    assert (found.answers[:2] >= 0).all()
    assert (found.answers[2:, 1] == -1).all()
    rows = [StressRow.read(values) for values in found.summary["table"]]
    assert [row.accuracy.count for row in rows] == [30, 2, 30, 2]
    [pair, _] = found.summary["pairs"]
    assert sum(pair[cell] for cell in ("both", "only_first", "only_second", "neither")) == 2


def test_a_diffusion_model_answers_by_what_was_learned_of_it_and_is_kept_by_its_plan(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(f"folder:{save_tiny_pipeline(tmp_path / 'pipeline')}")
    given: list[Any] = []
    whole = stress_models.classify
    record = lambda *args, covariance, **options: (given.append(covariance), whole(*args, **options))[1]  # noqa: E731
    monkeypatch.setattr(stress_models, "classify", record)
    words = replace(config, diffusion_samples=4)
    opened = lambda: stress_models.open_model(model, ("a", "b"), ("a", "b"), words)  # noqa: E731
    unlearned = opened()
    learned = DifferenceCovariance(smooth=np.eye(2), noise=np.ones(2), source="300 images")
    monkeypatch.setattr(model.module, "differences", learned)
    asked = opened()
    asked.score(torch.zeros(1, 3, asked.preprocessing.size, asked.preprocessing.size), (0,))
    assert given == [learned]
    assert asked.question != unlearned.question
    assert "pruning='forecast'" in asked.question


def test_some_classes_alone_are_all_there_is_to_choose_among(tmp_path: Path) -> None:
    for label, name in enumerate(("bear", "cat", "clock")):
        for number in range(4):
            file = tmp_path / "three" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (60 * label, 20 * number, 90)).save(file)
    import_archive(tmp_path / "three", "three")
    clip = f"folder:{save_tiny_clip(tmp_path / 'clip')}"
    settings = {"models": (clip,), "dataset": "three", "conditions": ()}
    _, found, _ = evaluate(Config(classes=("clock", "bear"), labels=("a bear", "a clock"), **settings))
    assert found.classes == ["a bear", "a clock"]
    assert len(found.labels) == 8
    assert set(found.labels.tolist()) == {0, 1}
    assert [Path("three").name, found.summary["classes"]] == ["three", ["bear", "clock"]]


def cues(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        file = tmp_path / "cues" / name.split("-")[0].rstrip("0123456789") / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 100), (len(name) * 9 % 256, 20, 90)).save(file)
    import_archive(tmp_path / "cues", "cues")


def test_cue_conflict_reads_the_texture_from_the_file_and_skips_what_cannot_be_read(tmp_path: Path) -> None:
    names = ("bear1-cat2.png", "bear2-bear1.png", "cat1-bear3.png", "cat2-clock1.png", "clock1-cat1.png")
    cues(tmp_path, names)
    check_cues("cues")
    stored = next((tmp_path / "home").rglob("cat1-bear3.png"))
    stored.write_bytes(b"no picture")
    clip = f"folder:{save_tiny_clip(tmp_path / 'clip')}"
    _, found, _ = evaluate(Config(models=(clip,), dataset="cues", conditions=(), max_images=0))
    assert has_cues(found)
    pairs = {(found.classes[a], found.classes[b]) for a, b in zip(found.labels, found.columns["texture"], strict=True)}
    assert pairs == {("bear", "cat"), ("bear", "bear"), ("cat", "clock"), ("clock", "cat")}
    [bias] = shape_biases(found)
    assert (bias.congruent, bias.overall.count) == (1, 3)


def test_other_images_have_no_shape_bias(config: Config, tmp_path: Path) -> None:
    _, found, _ = evaluate(config)
    with pytest.raises(ConfigError, match="shapeN-textureM"):
        shape_biases(found)
    with pytest.raises(ConfigError, match="no file names"):
        check_cues("toy")
    cues(tmp_path, ("bear1-cat2.png", "cat1-oven2.png"))
    with pytest.raises(ConfigError, match="cat1-oven2"):
        check_cues("cues")


def test_bad_input_is_a_sentence(tmp_path: Path, config: Config) -> None:
    def refused(kind: type[CoreError], words: str, **settings: Any) -> None:
        with pytest.raises(kind, match=words):
            for _ in stress.run(made := replace(config, **settings), create_run("x", RunSpec.of("stress", made))):
                pass
        (tmp_path / "home" / "runs" / "x").rename(tmp_path / f"gone{len(list(tmp_path.iterdir()))}")

    other = classifier(tmp_path, ("cup", "plate"), "other")
    refused(IncompatibleError, r"knows 2 classes .* lacks 2 of the 2", models=(other,))
    refused(IncompatibleError, "names nothing", models=("vae_2d",))
    refused(ConfigError, "one class to choose among", classes=("red",))
    refused(ConfigError, "no class 'blue'", classes=("blue", "red"))
    refused(ConfigError, "3 labels for 2 classes", labels=("a", "b", "c"))
    refused(UnknownNameError, "tset", test_split="tset")
    refused(CoreError, "not on this machine", dataset="gone")
    with pytest.raises(UnknownNameError, match="scrumble"):
        replace(config, conditions=("scrumble:4",))
    with pytest.raises(ConfigError, match="each once"):
        replace(config, models=("vit_p4", "vit_p4"))


def test_what_is_written_is_json_that_others_can_read(config: Config) -> None:
    _, _, folder = evaluate(config)
    summary = json.loads((folder.path / "result.json").read_text(encoding="utf-8"))
    assert summary["model"] == ", ".join(config.models)
    assert summary["table"][2]["against_as_they_are"]["same_images"] is True
