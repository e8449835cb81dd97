"""The command line from data to a trained model that the app can open."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from core.cli.main import app
from core.errors import CoreError, UnknownNameError
from core.models.weights import load
from core.paths import runs_root
from core.runs.store import RunFolder

run = CliRunner().invoke
SMALL = [
    "--set",
    "dataset=blocks",
    "--set",
    "model.image_size=8",
    "--set",
    "model.patch_size=4",
    "--set",
    "model.embed_dim=16",
    "--set",
    "model.depth=1",
    "--set",
    "model.num_heads=2",
    "--set",
    "model.classes=2",
    "--set",
    "training.batch_size=8",
    "--set",
    "training.precision=fp32",
]


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    """Forty pictures of two colours in class folders."""
    random = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 5)):
        for label, colour in (("blue", 2), ("red", 0)):
            folder = tmp_path / "blocks" / split / label
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 60, (8, 8, 3), dtype=np.uint8)
                pixels[..., colour] += 180
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path / "blocks"


def test_weights_list_names_every_model_and_its_state() -> None:
    said = run(app, ["weights", "list"])
    assert said.exit_code == 0
    for name in ("vit_p4", "vit_s14_saliency", "dino_s16", "resnet50"):
        assert name in said.output
    assert "ready" in said.output
    assert "fetchable" in said.output


def test_unknown_names_list_the_known_ones() -> None:
    failed = run(app, ["train", "vit_scrach", "--name", "x"])
    assert isinstance(failed.exception, UnknownNameError)
    assert "vit_scratch" in str(failed.exception)
    assert isinstance(run(app, ["weights", "get", "nonsense"]).exception, CoreError)
    assert isinstance(run(app, ["runs", "show", "none"]).exception, UnknownNameError)


def test_from_a_folder_of_images_to_a_model_in_the_app(blocks: Path) -> None:
    assert run(app, ["data", "import", str(blocks), "--name", "blocks"]).exit_code == 0
    assert "2 classes" in run(app, ["data", "list"]).output
    trained = run(app, ["train", "vit_scratch", "--name", "first", *SMALL, "--set", "training.epochs=2"])
    assert trained.exit_code == 0, trained.exception
    assert "epoch 2/2" in trained.output
    folder = RunFolder(runs_root() / "first")
    assert [line["epoch"] for line in folder.history()] == [1, 2]
    card = json.loads((folder.model / "card.json").read_text(encoding="utf-8"))
    assert card["metrics"]["test_count"] == 10
    assert card["classes"] == ["blue", "red"]
    assert "--set model.depth=1" in card["command"]
    assert load("run:first").classes == ("blue", "red")
    assert "finished" in run(app, ["runs", "list"]).output
    assert run(app, ["runs", "show", "first"]).output.count("val_accuracy") == 2


def test_a_data_set_that_is_missing_is_a_sentence() -> None:
    failed = run(app, ["train", "vit_scratch", "--name", "x", "--set", "dataset=nowhere"])
    assert isinstance(failed.exception, CoreError)
    assert "python -m core data import" in str(failed.exception)


def test_features_go_to_a_file_and_are_searched(blocks: Path, tmp_path: Path) -> None:
    from core.data.vectors import read_vectors

    out = tmp_path / "v.parquet"
    like = str(blocks / "test" / "red" / "3.png")
    done = run(app, ["embed", str(blocks), "--layer", "1", "--out", str(out), "--plane", "pca", "--like", like])
    assert done.exit_code == 0, done.output
    found = read_vectors(out.read_bytes(), out.name)
    assert len(found.ids) == 50
    assert found.positions is not None
    assert found.positions.shape == (50, 2)
    assert set(found.columns["label"]) == {"blue", "red"}
    ranking = [line for line in done.output.splitlines() if line.strip().startswith("1 ")]
    assert "test/red/3.png" in ranking[0]
    assert "1.000" in ranking[0]
    layers = run(app, ["embed", "views:1/0", "--layers"])
    assert "images×" in layers.output
    for bad, words in (
        (["--layer", "99"], "There is no layer"),
        (["--out", "x.pkl"], "ends in none of"),
        (["--find", "a cat"], "cnn_small|Small CNN"),
    ):
        failed = run(app, ["embed", str(blocks), *bad])
        assert failed.exit_code != 0
        assert isinstance(failed.exception, CoreError)
        assert re.search(words, str(failed.exception)), failed.exception
