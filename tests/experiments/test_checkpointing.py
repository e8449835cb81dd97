"""What is on disk when: metrics before the checkpoint that includes them, the old one until the new one is whole."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.arrays import ArrayDataset
from core.data.transforms import HALF_NORMALISATION
from core.errors import CoreError, RunFailedError
from core.experiments import checkpointing
from core.experiments.checkpointing import resumable
from core.models.vit import ViT, ViTConfig
from core.reports import Progress
from core.runs.store import RunFolder, RunSpec, create_run
from core.training.config import TrainingConfig
from core.training.loop import EpochReport, Fit

MODEL = ViTConfig(image_size=8, patch_size=4, embed_dim=16, depth=1, num_heads=2, classes=2)
TRAINING = TrainingConfig(epochs=3, batch_size=8, precision="fp32", augmentation="randaugment")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    return create_run("run", RunSpec(recipe="vit_scratch", config={}))


def fit(**changes: object) -> Fit:
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (28, 8, 8, 3), dtype=np.uint8), np.arange(28) % 2
    data = ArrayDataset(name="noise", split="train", images=images, labels=labels, classes=("even", "odd"))
    torch.manual_seed(0)
    config = dataclasses.replace(TRAINING, **changes)  # type: ignore[arg-type]
    return Fit(ViT(MODEL), data.subset(np.arange(20), "train"), data.subset(np.arange(20, 28), "val"),
               HALF_NORMALISATION, config, device="cpu")  # fmt: skip


def stored_step(folder: RunFolder) -> tuple[int, int]:
    state = torch.load(folder.checkpoint, weights_only=True)
    return state["epoch"], state["batch"]


def test_a_checkpoint_follows_the_report_that_it_includes(folder: RunFolder) -> None:
    run = resumable(folder, fit())
    for report in run:
        if isinstance(report, EpochReport):
            break
    assert not folder.checkpoint.exists()  # the line of metrics is the consumer's to write first
    next(run)
    assert stored_step(folder) == (1, 0)


def test_closing_saves_where_it_is(folder: RunFolder) -> None:
    run = resumable(folder, fit())
    for _ in itertools.islice(run, 2):
        pass
    run.close()  # type: ignore[attr-defined]
    assert stored_step(folder) == (0, 2)


def test_within_an_epoch_a_checkpoint_is_written_every_few_minutes(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, 100)  # a hundred seconds pass between two looks at the clock
    monkeypatch.setattr(checkpointing.time, "monotonic", lambda: next(clock))
    run, steps = resumable(folder, fit()), []
    for _ in itertools.islice(run, 5):
        steps.append(stored_step(folder)[1] if folder.checkpoint.exists() else 0)
    assert steps == [0, 0, 2, 2, 3]


def test_an_error_thrown_in_saves_nothing(folder: RunFolder) -> None:
    run = resumable(folder, fit())
    next(run)
    with pytest.raises(OSError, match="no line written"):
        run.throw(OSError("no line written"))  # type: ignore[attr-defined]
    assert not folder.checkpoint.exists()


def test_metrics_newer_than_the_checkpoint_are_computed_again(folder: RunFolder) -> None:
    """As after kill -9 between the line of metrics and the checkpoint."""
    first, lines = resumable(folder, fit()), []
    for report in first:
        if isinstance(report, EpochReport):
            folder.append_metrics(asdict(report))
            lines.append(report)
        if len(lines) == 2:
            break
    checkpoint = folder.checkpoint.read_bytes()
    first.close()  # type: ignore[attr-defined]
    folder.checkpoint.write_bytes(checkpoint)  # a killed process closes nothing
    assert [line["step"] for line in folder.history()] == [3, 6]
    second = resumable(folder, fit())
    assert next(second).step == 4
    assert [line["step"] for line in folder.history()] == [3]
    for report in second:
        if isinstance(report, EpochReport):
            assert report.val_loss == lines[1].val_loss
            assert report.train_loss == lines[1].train_loss
            break


def test_a_line_is_not_doubled_when_the_checkpoint_is_of_its_validation(folder: RunFolder) -> None:
    first = resumable(folder, fit())
    while (report := next(first)).text != "validating, batch 1 of 1":  # type: ignore[union-attr]
        assert isinstance(report, Progress)
    first.close()  # type: ignore[attr-defined]
    assert stored_step(folder) == (0, 3)
    folder.append_metrics({"step": 3, "val_loss": 1.0})  # written by a life that went on and was killed
    second = resumable(folder, fit())
    next(second)
    assert folder.history() == []


@pytest.mark.parametrize("damage", [lambda whole: whole[: len(whole) // 2], lambda whole: b"", lambda whole: b"x" * 99])
def test_a_damaged_checkpoint_is_a_sentence(folder: RunFolder, damage: object) -> None:
    run = resumable(folder, fit())
    next(run)
    run.close()  # type: ignore[attr-defined]
    folder.checkpoint.write_bytes(damage(folder.checkpoint.read_bytes()))  # type: ignore[operator]
    with pytest.raises(CoreError, match="cannot go on from its checkpoint") as failure:
        next(resumable(folder, fit()))
    assert str(folder.checkpoint) in failure.value.remedy


def test_the_checkpoint_of_another_model_is_a_sentence(folder: RunFolder) -> None:
    folder.checkpoint.parent.mkdir()
    torch.save({"epoch": 1, "model": {}}, folder.checkpoint)
    with pytest.raises(CoreError, match="cannot go on"):
        next(resumable(folder, fit()))


def test_a_pickle_in_place_of_a_checkpoint_is_not_run(folder: RunFolder, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    folder.checkpoint.parent.mkdir()
    torch.save(Trap(), folder.checkpoint)
    with pytest.raises(CoreError, match="cannot go on"):
        next(resumable(folder, fit()))
    assert not (tmp_path / "sprung").exists()


def test_the_old_checkpoint_stays_until_the_new_one_is_whole(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = resumable(folder, fit())
    next(run)
    run.close()  # type: ignore[attr-defined]
    before = folder.checkpoint.read_bytes()

    def full(_state: object, file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    run = resumable(folder, fit())
    next(run)
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        run.close()  # type: ignore[attr-defined]
    assert folder.checkpoint.read_bytes() == before
    assert [path.name for path in folder.checkpoint.parent.iterdir()] == ["last.pt"]


def test_broken_weights_never_reach_the_checkpoint(folder: RunFolder) -> None:
    trained = fit()
    run = resumable(folder, trained)
    next(run)
    with torch.no_grad():
        trained.model.head.bias.fill_(float("nan"))
    with pytest.raises(RunFailedError, match="nan at step 1"):
        next(run)
    assert not folder.checkpoint.exists()


def test_samples_show_the_augmented_batch_and_the_surest_mistakes(folder: RunFolder) -> None:
    trained = fit(epochs=1)
    for _ in resumable(folder, trained):
        pass
    # 8 images of 8 pixels, enlarged 8 times, in 3 columns with gaps of 2.
    assert Image.open(folder.samples / "augmented.png").size == (3 * 66 - 2, 3 * 66 - 2)
    rows = json.loads((folder.samples / "mistakes.json").read_text(encoding="utf-8"))
    found = trained.predictions
    assert found is not None
    assert len(rows) == int((found.labels != found.predicted).sum()) > 0
    assert [row["confidence"] for row in rows] == sorted((row["confidence"] for row in rows), reverse=True)
    for row in rows:
        assert row["true"] == ("even", "odd")[trained.val_set.labels[row["index"]]] != row["predicted"]
    sheet = np.asarray(Image.open(folder.samples / "mistakes.png"))
    assert np.array_equal(sheet[:64:8, :64:8], trained.val_set.images[rows[0]["index"]])
