"""Cue conflict: the worked case, congruent images dropped, guessing shown as guessing, names read or refused."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ConfigError, ShapeError
from core.methods.biases.shape_bias import read_cues, shape_bias

CATEGORIES = ("bear", "cat", "clock", "oven")


def test_thirty_by_shape_fifty_by_texture_twenty_by_neither() -> None:
    shapes, textures = np.zeros(100, dtype=int), np.ones(100, dtype=int)
    predicted = np.repeat([0, 1, 2], [30, 50, 20])
    found = shape_bias(predicted, shapes, textures, CATEGORIES)
    assert found.overall.bias.value == 0.375
    assert found.overall.shape_accuracy == 0.30
    assert found.overall.decided_share == 0.8
    assert found.overall.bias.low < 0.375 < found.overall.bias.high  # type: ignore[operator]
    assert "80%" in found.sentence()


def test_images_of_one_cue_are_dropped() -> None:
    shapes, textures = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    found = shape_bias(np.array([0, 0, 1, 0]), shapes, textures, CATEGORIES)
    assert found.congruent == 2
    assert (found.overall.shape, found.overall.texture, found.overall.count) == (1, 1, 2)
    assert [row.name for row in found.categories] == ["bear", "clock"]
    with pytest.raises(ConfigError, match="another texture"):
        shape_bias(np.array([0, 1]), np.array([0, 1]), np.array([0, 1]), CATEGORIES)


def test_who_guesses_has_a_bias_of_one_half_and_decides_as_chance_would() -> None:
    random = np.random.default_rng(0)
    shapes = random.integers(0, 4, 40_000)
    textures = (shapes + random.integers(1, 4, 40_000)) % 4
    found = shape_bias(random.integers(0, 4, 40_000), shapes, textures, CATEGORIES)
    assert found.overall.bias.value == pytest.approx(0.5, abs=0.02)
    assert found.overall.decided_share == pytest.approx(found.chance_decided, abs=0.01)
    assert found.chance_decided == 0.5


def test_neither_cue_ever_is_no_bias_and_unasked_images_count_nowhere() -> None:
    shapes, textures = np.array([0, 0, 0]), np.array([1, 1, 0])
    found = shape_bias(np.array([2, -1, -1]), shapes, textures, CATEGORIES)
    assert found.overall.bias.value is None
    assert (found.overall.count, found.congruent) == (1, 0)
    assert "neither" in found.sentence()
    with pytest.raises(ShapeError):
        shape_bias(np.array([0]), shapes, textures, CATEGORIES)


@pytest.mark.parametrize("name", ["bear3-clock12.png", "bear/bear3-clock12.png", "Bear-clock.jpeg"])
def test_the_name_says_both(name: str) -> None:
    assert read_cues(name, CATEGORIES) == (0, 2)


@pytest.mark.parametrize("name", ["bear3.png", "bear3-chair1.png", "3-4.png", "", "bear1-clock2-oven3.png"])
def test_a_name_that_does_not_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="shapeN-textureM"):
        read_cues(name, CATEGORIES)
