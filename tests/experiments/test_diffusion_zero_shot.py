"""A data set by denoising: a stopped or killed run ends in the same numbers, and pruning is replayed as it would be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest

from core.data.arrays import load_arrays
from core.data.transforms import to_batch
from core.errors import ConfigError, CoreError, IncompatibleError, UnknownNameError
from core.experiments import diffusion_checkpoint, diffusion_zero_shot
from core.experiments.diffusion_zero_shot import CLASSIFIED, ClassificationReport, Config, image_seed
from core.experiments.evaluation import PREDICTIONS, RESULT, choose_images
from core.launch import execute
from core.methods.diffusion.diffusion_classifier import classify, replay
from core.methods.diffusion.sampling_plan import Plan
from core.models.denoising_differences import FILE
from core.models.diffusion import LatentDiffusion
from core.models.weights import load
from core.paths import runs_root
from core.reports import Progress, finish
from core.runs.status import read_state
from core.runs.store import RunFolder, RunSpec, create_run
from tests.clip_toy import save_tiny_clip
from tests.diffusion_toy import save_tiny_pipeline
from tests.toy import save_toy

SMALL = Plan(pruning="t_test", samples=24, least_samples=4, look_every=4, threshold=0.2)

FORECAST = Plan(samples=24, error_rate=0.3)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline and a tiny CLIP with random weights."""
    folder = tmp_path_factory.mktemp("models")
    save_tiny_pipeline(folder / "pipeline")
    save_tiny_clip(folder / "clip")
    return folder


