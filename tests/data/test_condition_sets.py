"""Conditions from folders, from the splits of data sets and from ordinary pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.condition_sets import SMALL_SIDE, NotDrawableError, made_conditions, most_of_each, stored_conditions
from core.data.labelled_pictures import choose_pictures, dataset_pictures, example_pictures, folder_pictures
from core.errors import CoreError, UnknownNameError
from tests.toy import save_toy


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


def _picture(path: Path, level: int, side: int = 20) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side + 4, 3), level, np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for condition, level in (("real", 10), ("line_drawing", 200)):
        for category in ("cup", "dog"):
            for number in range(3):
                _picture(tmp_path / "pictures" / condition / category / f"{number}.png", level + number)
    (tmp_path / "pictures" / "notes.txt").write_text("not a picture", encoding="utf-8")
    return tmp_path / "pictures"


def test_a_folder_of_conditions_and_categories(folder: Path) -> None:
    found = stored_conditions(folder_pictures(str(folder)), per_group=2)
    assert found.conditions == ("Line drawing", "Real")
    assert found.categories == ("cup", "dog")
    assert [(each.condition, each.category) for each in found.pictures] == [
        (0, 0), (0, 0), (0, 1), (0, 1), (1, 0), (1, 0), (1, 1), (1, 1),
    ]  # fmt: skip
    assert len({each.thing for each in found.pictures}) == 8  # other things in each
    assert np.asarray(found.pictures[0].open())[0, 0, 0] >= 200


def test_all_pictures_are_the_default_and_what_is_too_much_is_cut_evenly(folder: Path) -> None:
    (folder / "real" / "dog" / "2.png").unlink()  # three of three groups, two of one
    pictures = folder_pictures(str(folder))
    assert len(stored_conditions(pictures).pictures) == 11
    assert most_of_each(pictures, 11) == 0
    assert most_of_each(pictures, 10) == 2
    assert most_of_each(pictures, 7) == 1
    assert len(stored_conditions(pictures, most_of_each(pictures, 10)).pictures) == 8
    with pytest.raises(CoreError, match="more than 3"):
        most_of_each(pictures, 3)


def test_a_folder_of_categories_is_one_condition(folder: Path) -> None:
    found = stored_conditions(folder_pictures(str(folder / "real")), per_group=9)
    assert found.conditions == ("Real",)
    assert len(found.pictures) == 6


def test_categories_in_file_names_and_groups_of_their_own_classes(tmp_path: Path) -> None:
    for condition in ("realistic", "geons"):
        for name in ("cup1", "cup2", "dog1", "dog2"):
            _picture(tmp_path / "named" / condition / f"{name}.png", 50)
    found = stored_conditions(folder_pictures(str(tmp_path / "named")), per_group=9)
    assert (found.conditions, found.categories) == (("Geons", "Realistic"), ("cup", "dog"))
    assert len(found.pictures) == 8
    for name in ("pets/cat", "pets/dog", "cars/bus", "cars/van"):
        _picture(tmp_path / "groups" / name / "0.png", 50)
    assert stored_conditions(folder_pictures(str(tmp_path / "groups")), per_group=9).conditions == ("Cars", "Pets")


def test_folders_that_hold_nothing_to_choose_among(tmp_path: Path, folder: Path) -> None:
    _picture(tmp_path / "single" / "dog" / "0.png", 9)
    with pytest.raises(CoreError, match="one class"):
        folder_pictures(str(tmp_path / "single"))
    with pytest.raises(CoreError, match="no class folders"):
        folder_pictures(str(folder / "real" / "dog"))
    (tmp_path / "empty").mkdir()
    for text in (str(tmp_path / "empty"), str(tmp_path / "nowhere"), "~nobody_at_all/x", "\0"):
        with pytest.raises(CoreError):
            folder_pictures(text)


def test_splits_of_a_data_set_are_conditions() -> None:
    save_toy({"sketch": 10, "photo": 8})
    found = stored_conditions(dataset_pictures("toy"), per_group=3)
    assert found.conditions == ("Sketch", "Photo")
    assert found.categories == ("dark", "red")
    assert len(found.pictures) == 12
    assert stored_conditions(dataset_pictures("toy", ("photo",)), per_group=3).conditions == ("Photo",)
    with pytest.raises(UnknownNameError):
        dataset_pictures("toy", ("geons",))


def test_made_conditions_show_the_same_things() -> None:
    save_toy({"test": 10})
    found = made_conditions(dataset_pictures("toy", ("test",)), 2, {"whole": 0, "blur": 3, "features": 4})
    assert found.conditions == ("As it is", "Blurred", "Shuffled parts")
    things = [[each.thing for each in found.pictures if each.condition == condition] for condition in range(3)]
    assert things[0] == things[1] == things[2] == [0, 1, 2, 3]
    whole, blurred, shuffled = (
        np.asarray(next(each for each in found.pictures if each.condition == condition).open())
        for condition in range(3)
    )
    assert whole.shape == (SMALL_SIDE, SMALL_SIDE, 3)
    assert blurred.std() < whole.std()
    np.testing.assert_array_equal(np.sort(shuffled, axis=None), np.sort(whole, axis=None))


def test_a_condition_that_cannot_be_drawn_says_so(tmp_path: Path) -> None:
    for category in ("a", "b"):
        _picture(tmp_path / "flat" / category / "0.png", 90)
    found = made_conditions(folder_pictures(str(tmp_path / "flat")), 1, {"whole": 0, "silhouette": 0})
    assert found.pictures[0].open().size == (SMALL_SIDE, SMALL_SIDE)
    with pytest.raises(NotDrawableError, match="Silhouette"):
        found.pictures[2].open()


def test_classes_without_a_picture_are_no_choice() -> None:
    save_toy({"test": 1})
    assert made_conditions(dataset_pictures("toy"), 5, {"whole": 0}).categories == ("dark",)


def test_the_bundled_photos_are_there() -> None:
    found = example_pictures()
    (group,) = found.groups.values()
    assert "espresso" in found.classes
    assert group[0].open().mode == "RGB"
    assert len(choose_pictures(group, 1)) == len(found.classes)


def test_choices_repeat_and_differ_by_seed() -> None:
    save_toy({"test": 60})
    (group,) = dataset_pictures("toy").groups.values()
    first, again, other = ([each.title for each in choose_pictures(group, 5, seed)] for seed in (0, 0, 1))
    assert first == again != other
    assert len(first) == 10
