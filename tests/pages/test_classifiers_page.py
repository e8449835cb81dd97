"""Several photos by several classifiers in one table: true classes, labels, export and recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.methods.accuracy.predictions import softmax
from pages.classifiers.answers import compare, differences, true_names
from pages.shared.cache import logits_of
from pages.shared.pictures import picture_at
from tests.clip_toy import save_tiny_clip
from tests.pages.exports import exported, keep_exports, run_recipe
from tests.pages.harness import open_page, text_of
from tests.toy import save_toy


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"folder:{save_tiny_clip(tmp_path_factory.mktemp('clip') / 'tiny')}"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_table_of_photos_and_classifiers_and_the_recipe_that_prints_it(
    clip: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_exports(monkeypatch)
    app = open_page("classifiers", classifiers=f"vit_p4,{clip}", photos="example:cat,example:coffee,example:chelsea")
    export = exported(app)
    [table] = [each.proto.body for each in app.get("html") if "<table" in each.proto.body]
    assert table.count("<img") == 2  # what is no example is a sentence
    assert "unknown image" in app.error[0].value
    assert "is: espresso" in table
    assert export.table is not None
    assert len(export.table) == 2 * 2 * 5
    picture = picture_at("example:cat")
    shares = np.sort(softmax(logits_of("vit_p4", picture.digest, picture.image)))[::-1]
    own = export.table[(export.table["model"] == "vit_p4") & (export.table["picture"] == picture.title)]
    np.testing.assert_allclose(own["probability"], shares[:5], rtol=1e-5)
    # CIFAR-10 has a cat and no coffee; of a CLIP every label is offered.
    judged = export.table.groupby("model")["right"].apply(lambda column: column.notna().sum())
    assert judged.to_dict() == {"vit_p4": 5, clip: 10}
    # A CLIP is offered what each photo truly is.
    assert {"espresso", true_names(picture)[0]} <= set(export.facts["labels"])  # type: ignore[arg-type]
    printed = run_recipe(export.recipe, capsys)
    for _, row in export.table.iterrows():
        assert f"{row['class']} {row['probability']:.1%}" in printed
    assert export.facts["right"]["vit_p4"] in printed  # type: ignore[index]
    app.text_input(key="classifier_labels").set_value("cat, dog, espresso").run()
    assert exported(app).facts["labels"] == ["cat", "dog", "espresso"]
    assert "Offered to models of images and texts: cat, dog, espresso." in text_of(app)


def test_pictures_of_data_sets_bring_their_class_and_models_are_compared_photo_by_photo(clip: str) -> None:
    save_toy({"train": 12, "test": 12})
    pictures = [picture_at(f"data:toy/test/0/{place}") for place in range(8)]
    assert {true_names(each)[0] for each in pictures} == {"dark", "red"}
    found = compare([clip, "vit_p4"], pictures, "")
    assert found.labels == ("dark", "red")
    assert all(each.place in (1, 2) for each in found.answers[clip])
    assert all(each.truth == () for each in found.answers["vit_p4"])
    assert differences(found) == []
    found = compare([clip, f"{clip}/"], pictures, "")
    assert "+0.0 points" in differences(found)[0]
