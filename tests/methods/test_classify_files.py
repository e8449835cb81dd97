"""A folder of photos, broken ones among them, named by labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from core.cli.main import app
from core.data.transforms import to_batch
from core.errors import CoreError, IncompatibleError
from core.methods.accuracy.predictions import predict_logits, softmax
from core.methods.clip.classify_files import (
    accuracy_of,
    classify_by_classes,
    classify_files,
    folder_labels,
    image_files,
)
from core.methods.clip.zero_shot import Scale, embed_images, text_classifier, zero_shot_scores
from core.models.weights import load
from tests.clip_toy import save_tiny_clip

TEMPLATES = ("a photo of a {}.",)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five photos in two classes, one of them broken, and what is no photo."""
    random = np.random.default_rng(0)
    for name in ("red_car", "ship"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(2):
            pixels = random.integers(0, 255, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    (tmp_path / "photos" / "ship" / "broken.jpg").write_bytes(b"\xff\xd8\xff no more")
    (tmp_path / "photos" / "ship" / "notes.txt").write_text("no photo", encoding="utf-8")
    (tmp_path / "photos" / ".thumbs").mkdir()
    Image.new("RGB", (30, 30)).save(tmp_path / "photos" / ".thumbs" / "0.png")
    return tmp_path / "photos"


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_every_file_gets_the_answer_it_gets_alone(clip: Path, folder: Path, batch_size: int) -> None:
    model: Any = load(f"folder:{clip}")
    files = image_files(folder)
    labels = folder_labels(folder, files)
    assert labels == ("red car", "ship")
    answers = list(classify_files(model, files, labels, TEMPLATES, batch_size=batch_size))
    assert [answer.path for answer in answers] == files
    assert [bool(answer.problem) for answer in answers] == [file.name == "broken.jpg" for file in files]
    weights = text_classifier(model.module, labels, TEMPLATES)
    for answer in answers:
        assert answer.true_label == answer.path.parent.name.replace("_", " ")
        if answer.problem:
            continue
        pixels = to_batch([Image.open(answer.path)], model.network.preprocessing)
        alone = zero_shot_scores(embed_images(model.module, pixels), weights, labels, Scale.of(model.module))
        assert answer.label == labels[int(alone.order()[0])]
        assert answer.probability == pytest.approx(float(alone.probabilities.max()), abs=1e-4)
    right = accuracy_of(answers)
    assert right is not None
    assert right.count == 4
    assert accuracy_of(list(classify_files(model, files, ["deer"], TEMPLATES))) is None


def test_folders_without_images_and_models_without_words_are_sentences(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="no folder"):
        image_files(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CoreError, match="holds no"):
        image_files(tmp_path / "empty")
    with pytest.raises(IncompatibleError, match="it knows no texts"):
        list(classify_files(load("cnn_small"), image_files(folder), ["cat"], TEMPLATES))


def test_the_command_prints_answers_and_accuracy_and_writes_a_table(clip: Path, folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "answers.csv"
    arguments = ["classify", str(folder), "--model", f"folder:{clip}", "--csv", str(table)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "red_car/0.png" in done.output
    assert "was said of 2 of 4." in done.output
    assert "broken.jpg" in done.output
    rows = table.read_text(encoding="utf-8").splitlines()
    assert rows[0] == "file,label,probability,true_label,problem"
    assert len(rows) == 6
    done = CliRunner().invoke(app, [*arguments, "--labels", "cat, dog", "--template", "a drawing of a {}"])
    assert done.exit_code == 0, done.output
    assert "was said of" not in done.output
    (tmp_path / "labels.txt").write_text("red car\nship\ndeer\n", encoding="utf-8")
    done = CliRunner().invoke(app, [*arguments, "--labels", str(tmp_path / "labels.txt"), "--limit", "2"])
    assert "was said of 2 of 2." in done.output or "was said of 1 of 2." in done.output
    done = CliRunner().invoke(app, [*arguments, "--template", "a photo"])
    assert isinstance(done.exception, CoreError)


def test_a_classifier_answers_with_its_own_classes(folder: Path, tmp_path: Path) -> None:
    model: Any = load("cnn_small")
    files = image_files(folder)
    answers = list(classify_by_classes(model, files, batch_size=2))
    assert [bool(answer.problem) for answer in answers] == [file.name == "broken.jpg" for file in files]
    for answer in answers:
        if answer.problem:
            continue
        assert answer.true_label == ("ship" if answer.path.parent.name == "ship" else "")
        pixels = to_batch([Image.open(answer.path)], model.network.preprocessing)
        alone = softmax(predict_logits(model.module, pixels))[0]
        assert answer.label == model.classes[int(alone.argmax())]
        assert answer.probability == pytest.approx(float(alone.max()), abs=1e-4)
    done = CliRunner().invoke(app, ["classify", str(folder), "--model", "cnn_small"])
    assert done.exit_code == 0, done.output
    assert "was said of" in done.output
    done = CliRunner().invoke(app, ["classify", str(folder), "--model", "cnn_small", "--labels", "cat, dog"])
    assert isinstance(done.exception, IncompatibleError)


def test_a_table_makes_its_folder_before_the_work(clip: Path, folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "not" / "yet" / "answers.csv"
    arguments = ["classify", str(folder), "--model", f"folder:{clip}"]
    done = CliRunner().invoke(app, [*arguments, "--csv", str(table)])
    assert done.exit_code == 0, done.output
    assert len(table.read_text(encoding="utf-8").splitlines()) == 6
    done = CliRunner().invoke(app, [*arguments, "--csv", str(tmp_path)])
    assert isinstance(done.exception, CoreError)
    assert "0.png" not in done.output
    done = CliRunner().invoke(app, [*arguments, "--csv", str(table / "inside.csv")])
    assert isinstance(done.exception, CoreError)


def test_labels_out_of_a_file_or_its_absence(clip: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes("id,label\n0,ship\n1,red car\n".encode("utf-16"))
    arguments = ["classify", str(folder), "--model", f"folder:{clip}", "--limit", "2", "--labels"]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "labels.csv")])
    assert done.exit_code == 0, done.output
    assert "was said of" in done.output
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "label.csv")])
    assert isinstance(done.exception, CoreError)
    assert "no file" in str(done.exception)
