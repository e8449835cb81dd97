"""Pictures that a VAE is shown: of data sets, its own, drawn, from files; and a sentence for each that does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.image_sets import dataset_sample
from core.errors import ConfigError, CoreError
from core.methods.latent.pictures import as_bytes, as_digit, fit_words, open_files, open_pictures
from core.models.vae import VAEConfig
from core.reports import finish
from tests.methods.latent.toy_vae import SIDE, tiny
from tests.toy import save_toy

MNIST = VAEConfig()


def test_an_address_names_the_same_pictures_here_and_in_embeddings() -> None:
    save_toy({"train": 20, "test": 9})
    model = tiny(image_size=8, channels=3)
    found = open_pictures(model, "data:toy/test/5/3")
    sample = finish(dataset_sample("toy", "test", 5, 3))
    assert np.array_equal(found.images, np.asarray(sample.source(8).images))
    assert np.array_equal(found.labels, sample.labels)
    assert (found.classes, found.note) == (("dark", "red"), "")


def test_pictures_of_another_kind_are_made_to_fit_and_it_is_said() -> None:
    save_toy({"test": 6})
    found = open_pictures(tiny(), "data:toy/test/6/0")
    assert found.images.shape == (6, SIDE, SIDE, 1)
    assert "colour pictures of 8 × 8 pixels" in found.note
    assert "in grey at 4 × 4" in found.note


def test_a_model_draws_its_own_pictures_the_same_for_the_same_seed() -> None:
    model = tiny()
    first, again, other = (open_pictures(model, f"own:7/{seed}").images for seed in (0, 0, 1))
    assert first.shape == (7, SIDE, SIDE, 1)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "address",
    ["", "own:", "own:0/0", "own:20000/0", "own:5/-1", "data:toy/test", "own:5/0/0", "x:5/0", "data:no/test/5/0"],
)
def test_an_address_that_names_nothing_is_a_sentence(address: str) -> None:
    with pytest.raises(CoreError):
        open_pictures(tiny(), address)


def test_a_drawing_is_placed_as_mnist_places_its_digits() -> None:
    drawing = np.zeros((56, 56), np.uint8)
    drawing[2:12, 3:6] = 255  # a small stroke in a corner
    digit = np.asarray(as_digit(drawing, 28)).astype(float)
    rows, columns = np.nonzero(digit > 128)
    assert rows.max() - rows.min() + 1 == 20
    middle = [(np.arange(28) * digit.sum(axis=1 - axis)).sum() / digit.sum() for axis in (0, 1)]
    assert np.abs(np.array(middle) - 13.5).max() <= 0.5
    assert 5 <= columns.max() - columns.min() + 1 <= 7


@pytest.mark.parametrize("level", [0, 24])
def test_an_empty_drawing_is_a_sentence(level: int) -> None:
    with pytest.raises(ConfigError, match="drawing is empty"):
        as_digit(np.full((56, 56), level, np.uint8), 28)


@pytest.mark.parametrize(
    ("size", "mode", "config", "said"),
    [
        ((28, 28), "L", MNIST, ""),
        ((28, 28), "RGB", MNIST, "it was in colour and became grey"),
        ((28, 28), "I;16", MNIST, "16 bits"),
        ((640, 480), "L", MNIST, "cut square, it went from 640 × 480 to 28 × 28"),
        ((32, 32), "RGB", VAEConfig(image_size=32, channels=3), ""),
    ],
)
def test_what_was_done_to_a_file_is_said(size: tuple[int, int], mode: str, config: VAEConfig, said: str) -> None:
    words = fit_words("x.png", size, mode, config)
    assert said in words
    assert bool(words) == bool(said)


def test_files_of_every_kind_become_what_the_model_takes(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (255, 0, 0)).save(tmp_path / "a.png")
    Image.fromarray(np.full((28, 28), 40_000, np.uint16)).save(tmp_path / "b.png")
    Image.new("L", (28, 28), 10).save(tmp_path / "c.png")
    found = open_files(MNIST, [tmp_path])
    assert found.shape == (3, 28, 28, 1)
    assert [int(each[0, 0, 0]) for each in found] == [76, 156, 10]
    assert int(open_files(MNIST, [tmp_path / "c.png"], inverted=True)[0, 0, 0, 0]) == 245
    (tmp_path / "d.png").write_bytes(b"no picture")
    for files in ([tmp_path / "d.png"], [tmp_path / "missing.png"], []):
        with pytest.raises(CoreError):
            open_files(MNIST, files)


def test_bytes_are_rounded_and_within_their_bounds() -> None:
    assert as_bytes(np.array([-1.0, 0.5, 1.2])).tolist() == [0, 128, 255]