@pytest.fixture(autouse=True)
def config(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Twenty images of two classes in a home of the test's own; six of them are classified."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy()
    return Config(
        model=f"folder:{models / 'pipeline'}", dataset="toy", images=6, compare_with=(f"folder:{models / 'clip'}",),
        plan=SMALL, batch_size=16,
    )  # fmt: skip


def prepare(config: Config, name: str = "classifications") -> RunFolder:
    return create_run(name, RunSpec.of("diffusion_zero_shot", config, device="cpu"))


def outcome(folder: RunFolder) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The summary and the columns."""
    with np.load(folder.path / PREDICTIONS) as stored:
        columns = dict(stored)
    return json.loads((folder.path / RESULT).read_text(encoding="utf-8")), columns


def evaluate(
    config: Config, name: str = "classifications"
) -> tuple[list[ClassificationReport], dict[str, Any], dict[str, np.ndarray]]:
    folder = prepare(config, name)
    reports = list(diffusion_zero_shot.run(config, folder))
    steps = [report.step for report in reports]
    assert steps == sorted(steps)
    assert reports[-1].step == reports[-1].steps
    return [report for report in reports if not isinstance(report, Progress)], *outcome(folder)


def stop_after(folder: RunFolder, images: int) -> None:
    """Work on the run until so many images were reported, then stop it as Ctrl-C would."""
    with closing(cast("Generator[Any]", execute.execute(folder))) as running:
        while not (isinstance(report := next(running), ClassificationReport) and report.step == images):
            pass


def untimed(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if "seconds" not in key and key != "command"}


def same_columns(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for key in one.keys() - {"seconds"}:
        np.testing.assert_array_equal(one[key], other[key])


def test_every_image_is_the_classification_that_the_page_would_run(config: Config) -> None:
    reports, summary, columns = evaluate(config)
    model = load(config.model)
    module = cast(LatentDiffusion, model.module)
    data = load_arrays("toy", "test")
    with torch.inference_mode():
        prompts = module.embed_prompts(["a photo of a dark.", "a photo of a red."])
    said = []
    for place, row in enumerate(columns["row"]):
        with torch.inference_mode():
            picture = Image.fromarray(np.asarray(data.images[row]))
            latent = module.encode(to_batch([picture], model.network.preprocessing))[0]
        plan = replace(SMALL, seed=int(columns["seed"][place]))
        classification = finish(
            classify(module.denoiser(prompts), latent, 2, module.alphas_cumprod, plan, batch_size=16)
        )
        said.append((classification.predicted, classification.order("noise")[0], classification.calls))
        assert columns["label"][place] == data.labels[row]
        assert columns["leader"][place, -1] == classification.predicted
        assert columns["calls_by_sample"][place, -1] == classification.calls
    assert said == list(zip(columns["predicted"], columns["other_objective"], columns["calls"], strict=True))
    assert len(set(columns["seed"])) == 6, "every image has noise of its own"
    right = int((columns["predicted"] == columns["label"]).sum())
    assert [report.test_count for report in reports] == [1, 2, 3, 4, 5, 6]
    assert reports[-1].test_accuracy == summary["test"]["accuracy"] == right / 6
    assert summary["test"]["low"] <= right / 6 <= summary["test"]["high"]
    assert reports[-1].mean_calls == pytest.approx(columns["calls"].mean())
    assert summary["calls"]["full_grid"] == 2 * 24
    assert summary["calls"]["saved"] == pytest.approx(48 / columns["calls"].mean())
    assert sum(each["count"] for each in summary["classes"]) == 6


def test_another_model_is_compared_image_by_image(config: Config) -> None:
    _, summary, columns = evaluate(config)
    (other,) = summary["others"]
    classification, clip = columns["predicted"] == columns["label"], columns["compared"][0] == columns["label"]
    assert (other["both"], other["only_first"]) == (
        int((classification & clip).sum()),
        int((classification & ~clip).sum()),
    )
    assert other["accuracy"] == clip.mean()
    apart = other["only_first"] + other["only_second"]
    assert other["p_value"] == (binomtest(other["only_first"], apart).pvalue if apart else 1)
    _, alone, columns = evaluate(replace(config, compare_with=()), "alone")
    assert alone["others"] == []
    assert columns["compared"].shape == (0, 6)


def test_the_first_images_of_a_larger_run_are_those_of_a_smaller_one(config: Config) -> None:
    config = replace(config, compare_with=())
    few, more = (evaluate(replace(config, images=count), f"of{count}")[2] for count in (3, 6))
    for key in ("row", "predicted", "calls", "seed"):
        np.testing.assert_array_equal(more[key][:3], few[key])
    every = choose_images(config.dataset, ("test",), 8)
    assert sorted(every.row) == list(range(20))
    other = choose_images(config.dataset, ("test",), 8, config.images, seed=1)
    assert list(other.row) != list(more["row"])
    assert image_seed(config, 0) != image_seed(replace(config, plan=replace(SMALL, seed=1)), 0)


@pytest.mark.parametrize(
    ("end", "full_grid"),
    [
        ("stopped", False),
        pytest.param("killed", True, marks=pytest.mark.slow),
        pytest.param("stopped", True, marks=pytest.mark.slow),
        pytest.param("killed", False, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_was_cut_off_ends_in_the_same_numbers(
    config: Config, end: str, full_grid: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, full_grid=full_grid, plan=SMALL if full_grid else FORECAST)
    whole = prepare(config, "whole")
    list(execute.execute(whole))
    folder = prepare(config, "cut")
    if end == "stopped":
        stop_after(folder, 3)
        assert read_state(folder).status == "stopped"
        assert len(folder.history()) == 3
    else:
        # Killed while the fourth classification is written: its line of metrics is there, its classification is not.
        write = diffusion_checkpoint.FinishedClassifications.write

        def dies(self: Any, place: int, classification: Any) -> None:
            if place == 3:
                raise MemoryError
            write(self, place, classification)

        with monkeypatch.context() as patch:
            patch.setattr(diffusion_checkpoint.FinishedClassifications, "write", dies)
            with pytest.raises(CoreError):
                list(execute.execute(folder))
        assert len(folder.history()) == 4
    assert len(list((folder.path / CLASSIFIED).iterdir())) == 3
    classified: list[int] = []
    monkeypatch.setattr(diffusion_zero_shot, "classify", _counted(diffusion_zero_shot.classify, classified))
    list(execute.execute(folder))
    assert len(classified) == 3, "finished classifications are not run again"
    first, second = outcome(whole), outcome(folder)
    assert untimed(first[0]) == untimed(second[0])
    same_columns(first[1], second[1])
    lines = [
        [{k: v for k, v in line.items() if "seconds" not in k} for line in run.history()] for run in (whole, folder)
    ]
    assert lines[0] == lines[1]
    assert not (folder.path / CLASSIFIED).exists()


def _counted(work: Any, classified: list[int]) -> Any:
    def counting(*arguments: Any, **options: Any) -> Iterator[Any]:
        classified.append(1)
        return work(*arguments, **options)

    return counting


def test_a_damaged_classification_is_run_again(config: Config) -> None:
    config = replace(config, compare_with=())
    whole, folder = prepare(config, "whole"), prepare(config, "damaged")
    list(execute.execute(whole))
    stop_after(folder, 4)
    (folder.path / CLASSIFIED / "000002.npz").write_bytes(b"half a file")
    list(execute.execute(folder))
    same_columns(outcome(whole)[1], outcome(folder)[1])
    assert [line["step"] for line in folder.history()] == [1, 2, 3, 4, 5, 6]


def test_a_full_grid_gives_the_pruned_run_s_answers_and_every_threshold(config: Config) -> None:
    config = replace(config, compare_with=(), batch_size=1, images=4, plan=replace(SMALL, samples=16))
    _, pruned, columns = evaluate(config, "pruned")
    reports, whole, grid = evaluate(replace(config, full_grid=True), "grid")
    for key in columns.keys() - {"seconds"}:
        np.testing.assert_array_equal(grid[key], columns[key])
    assert whole["calls"] == pruned["calls"]
    assert {report.mean_calls for report in reports} == {32}
    assert grid["noise_error"].shape == (4, 16, 2)
    assert not np.isnan(grid["noise_error"]).any()
    mine, *others = whole["replays"]
    assert mine["calls"] == pruned["calls"]["mean"]
    assert mine["test"]["accuracy"] == pruned["test"]["accuracy"]
    # The plan's objective: under the other one these two prompts, which the toy hardly tells apart, may swap places.
    winners = grid["noise_error"].mean(axis=1, dtype=np.float64).argmin(axis=1)
    assert mine["same"]["correct"] == (winners == grid["predicted"]).sum()
    patient = {row["plan"]["threshold"]: row["calls"] for row in whole["replays"] if row["plan"]["pruning"] == "t_test"}
    assert [patient[key] for key in sorted(patient)] == sorted(patient.values(), reverse=True)
    assert any(row["plan"]["pruning"] == "stages" for row in others)
    assert "replays" not in pruned


@pytest.mark.slow
def test_what_a_full_grid_teaches_is_what_the_next_run_goes_by(
    config: Config, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diffusion_zero_shot, "LEAST_TO_LEARN", 4)
    config = replace(config, compare_with=(), batch_size=1, images=4, plan=replace(FORECAST, samples=40))
    _, before, blind = evaluate(config, "blind")
    assert before["forecast_learned"] == ""
    _, _, grid = evaluate(replace(config, full_grid=True), "grid")
    shutil.copytree(models / "pipeline", tmp_path / "taught")
    shutil.copy(RunFolder(runs_root() / "grid").path / FILE, tmp_path / "taught")
    taught = replace(config, model=f"folder:{tmp_path / 'taught'}")
    _, after, columns = evaluate(taught, "taught")
    assert after["forecast_learned"].startswith("4 images of ")
    known = cast(LatentDiffusion, load(taught.model).module).differences
    found = [
        replay(*errors, config.plan, 1000, known)
        for errors in zip(grid["noise_error"], grid["reconstruction_error"], grid["time_steps"], strict=True)
    ]
    assert [each.calls for each in found] == columns["calls"].tolist()
    assert [each.predicted for each in found] == columns["predicted"].tolist()
    assert columns["calls"].tolist() != blind["calls"].tolist(), "the samples came in another order"


def test_an_unmeasured_batch_size_is_measured_once_and_kept(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter([5, 7])
    monkeypatch.setattr(diffusion_zero_shot, "fitting_batch", lambda *_, **__: next(sizes))
    config = replace(config, batch_size=0, compare_with=())
    folder = prepare(config)
    stop_after(folder, 1)
    list(execute.execute(folder))
    assert outcome(folder)[0]["batch_size"] == 5


def test_impossible_runs_are_sentences(config: Config, models: Path) -> None:
    def refused(kind: type[CoreError], match: str, **changes: Any) -> None:
        with pytest.raises(kind, match=match):
            evaluate(replace(config, **changes), f"run{abs(hash(match))}")

    refused(IncompatibleError, "does not generate images", model=f"folder:{models / 'clip'}")
    refused(IncompatibleError, "knows 10 classes .* and lacks 2 of the 2", compare_with=("cnn_small",))
    refused(IncompatibleError, "no classification head", compare_with=(config.model,))
    refused(UnknownNameError, "tset", test_split="tset")
    refused(ConfigError, "2 classes, but 1 labels", labels=("one",))
    with pytest.raises(ConfigError, match="no place for the label"):
        replace(config, template="a photo")
    with pytest.raises(ConfigError, match="twice"):
        replace(config, labels=("Cat", "cat"))


def test_a_network_that_gives_no_numbers_is_a_sentence(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        LatentDiffusion, "denoiser", lambda *_: lambda latents, steps, which: torch.full_like(latents, torch.nan)
    )
    with pytest.raises(CoreError, match="not numbers"):
        evaluate(replace(config, compare_with=()))


def test_own_labels_and_another_split(config: Config) -> None:
    config = replace(config, labels=("night", "a tomato"), template="{}", test_split="train", compare_with=())
    _, summary, columns = evaluate(config)
    assert summary["labels"] == ["night", "a tomato"]
    assert set(columns["split"]) == {"train"}
    assert summary["of_images"] == 40


def test_what_trainings_set_aside_can_be_classified(config: Config) -> None:
    _, summary, columns = evaluate(replace(config, test_split="val", images=0, compare_with=()))
    assert set(columns["split"]) == {"val"}
    assert summary["of_images"] == len(columns["row"]) == 4


def test_a_run_that_an_earlier_version_began_goes_on(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepare(replace(config, compare_with=()))
    stop_after(folder, 4)
    (folder.path / CLASSIFIED).rename(folder.path / "races")
    again: list[int] = []
    monkeypatch.setattr(diffusion_zero_shot, "classify", _counted(diffusion_zero_shot.classify, again))
    list(execute.execute(folder))
    assert len(again) == 2, "the four that were finished are kept"
    assert not (folder.path / "races").exists()
