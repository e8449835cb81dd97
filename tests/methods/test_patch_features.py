"""Patch features: components are those of scikit-learn, colours are shared between photos, likeness is a cosine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity

from core.errors import ConfigError, NotFiniteError
from core.methods.patch_features.patch_features import (
    components,
    nearest_patches,
    patch_colours,
    patch_similarity,
    patch_tokens,
)
from core.models.vit import ViT, ViTConfig


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@given(rows=st.integers(4, 40), dims=st.integers(3, 20), seed=st.integers(0, 99))
def test_components_are_those_of_scikit_learn(rows: int, dims: int, seed: int) -> None:
    values = noise(rows, dims, seed=seed).astype(np.float64)
    found, shares = components(values, 3)
    expected = PCA(3, svd_solver="full").fit(values)
    np.testing.assert_allclose(np.abs(found), np.abs(expected.transform(values)), atol=1e-8)
    np.testing.assert_allclose(shares, expected.explained_variance_ratio_, atol=1e-8)


def test_missing_components_are_nothing() -> None:
    values = noise(2, 9).astype(np.float64)
    found, shares = components(values, 3)
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found[:, 1:], 0, atol=1e-12)
    np.testing.assert_allclose(shares, [1, 0, 0], atol=1e-12)
    equal, none = components(np.ones((5, 4)), 3)
    assert not equal.any()
    assert not none.any()


def test_a_patch_has_the_same_colour_in_every_photo() -> None:
    tokens = noise(3, 6, 8)
    tokens[2] = tokens[0][::-1]
    found = patch_colours(tokens, (2, 3))
    assert found.colours.shape == (3, 2, 3, 3)
    assert found.figure.all()
    np.testing.assert_allclose(found.colours[2].reshape(6, 3), found.colours[0].reshape(6, 3)[::-1], atol=1e-6)
    assert found.colours.min() == 0
    assert found.colours.max() == 1


def test_the_ground_is_taken_away_by_the_first_component() -> None:
    tokens = noise(2, 20, 8) * 0.3
    tokens[0, :12, 0] += 20  # a field of one kind, most of it in the first photo
    tokens[1, :4, 0] += 20
    apart = np.zeros((2, 20), bool)
    apart[0, :12] = apart[1, :4] = True
    sides = {ground: patch_colours(tokens, (4, 5), ground=ground) for ground in ("high", "low")}
    kept = [sides[ground].figure.reshape(2, 20) for ground in ("high", "low")]
    assert np.array_equal(kept[0], ~kept[1])
    assert any(np.array_equal(each, apart) for each in kept)
    for found in sides.values():
        assert not found.colours[~found.figure].any()
        assert found.colours[found.figure].std(axis=0).min() > 0.1  # components of what is left, not of the step
    whole = patch_colours(tokens, (4, 5))
    assert whole.shares[0] > 0.9 > sides["high"].shares[0]


def test_photos_of_one_colour_are_grey_and_nothing_left_is_a_sentence() -> None:
    found = patch_colours(np.ones((1, 9, 4), np.float32), (3, 3))
    assert (found.colours == 0.5).all()
    tokens = np.zeros((1, 9, 4), np.float32)
    tokens[0, 0] = 100
    with pytest.raises(ConfigError, match="of 9 patches are left"):
        [patch_colours(tokens, (3, 3), ground=ground) for ground in ("high", "low")]
    with pytest.raises(NotFiniteError):
        patch_colours(np.full((1, 4, 2), np.nan, np.float32), (2, 2))


@given(photos=st.integers(1, 3), patches=st.integers(1, 9), seed=st.integers(0, 99))
def test_likeness_is_the_cosine(photos: int, patches: int, seed: int) -> None:
    tokens = noise(photos, patches, 5, seed=seed)
    found = patch_similarity(tokens, photos - 1, patches // 2)
    flat = tokens.reshape(-1, 5)
    expected = cosine_similarity(flat, tokens[photos - 1, patches // 2][None]).reshape(photos, patches)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found[photos - 1, patches // 2] == pytest.approx(1, abs=1e-5)
    nearest = nearest_patches(found, photos - 1)
    assert nearest[-1] == -1
    assert nearest[:-1] == expected[:-1].argmax(axis=1).tolist()


def test_there_is_no_other_patch() -> None:
    for photo, patch in ((-1, 0), (2, 0), (0, 4), (0, -1)):
        with pytest.raises(ConfigError, match="counted from 0"):
            patch_similarity(noise(2, 4, 3), photo, patch)


def test_tokens_are_the_outputs_of_the_blocks_without_the_class_token() -> None:
    model = ViT(ViTConfig(image_size=8, patch_size=2, embed_dim=8, depth=3, num_heads=2)).eval()
    images = torch.rand(2, 3, 8, 8)
    found = patch_tokens(model, images)
    assert found.tokens.shape == (3, 2, 16, 8)
    assert found.grid == (4, 4)
    with torch.inference_mode():
        trace = model.trace(images)
    for layer in range(3):
        np.testing.assert_allclose(found.tokens[layer], trace.tokens[layer][:, 1:].numpy(), atol=1e-6)
