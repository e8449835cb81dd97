"""The recipes that pages hand out are run, not admired: as they stand, and with the settings of a view."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data.arrays import save_arrays
from core.data.pictures import open_picture
from core.errors import CoreError
from core.models import weights
from core.models.checkpoint import read_card
from core.paths import BUNDLED, CHECKOUT
from pages.shared.recipes import (
    BEGIN,
    END,
    PAGES,
    fill,
    filled_recipe,
    picture_setting,
    recipe_files,
    set_setting,
    values_in,
    without_settings,
)
from tests.pages.exports import run_recipe
from tests.pages.test_condition_panels import save_tiny_classifier
from tests.toy import save_toy

FILES = {path.relative_to(PAGES).as_posix(): path for path in recipe_files()}
# What a recipe may stand on; pages and Streamlit are not among it.
MAY_IMPORT = {"core", "numpy", "PIL", "torch", *sys.stdlib_module_names}
SMALL = f"""import numpy as np
{BEGIN}
NAME: str = "é"  # a comment
NUMBERS = (1, 2)
{END}
print(NAME, NUMBERS)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, with stand-ins for what no checkout brings: CIFAR-10 and an ImageNet network."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    folder, random = save_toy(name="cifar10"), np.random.default_rng(0)
    card = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    for split, labels in {"train": np.arange(100) % 10, "test": np.arange(20) % 10}.items():
        save_arrays(folder, split, random.integers(0, 255, (len(labels), 32, 32, 3), dtype=np.uint8), labels)
        card["splits"][split] = len(labels)
    card |= {"classes": [f"class {number}" for number in range(10)], "image_size": [32, 32]}
    (folder / "dataset.json").write_text(json.dumps(card), encoding="utf-8")
    real, tiny = weights.load, save_tiny_classifier(tmp_path / "tiny")
    monkeypatch.setattr(weights, "load", lambda name: real({"efficientnet_lite0": tiny}.get(name, name)))
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_every_recipe_runs_as_it_stands(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_recipe(FILES[name].read_text(encoding="utf-8"), capsys).strip()


@pytest.mark.parametrize("name", FILES)
def test_recipes_need_the_library_alone_and_say_how_they_are_run(name: str) -> None:
    tree = ast.parse(FILES[name].read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {module.partition(".")[0] for module in imported} <= MAY_IMPORT
    assert "Run it in Vitrine's folder: python " in str(ast.get_docstring(tree))


@pytest.mark.parametrize("name", FILES)
def test_the_settings_that_a_recipe_has_can_be_written_into_it_again(name: str) -> None:
    source = FILES[name].read_text(encoding="utf-8")
    values = {name.lower(): ast.literal_eval(node) for name, node in values_in(source)}
    assert values
    assert ast.dump(ast.parse(fill(source, values))) == ast.dump(ast.parse(source))


def test_a_recipe_runs_by_itself_somewhere_else(tmp_path: Path) -> None:
    """As people do it: saved as a file, in another folder and another process."""
    (tmp_path / "anatomy.py").write_text(filled_recipe("anatomy", model="cnn_small"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "anatomy.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "VITRINE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert "convolution" in done.stdout


LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50)
@given(name=LITERALS, numbers=LITERALS)
def test_any_value_arrives_as_it_is_and_nothing_else_changes(name: object, numbers: object) -> None:
    found: dict[str, object] = {}
    filled = fill(SMALL, {"name": name, "numbers": numbers})
    exec(compile(filled.replace("print(NAME, NUMBERS)", ""), "recipe.py", "exec"), found)
    assert (found["NAME"], found["NUMBERS"]) == (name, numbers)
    assert without_settings(filled) == without_settings(SMALL)


HOSTILE = (
    '"); raise SystemExit',
    "'''",
    '"""',
    "\\",
    f"x\n{END}\nraise SystemExit",
    "\u2028",
    "\u202ex",
    "\ud800",
    "\x00",
    "{}",
    "a\rb",
    "y" * 300,
)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_stay_names(hostile: str) -> None:
    recipe = filled_recipe("clip", model=hostile, image="example:cat", labels=[hostile, "x"], templates=["{}"])
    found = {name: ast.literal_eval(node) for name, node in values_in(recipe)}
    assert found["MODEL"] == hostile
    assert found["LABELS"] == [hostile, "x"]
    assert all(letter.isprintable() for line in recipe.split("\n") for letter in line)
    assert without_settings(recipe) == without_settings(FILES["clip/recipe.py"].read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "values",
    [
        {"name": "x"},
        {"name": "x", "numbers": 1, "more": 2},
        {"name": float("nan"), "numbers": 1},
        {"name": object(), "numbers": 1},
        {"name": np.zeros(2), "numbers": 1},
        {"name": Path("x"), "numbers": 1},
    ],
)
def test_what_cannot_be_a_setting_is_loud(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="recipe"):
        fill(SMALL, values)


@pytest.mark.parametrize(
    "wrong",
    [SMALL.replace(END, ""), SMALL * 2, SMALL.replace("NUMBERS =", "print(1)\nNUMBERS =")],
)
def test_a_file_without_one_block_of_settings_is_no_recipe(wrong: str) -> None:
    with pytest.raises(ValueError, match="recipe"):
        fill(wrong, {"name": "x", "numbers": 1})


def test_numbers_of_arrays_are_numbers() -> None:
    assert "NUMBERS = 3\n" in fill(SMALL, {"name": "x", "numbers": np.int64(3)})


def test_recipes_open_the_picture_they_were_made_from(place: Path) -> None:
    assert picture_setting("example:flower") == "example:flower"
    assert picture_setting("upload:0123", "photo_2") == "photo_2.jpg"
    assert set_setting("views:3/0") == "views:3/0"
    assert set_setting("photos:012/1/0") == "photos"
    open_picture("example:cat").save(place / "photo.jpg")
    assert open_picture("photo.jpg").size == open_picture("example:cat").size
    assert open_picture("data:cifar10/test/3/5").size == (32, 32)
    for wrong in ("data:cifar10/test/3/12", "data:cifar10/test/3", "data:cifar10/test/-1/0", "nowhere.jpg", "\x00"):
        with pytest.raises(CoreError):
            open_picture(wrong)


def test_the_recipe_of_runs_draws_the_curves_of_bundled_models(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "python -m core train vit_scratch --name vit_p4"
    printed = run_recipe(filled_recipe("runs", commands={"bundled:vit_p4": command}), capsys)
    epochs = len(read_card(BUNDLED / "vit_p4").history)
    assert f"{epochs} reports" in printed
    assert command in printed
    assert (place / "accuracy.html").stat().st_size > 10_000
