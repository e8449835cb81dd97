"""Rollout: the oracles and properties of ALGORITHMS §1."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from core.methods.attention.attention import attention_maps
from core.methods.attention.rollout import attention_rollout, rollout_batch
from core.models.differential import DifferentialViT
from core.models.vit import ViT, ViTConfig

FIRST = [[0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4]]
SECOND = [[0.4, 0.2, 0.4], [0.2, 0.7, 0.1], [0.25, 0.25, 0.5]]
TINY = {"image_size": 16, "patch_size": 4, "embed_dim": 32, "depth": 3, "num_heads": 2}


def random_attention(seed: int, layers: int = 3, heads: int = 2, tokens: int = 10) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(layers, heads, tokens, tokens)) * 2
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def test_oracles() -> None:
    weights = np.array([FIRST, SECOND])[:, None]
    np.testing.assert_allclose(attention_rollout(weights)[-1, 0], [0.455, 0.285, 0.260], atol=1e-9)
    np.testing.assert_allclose(attention_rollout(weights[::-1])[-1, 0], [0.46375, 0.29125, 0.245], atol=1e-9)
    np.testing.assert_allclose(attention_rollout(weights, residual=False)[-1, 0], [0.22, 0.44, 0.34], atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10_000),
    st.sampled_from(["mean", "max", "min"]),
    st.floats(0, 0.99),
    st.booleans(),
    st.integers(1, 3),
)
def test_rows_sum_to_one_whatever_is_discarded(
    seed: int, fusion: str, discard: float, residual: bool, prefix: int
) -> None:
    weights = random_attention(seed)
    reached = attention_rollout(
        weights,
        fusion=fusion,
        discard_ratio=discard,
        residual=residual,
        prefix_tokens=prefix,  # type: ignore[arg-type]
    )
    np.testing.assert_allclose(reached.sum(axis=-1), 1, atol=1e-9)
    assert (reached >= 0).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.floats(0, 0.95))
def test_a_batch_equals_its_items(seed: int, discard: float) -> None:
    batch = np.stack([random_attention(seed + item) for item in range(3)])
    together = attention_rollout(batch, discard_ratio=discard, fusion="max")
    for item in range(3):
        np.testing.assert_allclose(together[item], attention_rollout(batch[item], discard_ratio=discard, fusion="max"))


def test_discarding_counts_per_image_and_keeps_the_class_token() -> None:
    weights = np.full((1, 1, 5, 5), 0.2)
    weights[..., 0] = 0.01  # the class token would be the first to go
    weights[..., 1:] = 0.2475
    reached = attention_rollout(weights, discard_ratio=0.9, residual=False)
    assert (reached[0, :, 0] > 0).all()


def test_identity_attention_rolls_out_to_identity() -> None:
    weights = np.broadcast_to(np.eye(6), (4, 2, 6, 6))
    np.testing.assert_allclose(attention_rollout(weights)[-1], np.eye(6))


def test_uniform_attention_gives_a_flat_map() -> None:
    weights = np.full((3, 2, 6, 6), 1 / 6)
    assert np.ptp(attention_rollout(weights)[-1, 0, 1:]) < 1e-12


def test_one_layer_is_half_its_attention() -> None:
    weights = random_attention(1, layers=1)
    np.testing.assert_allclose(attention_rollout(weights)[-1, 0, 1:], 0.5 * weights[0].mean(axis=0)[0, 1:])


def test_relabelling_tokens_permutes_the_rollout() -> None:
    weights = random_attention(2)
    order = np.random.default_rng(3).permutation(10)
    permuted = weights[:, :, order][:, :, :, order]
    np.testing.assert_allclose(attention_rollout(permuted)[-1], attention_rollout(weights)[-1][order][:, order])


def test_signed_rows_are_made_stochastic() -> None:
    signed = random_attention(4) - 0.6 * random_attention(5)
    np.testing.assert_allclose(attention_rollout(signed).sum(axis=-1), 1, atol=1e-9)


def vit_explain(weights: np.ndarray, fusion: str, discard: float, prefix: int) -> np.ndarray:
    """jacobgil/vit-explain's loop over (batch, layers, heads, tokens, tokens), corrected: rows are normalised
    (keepdim), every image discards its own entries, and none of them to a prefix token."""
    result = torch.eye(weights.shape[-1], dtype=torch.float64).expand(len(weights), -1, -1)
    for layer in torch.from_numpy(weights).unbind(1):
        fused = {"mean": layer.mean(1), "max": layer.max(1).values, "min": layer.min(1).values}[fusion]
        flat = fused[:, :, prefix:].flatten(1)
        _, indices = flat.topk(int(flat.shape[-1] * discard), -1, largest=False)
        fused = fused.clone()
        fused[:, :, prefix:] = flat.scatter(1, indices, 0.0).view_as(fused[:, :, prefix:])
        a = fused + 1.0 * torch.eye(fused.shape[-1], dtype=torch.float64)
        a = a / a.sum(dim=-1, keepdim=True)
        result = a @ result
    return result.numpy()


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
@pytest.mark.parametrize("discard", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("prefix", [1, 2])
def test_it_is_the_corrected_loop_of_vit_explain(fusion: str, discard: float, prefix: int) -> None:
    tokens = prefix + 3 * 4  # a grid that is no square
    weights = np.stack([random_attention(seed, layers=4, heads=3, tokens=tokens) for seed in range(3)])
    ours = attention_rollout(weights, fusion=fusion, discard_ratio=discard, prefix_tokens=prefix)  # type: ignore[arg-type]
    np.testing.assert_allclose(ours[:, -1], vit_explain(weights, fusion, discard, prefix), atol=1e-12)


def test_the_identity_is_added_before_the_rows_are_normalised() -> None:
    """By hand: max fusion of two heads gives rows of sum 1.4, so the skip connection is 1 of 2.4, not a half."""
    heads = np.array([[[[0.8, 0.2], [0.4, 0.6]], [[0.4, 0.6], [0.9, 0.1]]]])
    expected = np.array([[0.8 + 1, 0.6], [0.9, 0.6 + 1]]) / [[2.4], [2.5]]
    np.testing.assert_allclose(attention_rollout(heads, fusion="max")[0], expected, atol=1e-12)
    # discarding: of the four entries to patches (no prefix here) the smaller two go, and 1 is added to what is left
    halved = attention_rollout(heads[:, :1], discard_ratio=0.5, prefix_tokens=0)[0]
    np.testing.assert_allclose(halved, [[1, 0], [0, 1]], atol=1e-12)
    kept = attention_rollout(heads[:, :1], discard_ratio=0.25, prefix_tokens=0)[0]
    np.testing.assert_allclose(kept, [[1, 0], [0.2, 0.8]], atol=1e-12)


def test_signed_maps_mix_half_and_half_whatever_was_negative() -> None:
    signed = np.array([[[[0.6, -0.2], [0.1, 0.3]]]])
    np.testing.assert_allclose(attention_rollout(signed)[0], [[1, 0], [0.125, 0.875]], atol=1e-12)
    # relu, rows by their sums, half and half: also where no entry happens to be negative
    weak = np.array([[[[0.3, 0.1], [0.1, 0.3]]]])
    np.testing.assert_allclose(attention_rollout(weak, signed=True)[0], [[0.875, 0.125], [0.125, 0.875]], atol=1e-12)
    with pytest.raises(ConfigError, match="negative"):
        attention_rollout(signed, signed=False)


def normalised_before_the_identity(weights: np.ndarray) -> np.ndarray:
    """How the track records in benchmarks/results were computed: head mean, rows normalised, 0.5 and 0.5."""
    fused = np.clip(weights.mean(axis=1), 0, None)
    steps = 0.5 * fused / fused.sum(axis=-1, keepdims=True) + 0.5 * np.eye(weights.shape[-1])
    result = steps[0]
    for step in steps[1:]:
        result = step @ result
    return result


def test_head_mean_without_discarding_is_what_it_was() -> None:
    """So the published track records, which use exactly that, stand."""
    weights = random_attention(8, layers=6, heads=4, tokens=65)
    np.testing.assert_allclose(attention_rollout(weights)[-1], normalised_before_the_identity(weights), atol=1e-14)
    rounded = weights.astype(np.float32)
    np.testing.assert_allclose(attention_rollout(rounded)[-1], normalised_before_the_identity(rounded), atol=1e-7)
    signed = weights - 0.6 * random_attention(9, layers=6, heads=4, tokens=65)
    np.testing.assert_allclose(attention_rollout(signed)[-1], normalised_before_the_identity(signed), atol=1e-14)


def test_input_is_left_alone() -> None:
    weights = random_attention(6)
    before = weights.copy()
    attention_rollout(weights, discard_ratio=0.5)
    np.testing.assert_array_equal(weights, before)


def test_impossible_discard_ratio() -> None:
    with pytest.raises(ConfigError, match="discard_ratio"):
        attention_rollout(random_attention(0), discard_ratio=1.0)


@pytest.mark.parametrize("pooling", ["class_token", "mean"])
@pytest.mark.parametrize("family", [ViT, DifferentialViT])
def test_batch_rollout_of_a_model_equals_image_by_image(family: type[ViT], pooling: str) -> None:
    torch.manual_seed(0)
    model = family(ViTConfig(**TINY, pooling=pooling)).eval()
    with torch.no_grad():  # at initialisation attention is almost uniform; make it choose
        for block in model.blocks:
            block.attention.qkv.weight.mul_(20)  # type: ignore[union-attr, operator]
    images = torch.randn(4, 3, 16, 16)
    together = rollout_batch(model, images)
    assert together.shape == (4, 4, 4)
    for item in range(4):
        maps = attention_maps(model, images[item : item + 1])
        reached = attention_rollout(maps.weights)[-1]
        alone = (reached[0] if pooling == "class_token" else reached[1:].mean(axis=0))[1:].reshape(4, 4)
        assert np.ptp(alone) > 1e-3
        np.testing.assert_allclose(together[item], alone, atol=1e-6)
