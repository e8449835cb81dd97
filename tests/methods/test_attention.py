"""Maps, masks and distances that are read off attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.errors import ShapeError
from core.methods.attention.attention import (
    AttentionMaps,
    attention_distance,
    attention_entropy,
    attention_maps,
    attention_mass,
    fuse_heads,
    key_maps,
    query_maps,
    readout_maps,
)
from core.models.differential import DifferentialViT
from core.models.vit import ViT, ViTConfig

TINY = {"image_size": 16, "patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 2}


def make_maps(weights: np.ndarray, grid: tuple[int, int], prefix: int = 1, signed: bool = False) -> AttentionMaps:
    return AttentionMaps(
        weights=weights, grid=grid, prefix_tokens=prefix, pooling="class_token", signed=signed, logits=None
    )


@pytest.mark.parametrize(("family", "signed"), [(ViT, False), (DifferentialViT, True)])
def test_maps_are_complete(family: type[ViT], signed: bool) -> None:
    model = family(ViTConfig(**TINY)).eval()
    maps = attention_maps(model, torch.randn(1, 3, 16, 16))
    assert maps.weights.shape == (2, 2, 17, 17)
    assert maps.weights.dtype == np.float32
    assert maps.signed is signed
    if not signed:
        np.testing.assert_allclose(maps.weights.sum(axis=-1), 1, atol=1e-5)
    assert readout_maps(maps).shape == (2, 2, 4, 4)


def test_only_single_images() -> None:
    with pytest.raises(ShapeError, match="batch of 2"):
        attention_maps(ViT(ViTConfig(**TINY)), torch.randn(2, 3, 16, 16))


def test_queries_and_keys_are_rows_and_columns() -> None:
    weights = np.arange(25.0).reshape(1, 1, 5, 5)
    maps = make_maps(weights, (2, 2))
    np.testing.assert_array_equal(query_maps(maps, 2)[0, 0], [[11, 12], [13, 14]])
    np.testing.assert_array_equal(key_maps(maps, 2)[0, 0], [[7, 12], [17, 22]])


def test_models_that_pool_by_mean_are_read_from_their_patches() -> None:
    model = ViT(ViTConfig(**TINY, pooling="mean")).eval()
    maps = attention_maps(model, torch.randn(1, 3, 16, 16))
    assert maps.pooling == "mean"
    np.testing.assert_allclose(readout_maps(maps), maps.weights[:, :, 1:, 1:].mean(axis=2).reshape(2, 2, 4, 4))


def test_grids_need_not_be_square() -> None:
    weights = np.random.default_rng(0).random((1, 1, 7, 7))
    assert readout_maps(make_maps(weights, (2, 3))).shape == (1, 1, 2, 3)


def test_only_the_mean_keeps_row_sums() -> None:
    weights = torch.randn(3, 4, 9, 9).softmax(-1).numpy()
    np.testing.assert_allclose(fuse_heads(weights, "mean").sum(-1), 1, atol=1e-6)
    assert (fuse_heads(weights, "max").sum(-1) > 1).all()
    assert (fuse_heads(weights, "min").sum(-1) < 1).all()


@given(
    arrays(np.float64, (4, 5), elements=st.floats(0, 1)).filter(lambda row: row.sum() > 1e-6),
    st.floats(0.01, 1.0),
)
def test_attention_mass_is_enough_and_minimal(row: np.ndarray, mass: float) -> None:
    mask = attention_mass(row, mass)
    total = row.sum()
    assert row[mask].sum() / total >= mass - 1e-6
    smallest = row[mask].min()
    assert (row[mask].sum() - smallest) / total < mass + 1e-9
    assert mask.sum() == 1 or (row[~mask] <= smallest + 1e-12).all()


def test_attention_mass_breaks_ties_by_position() -> None:
    np.testing.assert_array_equal(attention_mass(np.ones((2, 2)), 0.5), [[True, True], [False, False]])
    assert not attention_mass(np.zeros((2, 2)), 0.5).any()


def test_distance_of_a_head_that_looks_at_itself_is_zero() -> None:
    maps = make_maps(np.eye(5)[None, None], (2, 2))
    np.testing.assert_allclose(attention_distance(maps, 16), [[0]])


def test_distance_of_neighbours_and_of_uniform_attention() -> None:
    # Two patches side by side, each attending to the other only: one patch of 8 pixels away.
    swap = np.zeros((1, 1, 3, 3))
    swap[0, 0, 1, 2] = swap[0, 0, 2, 1] = 1
    np.testing.assert_allclose(attention_distance(make_maps(swap, (1, 2)), 8), [[8]])
    uniform = np.full((1, 1, 5, 5), 0.2)
    # In a 2×2 grid the four distances are 0, 1, 1 and √2 patches.
    np.testing.assert_allclose(attention_distance(make_maps(uniform, (2, 2)), 1), [[(2 + 2**0.5) / 4]])


def test_entropy_runs_from_none_to_all_patches() -> None:
    one, uniform = np.zeros((1, 1, 5, 5)), np.full((1, 1, 5, 5), 0.2)
    one[..., 3] = 1
    np.testing.assert_allclose(attention_entropy(make_maps(one, (2, 2))), [[0]], atol=1e-9)
    np.testing.assert_allclose(attention_entropy(make_maps(uniform, (2, 2))), [[2]])


def test_inputs_are_left_alone() -> None:
    weights = torch.randn(2, 2, 5, 5).softmax(-1).numpy()
    before, maps = weights.copy(), make_maps(weights, (2, 2))
    attention_distance(maps, 4), attention_entropy(maps), attention_mass(readout_maps(maps)[0, 0], 0.5)
    np.testing.assert_array_equal(weights, before)
