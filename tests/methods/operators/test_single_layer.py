"""Six columns of one picture: whole, repeatable, moved by their settings, and refused where they cannot be."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import numpy as np
import pytest

from core.errors import ConfigError, ShapeError
from core.methods.operators.single_layer import OperatorSettings, single_layer
from core.models.mixer import OperatorName

NAMES = get_args(OperatorName)
SHAPE = (6, 7)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).random((*SHAPE, 3), dtype=np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_a_column_is_whole(name, picture):
    before = picture.copy()
    found = single_layer(picture, name, OperatorSettings(), (2, 5))
    assert np.array_equal(picture, before)
    assert found.output.shape == found.inputs.shape == (8, *SHAPE)
    assert found.output.std() > 0.01
    assert found.field.gradient.shape == SHAPE
    assert found.field.position == (2, 5)
    # In fp32 what is read very little is read as nothing, so only what must be 0 is tested.
    assert (found.field.gradient[~found.field.theoretical] == 0).all()
    assert found.field.gradient[2, 5] > 0
    assert (found.weights is None) == (name in ("convolution", "convolution_modulated_attention"))
    if name in ("attention", "pre", "attention_modulated_convolution"):
        np.testing.assert_allclose(found.weights.sum(axis=1), 1, atol=1e-5)
    if name == "post":
        np.testing.assert_allclose(found.weights[16].sum(), 1 + found.kernel.sum(), atol=1e-5)
    for field in fields(found):
        assert getattr(found, field.name) is None or not hasattr(getattr(found, field.name), "requires_grad")
    again = single_layer(picture, name, OperatorSettings(), (2, 5))
    assert np.array_equal(again.output, found.output)


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("convolution", {"kernel_size": 5}),
    ("convolution", {"kernel": "gaussian"}),
    ("convolution", {"padding": "circular"}),
    ("attention", {"temperature": 8.0}),
    ("attention", {"projections": "none"}),
    ("attention", {"normalise": False}),
    ("post", {"seed": 1}),
    ("post", {"weight": 2.0}),
    ("attention", {"neighbourhood": 3}),
    ("pre", {"outside": "excluded"}),
    ("attention_modulated_convolution", {"window": "whole"}),
    ("convolution_modulated_attention", {"modulation": "softmax"}),
    ("convolution_modulated_attention", {"activation": "gelu"}),
]


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_settings_move_what_they_say(name, change, picture):
    plain, changed = (single_layer(picture, name, OperatorSettings(**each)).output for each in ({}, change))
    assert np.abs(plain - changed).max() > 1e-3
    kept = {field.name for field in fields(OperatorSettings)} - {"channels", "axis"}
    assert {key for _, each in CHANGES for key in each} == kept


def test_the_axis_of_the_softmax_is_a_choice_and_decides_what_is_read(picture):
    choices = {"modulation": "softmax"}
    space, channels = (
        single_layer(picture, "convolution_modulated_attention", OperatorSettings(**choices, axis=axis))
        for axis in ("space", "channels")
    )
    np.testing.assert_allclose(space.modulation.sum(axis=(1, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(channels.modulation.sum(axis=0), 1, atol=1e-5)
    assert space.field.theoretical.all()
    assert (space.field.gradient > 0).all()
    assert channels.field.theoretical.sum() == 9


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 1), (5, 2, 3)])
def test_small_and_grey_pictures(name, shape):
    picture = np.random.default_rng(1).random(shape, dtype=np.float32)
    found = single_layer(picture, name, OperatorSettings(kernel_size=5))
    assert found.output.shape == (8, *shape[:2])
    assert np.isfinite(found.output).all()


def test_what_cannot_be_is_refused(picture):
    with pytest.raises(ConfigError, match="even one has no centre"):
        OperatorSettings(kernel_size=4)
    with pytest.raises(ConfigError, match="meets itself"):
        single_layer(picture, "convolution", OperatorSettings(kernel_size=7, padding="circular"))
    with pytest.raises(ConfigError, match=r"65 × 64 has 4,160 positions.*smaller"):
        single_layer(np.zeros((64, 65, 3), dtype=np.float32), "attention", OperatorSettings())
    with pytest.raises(ConfigError, match=r"Position \(6, 0\)"):
        single_layer(picture, "convolution", OperatorSettings(), (6, 0))
    with pytest.raises(ShapeError, match="height, width, colours"):
        single_layer(picture[..., 0], "convolution", OperatorSettings())


def test_without_a_position_the_field_is_that_of_the_centre():
    wide = np.random.default_rng(1).random((5, 9, 3), dtype=np.float32)
    assert single_layer(wide, "convolution", OperatorSettings()).field.position == (2, 4)
