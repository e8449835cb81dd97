"""A folder of photos, broken ones among them, named by labels."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from core.cli.main import app
from core.data.samples import dataset_samples, file_samples, image_files, sample_labels
from core.data.transforms import to_batch
from core.errors import CoreError, IncompatibleError
from core.methods.accuracy.class_matching import outputs_meaning
from core.methods.accuracy.classify import accuracy_in, classify_samples, summary
from core.methods.accuracy.predictions import predict_logits, softmax
from core.methods.clip.zero_shot import Scale, embed_images, text_classifier, zero_shot_scores
from core.models.imagenet import imagenet_classes
from core.models.weights import load
from tests.clip_toy import save_tiny_clip
from tests.toy import save_toy

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
    samples = file_samples([folder])
    assert [folder / sample.title for sample in samples] == image_files(folder)
    labels = sample_labels(samples)
    assert labels == ("red car", "ship")
    answers = list(classify_samples(model, samples, labels=labels, templates=TEMPLATES, batch_size=batch_size))
    assert [bool(answer.problem) for answer in answers] == [sample.title.endswith("broken.jpg") for sample in samples]
    weights = text_classifier(model.module, labels, TEMPLATES)
    for sample, answer in zip(samples, answers, strict=True):
        assert labels[answer.truth[0]] == sample.true_label == Path(sample.title).parent.name.replace("_", " ")
        if answer.problem:
            assert (answer.top, answer.place) == ((), 0)
            continue
        pixels = to_batch([Image.open(folder / sample.title)], model.network.preprocessing)
        alone = zero_shot_scores(embed_images(model.module, pixels), weights, labels, Scale.of(model.module))
        order = alone.order().tolist()
        assert [each.class_index for each in answer.top] == order
        assert answer.top[0].probability == pytest.approx(float(alone.probabilities.max()), abs=1e-4)
        assert answer.place == order.index(answer.truth[0]) + 1
    right = accuracy_in(answers)
    assert right is not None
    assert right.count == 4
    assert accuracy_in(answers, 2).correct == 4  # type: ignore[union-attr]
    assert accuracy_in(list(classify_samples(model, samples, labels=["deer"], templates=TEMPLATES))) is None


def test_folders_without_images_and_models_without_words_are_sentences(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="no folder"):
        image_files(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CoreError, match="holds no"):
        image_files(tmp_path / "empty")
    with pytest.raises(IncompatibleError, match="it knows no texts"):
        classify_samples(load("cnn_small"), file_samples([folder]), labels=["cat"])


def test_files_and_folders_together_and_ids_in_front_of_names(folder: Path) -> None:
    tabby = folder / "n02123045_tabby_cat.jpg"
    Image.new("RGB", (30, 30)).save(tabby)
    found = file_samples([folder / "ship", folder / "red_car" / "0.png", tabby])
    assert [(each.title, each.true_label) for each in found] == [
        ("0.png", ""),
        ("1.png", ""),
        ("broken.jpg", ""),
        ("0.png", ""),
        ("n02123045_tabby_cat.jpg", "tabby"),
    ]


def test_outputs_mean_a_thing_by_name_and_by_wordnet() -> None:
    imagenet, ten = imagenet_classes(), ("airplane", "automobile", "bird", "cat", "dog")
    assert outputs_meaning(ten, ("automobile",)) == (1,)
    assert outputs_meaning(("tabby, tabby cat", "lynx"), ("tabby",)) == (0,)
    assert outputs_meaning(imagenet, ("n02123045", "tabby, tabby cat")) == (281,)
    assert outputs_meaning(imagenet, ("cat",))[:5] == (281, 282, 283, 284, 285)  # every kind of cat
    assert 207 not in outputs_meaning(imagenet, ("cat",))
    assert len(outputs_meaning(imagenet, ("dog",))) == 118
    assert outputs_meaning(ten, ("n02123045",)) == (3,)  # a tabby is a cat
    assert outputs_meaning(imagenet, ("crane",)) == ()  # which of the two?
    assert outputs_meaning(imagenet, ("n03126707", "crane")) == (517,)
    assert outputs_meaning(ten, ("guitar",)) == outputs_meaning(imagenet, ()) == ()


def test_the_command_prints_answers_and_accuracy_and_writes_a_table(clip: Path, folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "answers.csv"
    arguments = ["classify", str(folder), "--model", f"folder:{clip}", "--csv", str(table)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "red_car/0.png" in done.output
    assert re.search(r"top 1 right for 2 of 4, top 5 for 4 of 4\.", done.output)
    assert "broken.jpg" in done.output
    rows = table.read_text(encoding="utf-8").splitlines()
    assert rows[0] == "file,label,probability,true_label,problem,model,place,label_2,probability_2"
    assert len(rows) == 6
    done = CliRunner().invoke(app, [*arguments, "--labels", "cat, dog", "--template", "a drawing of a {}"])
    assert done.exit_code == 0, done.output
    assert "top 1" not in done.output
    (tmp_path / "labels.txt").write_text("red car\nship\ndeer\n", encoding="utf-8")
    done = CliRunner().invoke(app, [*arguments, "--labels", str(tmp_path / "labels.txt"), "--limit", "2"])
    assert re.search(r"right for [12] of 2,", done.output)
    done = CliRunner().invoke(app, [*arguments, "--template", "a photo"])
    assert isinstance(done.exception, CoreError)


def test_a_classifier_answers_with_its_own_classes(folder: Path) -> None:
    model: Any = load("cnn_small")
    samples = file_samples([folder])
    answers = list(classify_samples(model, samples, batch_size=2))
    for sample, answer in zip(samples, answers, strict=True):
        assert answer.truth == ((8,) if sample.true_label == "ship" else ())
        if answer.problem:
            continue
        pixels = to_batch([Image.open(folder / sample.title)], model.network.preprocessing)
        alone = softmax(predict_logits(model.module, pixels))[0]
        order = np.argsort(-alone, kind="stable").tolist()
        assert [each.label for each in answer.top] == [model.classes[index] for index in order[:5]]
        assert answer.top[0].probability == pytest.approx(float(alone.max()), abs=1e-4)
        assert answer.place == (order.index(8) + 1 if answer.truth else 0)
    assert "2 pictures of no class that is known and its own" in summary(answers)
    done = CliRunner().invoke(app, ["classify", str(folder), "--model", "cnn_small"])
    assert done.exit_code == 0, done.output
    assert "top 1 right for" in done.output
    done = CliRunner().invoke(app, ["classify", str(folder), "--model", "cnn_small", "--labels", "cat, dog"])
    assert isinstance(done.exception, IncompatibleError)


def test_several_pictures_by_several_classifiers_as_table_and_json(
    clip: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models = ["--model", "cnn_small", "--model", f"folder:{clip}", "--labels", "ship, red car"]
    done = CliRunner().invoke(app, ["classify", str(folder), *models, "--json", "-"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["models"] == ["cnn_small", f"folder:{clip}"]
    assert [each["file"] for each in found["pictures"]] == [each.title for each in file_samples([folder])]
    broken = next(each for each in found["pictures"] if each["file"] == "ship/broken.jpg")
    assert all(each["problem"] and not each["top"] for each in broken["answers"].values())
    first = found["pictures"][0]["answers"]
    assert len(first["cnn_small"]["top"]) == 5
    assert first["cnn_small"]["place"] is None  # CIFAR-10 has no red car
    assert sum(each["probability"] for each in first[f"folder:{clip}"]["top"]) == pytest.approx(1, abs=1e-5)
    done = CliRunner().invoke(app, ["classify", str(folder), *models])
    assert "ship/0.png   [ship]" in done.stdout
    assert done.stdout.count("cnn_small ") == 5
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy({"train": 8, "test": 8})
    done = CliRunner().invoke(app, ["classify", "--data", "toy", "--limit", "6", "--json", "-", *models[2:]])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["pictures"]
    assert [each["true_label"] for each in found] == [each.true_label for each in dataset_samples("toy", "test", 6)]
    assert len(found) == 6
    for wrong in (["classify"], ["classify", str(folder), "--data", "toy"]):
        assert "Which pictures?" in str(CliRunner().invoke(app, wrong).exception)


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
    assert "top 1 right for" in done.output
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "label.csv")])
    assert isinstance(done.exception, CoreError)
    assert "no file" in str(done.exception)
