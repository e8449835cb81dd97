"""A stylised data set: the same images and classes in the same order, its origin in its card; a stop loses nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.data.catalogue import read_dataset
from core.data.loading import load_images
from core.errors import CoreError, UnknownNameError
from core.experiments import stylise
from core.experiments.stylise import chosen_rows
from core.launch.execute import execute
from core.methods.style_transfer.transfer import StyleSettings
from core.paths import data_root
from core.runs.status import read_state
from core.runs.store import RunFolder, RunSpec, create_run
from tests.toy import save_toy

STEPS = 6


@pytest.fixture(autouse=True)
def _toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy({"train": 4, "test": 30})


def run(name: str, **options: object) -> RunFolder:
    values = {"dataset": "toy", "images": 6, "size": 32, "batch_size": 4, "transfer": StyleSettings(steps=STEPS)}
    return create_run(name, RunSpec.of("stylise", stylise.Config(**{**values, **options}), device="cpu"))  # type: ignore[arg-type]


def finished(name: str, **options: object) -> RunFolder:
    folder = run(name, **options)
    for _ in execute(folder):
        pass
    assert read_state(folder).status == "finished", read_state(folder)
    return folder


def test_rows_are_of_every_class_alike_and_told_by_the_seed() -> None:
    labels = np.array([0] * 50 + [1] * 10 + [2] * 3)
    rows = chosen_rows(labels, 9, 0)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert np.bincount(labels[rows]).tolist() == [3, 3, 3]
    assert np.bincount(labels[chosen_rows(labels, 15, 0)]).tolist() == [6, 6, 3]
    assert rows.tolist() == chosen_rows(labels, 9, 0).tolist() != chosen_rows(labels, 9, 1).tolist()
    assert chosen_rows(labels, 0, 0).tolist() == chosen_rows(labels, 100, 0).tolist() == list(range(63))


def test_a_set_whose_style_weighs_nothing_is_the_old_one_in_its_order() -> None:
    folder = finished("still", transfer=StyleSettings(steps=2, style_weight=0.0, tv_weight=0.0), images=7)
    info = read_dataset("still")
    assert (info["classes"], info["splits"], info["storage"]) == (["dark", "red"], {"test": 7}, "arrays")
    new, old = load_images("still", "test", 32), load_images("toy", "test", 32)
    rows = np.array(info["provenance"]["rows"])
    np.testing.assert_array_equal(new.labels, np.asarray(old.labels)[rows])
    # Enlarged four times, each pixel's own middle is nearly what it was.
    middles = np.asarray(new.images)[:, 1::4, 1::4].astype(int)
    assert np.abs(middles - np.asarray(old.images)[rows]).mean() < 25
    assert json.loads((folder.path / "result.json").read_text(encoding="utf-8"))["count"] == 7


def test_the_card_says_how_the_images_were_made() -> None:
    folder = finished("painted", target="painted_set", style="painted:mosaic")
    provenance = read_dataset("painted_set")["provenance"]
    assert (provenance["dataset"], provenance["split"], provenance["style"]) == ("toy", "test", "painted:mosaic")
    assert provenance["network"] == "Small CNN on CIFAR-10"
    assert "In place of the paper's VGG-19" in provenance["network_note"]
    assert provenance["transfer"]["style_weight"] > 0  # also what was left to the network
    assert provenance["command"].startswith("python -m core train stylise --name painted ")
    assert (folder.samples / "stylised.png").is_file()
    assert not (folder.path / "stylised").exists()
    history = folder.history()
    assert [line["count"] for line in history] == [4, 2]
    assert all(line["style_loss"] < 0.9 * line["start_style_loss"] for line in history)


def test_the_images_do_not_depend_on_their_batch() -> None:
    finished("pairs", batch_size=2)
    finished("all", batch_size=100)
    one, other = (np.asarray(load_images(name, "test", 32).images).astype(int) for name in ("pairs", "all"))
    assert np.abs(one - other).max() <= 2


def test_a_stopped_run_goes_on_with_the_next_batch() -> None:
    finished("whole")
    folder = run("stopped")
    for report in execute(folder):
        if isinstance(report, stylise.BatchReport):
            folder.stop.touch()
    assert read_state(folder).status == "stopped"
    assert not (data_root() / "stopped").exists()
    made = sorted((folder.path / "stylised").rglob("*.png"))
    times = [path.stat().st_mtime_ns for path in made]
    assert len(made) == 4
    folder.stop.unlink()
    for _ in execute(folder):
        assert [path.stat().st_mtime_ns for path in made if path.exists()] in (times, [])
    np.testing.assert_array_equal(
        np.asarray(load_images("stopped", "test", 32).images), np.asarray(load_images("whole", "test", 32).images)
    )


@pytest.mark.parametrize(
    ("name", "options", "error", "sentence"),
    [
        ("toy", {}, CoreError, "already a data set named 'toy'"),
        ("Big", {"target": "Big Name"}, CoreError, "cannot name a data set"),
        ("none", {"dataset": "nothing"}, CoreError, "not on this machine"),
        ("split", {"split": "sky"}, UnknownNameError, "split of toy named 'sky'"),
        ("style", {"style": "painted:sky"}, UnknownNameError, "painting named 'sky'"),
        ("net", {"network": "vit_p4"}, CoreError, "not set up for style transfer"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_computed(
    name: str, options: dict[str, str], error: type[CoreError], sentence: str
) -> None:
    folder = run(name.lower() + "-run", **{"target": name, **options})
    with pytest.raises(error, match=sentence):
        list(stylise.run(stylise.Config(**{**{"dataset": "toy", "size": 32}, "target": name, **options}), folder))  # type: ignore[arg-type]
    assert not (folder.path / "stylised").exists()
