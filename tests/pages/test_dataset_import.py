"""The form that brings data sets: shows what it understood, asks where two readings are equally good, then chooses."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.data.catalogue import installed_datasets, read_dataset
from core.paths import data_root
from pages.shared.work import with_progress
from tests.data.test_reading import folder_of, picture
from tests.pages.harness import text_of, while_clicked_again


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


def form() -> None:
    import streamlit as st

    from core.data.catalogue import installed_datasets
    from pages.shared.dataset_import import arrived, dataset_import

    arrived("here", "picker")
    st.selectbox("Data set", ["none", *installed_datasets()], key="picker")
    dataset_import("my_images", "here")


def opened(source: Path) -> AppTest:
    app = AppTest.from_function(form, default_timeout=600).run()
    app.segmented_control(key="here-from").set_value("Path on this machine").run()
    app.text_input(key="here-path-0").set_value(str(source)).run()
    assert not app.exception, app.exception
    return app


def test_what_was_understood_is_shown_before_anything_is_stored(tmp_path: Path) -> None:
    names = [
        f"{s}/{c}/{n}.png" for s, count in (("train", 3), ("test", 2)) for c in ("cat", "dog") for n in range(count)
    ]
    folder = folder_of(tmp_path / "pets", [*names, "stray.png"])
    (folder / "test/cat/0.png").write_bytes((folder / "train/cat/0.png").read_bytes())
    (folder / "owl").mkdir()
    app = opened(folder)
    rows = app.dataframe[0].value
    assert rows[["class", "test", "train"]].to_numpy().tolist() == [["cat", 2, 3], ["dog", 2, 3]]
    assert all(each.startswith("data:image/jpeg;base64,") for each in rows["picture"])
    said = text_of(app)
    assert "1 picture is in both test and train" in said
    assert "No validation split is given" in said
    assert "an empty folder" in said
    assert app.expander[0].label == "2 files are skipped"
    assert installed_datasets() == {}
    app.button(key="here-import").click().run()
    assert not app.exception, app.exception
    assert app.success[0].value == "my\\_images is here: 2 classes; test 4, train 6."
    assert app.selectbox(key="picker").value == "my_images"
    assert read_dataset("my_images")["splits"] == {"test": 4, "train": 6}
    assert app.text_input(key="here-path-1").value == ""
    assert app.text_input(key="here-name-my_images_2").value == "my_images_2"
    app.run()
    assert not app.success


def test_a_second_click_while_the_first_one_imports_brings_no_second_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(folder_of(tmp_path / "pets", [f"{c}/{n}.png" for c in ("cat", "dog") for n in range(2)]))
    bring = while_clicked_again(app, "here-import", with_progress)
    monkeypatch.setattr("pages.shared.dataset_import.with_progress", bring)
    app.button(key="here-import").click().run()
    assert not app.exception, app.exception
    assert not app.error
    assert [*installed_datasets()] == ["my_images"]
    assert app.success[0].value == "my\\_images is here: 2 classes; all 4."
    assert app.selectbox(key="picker").value == "my_images"


def test_two_equally_good_readings_are_a_choice(tmp_path: Path) -> None:
    names = [f"{c}/{n}.png" for c in ("pets/cat", "pets/dog", "cars/bus", "cars/van") for n in (1, 2)]
    app = opened(folder_of(tmp_path / "things", names))
    assert any("equally good" in each.value for each in app.info)
    assert not [each for each in app.button if each.key == "here-import"]
    choice = app.selectbox[1]
    assert choice.value is None
    choice.set_value("inner-folders").run()
    assert app.dataframe[0].value["class"].tolist() == ["bus", "cat", "dog", "van"]
    assert "--layout inner-folders" in app.code[0].value
    app.button(key="here-import").click().run()
    assert read_dataset("my_images")["classes"] == ["bus", "cat", "dog", "van"]


def test_another_layout_than_the_best_can_be_chosen(tmp_path: Path) -> None:
    names = [f"{c}/{k}{n}.png" for c in ("real", "geons") for k in ("car", "dog") for n in (1, 2)]
    app = opened(folder_of(tmp_path / "shapes", names))
    assert app.selectbox[1].value == "condition-names"
    assert "--layout" not in app.code[0].value
    app.selectbox[1].set_value("class-folders").run()
    assert app.dataframe[0].value["class"].tolist() == ["geons", "real"]
    assert "--layout class-folders" in app.code[0].value


def test_an_upload_is_read_and_stored(tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for number, name in enumerate(("cat_1.png", "cat_2.png", "dog_1.png", "dog_2.png")):
            archive.writestr(name, picture(number))
    app = AppTest.from_function(form, default_timeout=600).run()
    app.file_uploader[0].set_value(("pets.zip", data.getvalue(), "application/zip")).run()
    assert app.dataframe[0].value["class"].tolist() == ["cat", "dog"]
    app.text_input(key="here-name-my_images").set_value("No Name").run()
    app.button(key="here-import").click().run()
    assert any("cannot name a data set" in each.value for each in app.error)
    app.text_input(key="here-name-my_images").set_value("pets").run()
    app.button(key="here-import").click().run()
    assert not app.exception, app.exception
    assert app.selectbox(key="picker").value == "pets"
    assert sorted(path.name for path in data_root().iterdir()) == ["pets"]


@pytest.mark.parametrize("name", ["nowhere", "phone"])
def test_what_cannot_be_read_is_a_sentence(name: str, tmp_path: Path) -> None:
    folder_of(tmp_path / "phone", ["IMG_0012.png", "PXL_2021.png"])
    app = opened(tmp_path / name)
    assert app.error
    assert not app.dataframe
