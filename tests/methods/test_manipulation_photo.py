"""One photo asked about: networks that are built to go by one thing alone come out as built."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from core.data.transforms import HALF_NORMALISATION, Preprocessing
from core.errors import ConfigError, IncompatibleError
from core.figures.manipulations import plot_strengths
from core.methods.clip.zero_shot import class_weights, embed_texts
from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.photo import (
    PhotoAnswers,
    ask_about_photo,
    ladder_steps,
    photo_square,
    photo_versions,
)
from core.methods.manipulations.steps import Step
from core.models.catalogue import find_model
from core.models.spec import LoadedModel, Network
from core.models.weights import load

SIDE = 32


class ReadsColour(nn.Module):
    """Which of the three channels is the brightest on average: nothing but colour."""

    def forward(self, images: Tensor) -> Tensor:
        return 20 * images.mean(dim=(2, 3))


class ReadsShape(nn.Module):
    """Whether the middle is brighter than the border, darker, or alike: nothing but where light is."""

    def forward(self, images: Tensor) -> Tensor:
        grey = images.mean(dim=1)
        middle = grey[:, 8:24, 8:24].mean(dim=(1, 2))
        rest = (grey.sum(dim=(1, 2)) - middle * 256) / (SIDE * SIDE - 256)
        return 20 * torch.stack([middle - rest, rest - middle, torch.full_like(rest, 0.05)], dim=1)


class ReadsOnePatch(nn.Module):
    """How bright the eight by eight pixels at the top left are."""

    def forward(self, images: Tensor) -> Tensor:
        patch = images[:, :, :8, :8].mean(dim=(1, 2, 3))
        return 20 * torch.stack([patch, -patch, torch.zeros_like(patch)], dim=1)


def built(module: nn.Module) -> LoadedModel:
    network = SimpleNamespace(
        module=module.eval(),
        preprocessing=Preprocessing(size=SIDE, normalisation=HALF_NORMALISATION),
        classes=("first", "second", "third"),
    )
    return LoadedModel(spec=find_model("cnn_small"), network=cast(Network, network))


def square_on_green(light: int = 230) -> np.ndarray:
    """A light greenish square in the middle of dark green; every manipulation's answer is known."""
    photo = np.zeros((SIDE, SIDE, 3), np.uint8)
    photo[..., 1] = 90
    photo[8:24, 8:24] = (light // 2, light, light // 2)
    return photo


def same(module: nn.Module, *steps: Step, seed: int = 0) -> bool:
    photo = square_on_green()
    found = ask_about_photo(built(module), photo, photo_versions(photo, [steps], seed=seed))
    assert found.probabilities.shape == (1, 3)
    assert found.probabilities.sum() == pytest.approx(1)
    return bool(found.same[0])


def test_what_reads_colour_alone_is_moved_by_colour_alone() -> None:
    for step in (Step("scramble", 4), Step("scramble", 16), Step("pixelate", 8), Step("blur", 6), Step("jpeg", 50)):
        assert same(ReadsColour(), step)
    for step in (Step("hue", 120), Step("channels", 1), Step("silhouette", 100), Step("hue", -120)):
        assert not same(ReadsColour(), step)


def test_what_reads_shape_alone_is_moved_by_tiles_and_not_by_colour() -> None:
    for step in (Step("hue", 120), Step("channels", 5), Step("grey", 100), Step("elastic", 2), Step("brightness", 0.5)):
        assert same(ReadsShape(), step)
    assert any(not same(ReadsShape(), Step("scramble", 4), seed=seed) for seed in range(6))
    assert not same(ReadsShape(), Step("silhouette", 100))  # black where it was light


def test_what_reads_one_patch_is_moved_by_what_is_there() -> None:
    photo = square_on_green()
    photo[:8, :8] = 255
    model = built(ReadsOnePatch())
    whole = photo_versions(photo, [[Step("blur", 1)], [Step("scramble", 4)]], seed=0)
    found = ask_about_photo(model, photo, whole)
    assert found.same.tolist() == [True, False]


def test_answers_are_those_of_the_unchanged_photo_and_what_is_kept_of_them() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.4, 0.2, 0.4]])
    found = PhotoAnswers(classes=("a", "b", "c"), probabilities=probabilities, clean=np.array([0.5, 0.1, 0.4]))
    assert found.clean_answer == 0
    assert found.answers.tolist() == [0, 1, 0]
    assert found.same.tolist() == [True, False, True]
    assert found.kept.tolist() == [0.6, 0.2, 0.4]


def test_versions_are_bytes_of_the_photo_and_the_neutral_one_is_it() -> None:
    photo = photo_square(Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)), SIDE)
    assert photo.shape == (SIDE, SIDE, 3)
    variants: list[list[Step]] = [
        [],
        [Step("blur", 0)],
        [Step("channels", 5)],
        [Step("grey", 100), Step("channels", 5)],
    ]
    found = photo_versions(photo, variants, seed=0)
    assert found.dtype == np.uint8
    assert np.array_equal(found[0], photo)
    assert np.array_equal(found[1], photo)
    assert np.array_equal(found[2], photo[..., ::-1])
    assert np.array_equal(found[3], found[3][..., ::-1])
    assert photo_versions(photo, [], seed=0).shape == (0, SIDE, SIDE, 3)


def test_a_ladder_takes_a_strength_of_its_own() -> None:
    assert [step.strength for step in ladder_steps("scramble")] == [1, 2, 4, 8, 16]
    assert [step.strength for step in ladder_steps("scramble", 5)] == [1, 2, 4, 5, 8, 16]


def test_a_model_of_images_and_texts_chooses_from_labels() -> None:
    model = load("clip_small")
    photo = np.full((64, 64, 3), 120, np.uint8)
    versions = photo_versions(photo, [[Step("noise", 40)]], seed=0)
    labels = ("cat", "dog", "ship")
    found = ask_about_photo(model, photo, versions, labels=labels)
    assert found.classes == labels
    assert found.probabilities.sum(axis=1) == pytest.approx(1)
    texts = embed_texts(cast(Any, model.module), [f"a photo of a {label}." for label in labels])
    given = ask_about_photo(model, photo, versions, labels=labels, label_vectors=class_weights(texts[:, None]))
    assert given.probabilities == pytest.approx(found.probabilities, abs=1e-5)
    with pytest.raises(ConfigError, match="chooses from 1 labels"):
        ask_about_photo(model, photo, versions, labels=("cat",))


def test_a_model_that_names_nothing_says_so() -> None:
    with pytest.raises(IncompatibleError, match="knows no texts"):
        ask_about_photo(load("vae_2d"), np.zeros((8, 8, 3), np.uint8), np.zeros((0, 8, 8, 3), np.uint8))


def test_the_figure_has_a_line_a_model_and_tells_changed_answers_by_shape() -> None:
    photo = square_on_green()
    steps = ladder_steps("hue")
    versions = photo_versions(photo, [[step] for step in steps], seed=0)
    modules = {"A <b>x</b>": ReadsColour(), "B": ReadsShape()}
    answers = {name: ask_about_photo(built(module), photo, versions) for name, module in modules.items()}
    figure = plot_strengths(MANIPULATIONS["hue"], [step.strength for step in steps], answers, current=120)
    colour, shape = figure.data
    assert list(colour.x) == [step.strength for step in steps]
    assert [symbol == "circle" for symbol in colour.marker.symbol] == answers["A <b>x</b>"].same.tolist()
    assert set(shape.marker.symbol) == {"circle"}
    assert list(colour.y) == pytest.approx((100 * answers["A <b>x</b>"].kept).tolist())
    assert len(figure.layout.shapes) == 2
