"""The photos that every page opens with: present, readable, credited, and cheap to load."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from core.data import examples
from core.data.examples import EXAMPLES, load_example
from core.errors import CoreError, UnknownNameError

ROOT = Path(__file__).resolve().parents[2]


def test_the_cat_comes_first():
    assert next(iter(EXAMPLES)) == "cat"
    assert 6 <= len(EXAMPLES) <= 8


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_is_a_credited_photo(name):
    picture = load_example(name)
    assert picture.mode == "RGB"
    assert min(picture.size) >= 300
    example = EXAMPLES[name]
    assert example.name == name
    assert all((example.title, example.package, example.attribution, example.licence))


@pytest.mark.parametrize("name", [name for name, example in EXAMPLES.items() if example.word])
def test_expected_words_are_imagenet_classes(name):
    from torchvision.models import ResNet18_Weights

    assert EXAMPLES[name].word in ResNet18_Weights.IMAGENET1K_V1.meta["categories"]


def test_attribution_agrees_with_the_readme_of_scikit_learn():
    readme = (Path(find_spec("sklearn").origin).parent / "datasets/images/README.txt").read_text(encoding="utf-8")
    for example in EXAMPLES.values():
        if example.package == "scikit-learn":
            assert Path(example.file).name in readme
            assert example.attribution.split()[0] in readme
            assert "licenses/by/2.0" in readme


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="cat"):
        load_example("cats")


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(examples, "find_spec", lambda module: None)
    with pytest.raises(CoreError, match="pip install scikit-image"):
        load_example("cat")


def test_loading_imports_neither_torch_nor_the_package_that_holds_the_photo():
    code = (
        "import sys; from core.data.examples import load_example; load_example('cat'); load_example('flower'); "
        "print([name for name in ('torch', 'skimage', 'sklearn', 'pooch') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert done.stdout.strip() == "[]"
