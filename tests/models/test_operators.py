"""The six operators equal their definitions, and have the properties by which their papers tell them apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.errors import ConfigError, ShapeError
from core.models.kernels import offset_weights, window_mask
from core.models.operators import (
    Mixed,
    attention_modulated_convolution,
    convolution_modulated_attention,
    depthwise_convolution,
    post_normalisation,
    pre_normalisation,
    self_attention,
)
from tests.models import direct_operators as direct

BORDERS = ("zero", "circular")
# One pixel, one row, non-square, larger than the kernel and smaller.
GRIDS = ((1, 1), (1, 4), (3, 5), (6, 4))
KERNELS = ((1, 1), (3, 3), (3, 5), (7, 3))
FITTING = [
    (grid, size, padding)
    for grid in GRIDS
    for size in KERNELS
    for padding in BORDERS
    if padding == "zero" or (size[0] <= grid[0] and size[1] <= grid[1])
]


def draw(grid: tuple[int, int], size: tuple[int, int], channels: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Two maps, a kernel for every channel, and one for all."""
    generator = torch.Generator().manual_seed(hash((grid, size)) % 1000)
    x = torch.randn(2, channels, *grid, generator=generator)
    return x, torch.randn(channels, *size, generator=generator), torch.randn(size, generator=generator)


def same(fast: Tensor | None, slow: list[Any]) -> None:
    assert fast is not None
    np.testing.assert_allclose(fast.numpy(), np.stack(slow), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("grid", "size", "padding"), FITTING)
def test_fast_paths_equal_the_sums_of_their_definitions(grid, size, padding):
    x, w, shared = draw(grid, size)
    images, kernel, one = x.double().numpy(), w.double().numpy(), shared.double().numpy()
    border, temperature = {"padding": padding}, {"temperature": 1.5}
    same(
        depthwise_convolution(x, w, **border).output,
        [direct.depthwise_convolution(i, kernel, **border) for i in images],
    )
    found = [direct.self_attention(i, **temperature) for i in images]
    fast = self_attention(x, **temperature)
    same(fast.output, [output for output, _ in found])
    same(fast.weights, [weights for _, weights in found])
    found = [direct.post_normalisation(i, one, **border, **temperature) for i in images]
    fast = post_normalisation(x, shared, **border, **temperature)
    same(fast.output, [output for output, _ in found])
    same(fast.weights, [weights for _, weights in found])
    for outside in ("zero", "excluded"):
        found = [direct.pre_normalisation(i, one, **border, **temperature, outside=outside) for i in images]
        fast = pre_normalisation(x, shared, **border, **temperature, outside=outside)
        same(fast.output, [output for output, _ in found])
        same(fast.weights, [weights for _, weights in found])
    for window in ("whole", "renormalised"):
        both = {**border, **temperature, "window": window}
        found = [direct.attention_modulated_convolution(i, kernel, **both) for i in images]
        fast = attention_modulated_convolution(x, w, **both)
        same(fast.output, [output for output, _ in found])
        same(fast.weights, [weights for _, weights in found])


@pytest.mark.parametrize("normalisation", ["none", "softmax", "softmax_rescaled"])
@pytest.mark.parametrize("axis", ["space", "channels"])
@pytest.mark.parametrize("grid", GRIDS)
def test_modulated_attention_equals_its_definition(grid, axis, normalisation):
    x, w, _ = draw(grid, (3, 5))
    value = torch.randn(x.shape)
    choices = {"padding": "zero", "normalisation": normalisation, "axis": axis}
    fast = convolution_modulated_attention(x, w, value=value, **choices)
    pairs = zip(x.double().numpy(), value.double().numpy(), strict=True)
    same(fast.output, [direct.convolution_modulated_attention(i, w.double().numpy(), v, **choices) for i, v in pairs])
    assert fast.weights is None
    torch.testing.assert_close(fast.output, fast.modulation * value)


ROW = torch.tensor([1.0, 0.0, -1.0])[None, None, None]  # one channel, one row of three
W = torch.tensor([[0.5, 1.0, -0.5]])  # w₋₁, w₀, w₁


def test_three_pixels_by_hand():
    """ALGORITHMS.md, section 8; attention of the first: (e + 0·1 - e⁻¹) / (e + 1 + e⁻¹)."""
    torch.testing.assert_close(self_attention(ROW).output.flatten(), torch.tensor([0.575210, 0.0, -0.575210]))
    expected = torch.tensor([1.0, -1.0, -1.0])
    torch.testing.assert_close(depthwise_convolution(ROW, W[None]).output.flatten(), expected)
    turned = W.flip(-1)[None]
    torch.testing.assert_close(depthwise_convolution(ROW, turned, order="correlation").output.flatten(), expected)
    both = post_normalisation(ROW, W).output.flatten()
    torch.testing.assert_close(both, torch.tensor([1.575210, -1.0, -1.575210]))


def test_a_correlation_is_what_torch_calls_a_convolution():
    x, w, _ = draw((5, 4), (3, 3))
    layer = torch.nn.functional.conv2d(x, w[:, None], padding=1, groups=3)
    torch.testing.assert_close(depthwise_convolution(x, w, order="correlation").output, layer)


@pytest.mark.parametrize("padding", BORDERS)
@given(seed=st.integers(0, 2**16), constant=st.floats(-3, 3))
@settings(max_examples=10, deadline=None)
def test_rows_of_pre_sum_to_one_and_ignore_a_constant_in_w(padding, seed, constant):
    torch.manual_seed(seed)
    x, w = torch.randn(2, 3, 4, 5), torch.randn(7, 9) if padding == "zero" else torch.randn(3, 5)
    plain = pre_normalisation(x, w, padding=padding, outside="excluded")
    shifted = pre_normalisation(x, w + constant, padding=padding, outside="excluded")
    torch.testing.assert_close(plain.weights.sum(dim=-1), torch.ones(2, 20))
    torch.testing.assert_close(shifted.weights, plain.weights, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(shifted.output, plain.output, atol=1e-5, rtol=1e-4)


def test_rows_of_post_sum_to_one_and_all_of_w():
    x, _, w = draw((4, 5), (3, 3))
    around = post_normalisation(x, w, padding="circular").weights.sum(dim=-1)
    torch.testing.assert_close(around, torch.full((2, 20), 1 + float(w.sum())))
    # At a corner four of the nine offsets are inside: i - j is 0 or -1 in both directions.
    corner = post_normalisation(x, w, padding="zero").weights.sum(dim=-1)[:, 0]
    torch.testing.assert_close(corner, torch.full((2,), 1 + float(w[:2, :2].sum())))


@pytest.mark.parametrize("padding", BORDERS)
def test_without_w_both_combinations_are_attention(padding):
    x, _, w = draw((4, 5), (3, 3))
    plain = self_attention(x, temperature=2)
    for combined in (post_normalisation, pre_normalisation):
        mixed = combined(x, w * 0, temperature=2, padding=padding)
        torch.testing.assert_close(mixed.output, plain.output)
        torch.testing.assert_close(mixed.weights, plain.weights)


def test_pre_with_nothing_outside_is_attention_within_the_window():
    x, _, w = draw((4, 5), (3, 3))
    inside = window_mask((3, 3), (4, 5), padding="zero")
    local = pre_normalisation(x, w, outside="excluded").weights
    assert (local[:, ~inside] == 0).all()
    assert (local[:, inside] > 0).all()
    # The limit of w → -∞ off the window, with a table as large as the map allows.
    table = torch.full((7, 9), -1e9)
    table[2:5, 3:6] = w
    torch.testing.assert_close(pre_normalisation(x, table).weights, local)


def test_attention_that_is_nothing_leaves_the_convolution_in_post():
    """A → 0 cannot be reached by a softmax, but A·x can: values that are 0 on average over all positions."""
    x, _, w = draw((4, 5), (3, 3))
    x = x - x.mean(dim=(2, 3), keepdim=True)
    flat = torch.zeros(2, 1, 4, 5)  # the same query and key everywhere: A = 1 / positions
    both = post_normalisation(x, w, query=flat, key=flat)
    alone = depthwise_convolution(x, w.expand(3, 3, 3))
    torch.testing.assert_close(both.output, alone.output, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(both.weights - 1 / 20, offset_weights(w, (4, 5)).expand(2, -1, -1))


def test_a_flat_attention_leaves_the_convolution_in_its_modulation():
    x, w, _ = draw((4, 5), (3, 3))
    flat = torch.zeros(2, 1, 4, 5)
    convolved = depthwise_convolution(x, w, padding="circular").output
    renormalised = attention_modulated_convolution(x, w, query=flat, key=flat, padding="circular")
    whole = attention_modulated_convolution(x, w, query=flat, key=flat, padding="circular", window="whole")
    torch.testing.assert_close(renormalised.output, convolved / 9)
    torch.testing.assert_close(whole.output, convolved / 20)


OPERATORS = {
    "convolution": lambda x, w, **border: depthwise_convolution(x, w, **border),
    "attention": lambda x, w, **border: self_attention(x, temperature=2),
    "post": lambda x, w, **border: post_normalisation(x, w[0], temperature=2, **border),
    "pre": lambda x, w, **border: pre_normalisation(x, w[0], temperature=2, **border),
    "modulated convolution": lambda x, w, **border: attention_modulated_convolution(x, w, temperature=2, **border),
    "modulated attention": lambda x, w, **border: convolution_modulated_attention(x, w, **border),
}


@pytest.mark.parametrize("name", OPERATORS)
@given(down=st.integers(0, 5), right=st.integers(0, 6))
@settings(max_examples=8, deadline=None)
def test_a_circular_map_that_is_moved_moves_its_output(name, down, right):
    x, w, _ = draw((6, 7), (3, 5))
    moved = OPERATORS[name](x.roll((down, right), dims=(2, 3)), w, padding="circular").output
    then = OPERATORS[name](x, w, padding="circular").output.roll((down, right), dims=(2, 3))
    torch.testing.assert_close(moved, then, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in OPERATORS if name != "attention"])
def test_zero_borders_break_that(name):
    x, w, _ = draw((6, 7), (3, 3))
    moved = OPERATORS[name](x.roll(1, dims=3), w, padding="zero").output
    then = OPERATORS[name](x, w, padding="zero").output.roll(1, dims=3)
    assert (moved - then).abs().max() > 0.01
    if "attention" not in name and name in ("convolution", "modulated attention"):
        # Away from the border a convolution does not notice.
        torch.testing.assert_close(moved[..., 1:-1, 2:-1], then[..., 1:-1, 2:-1], atol=1e-5, rtol=1e-4)


def test_a_softmax_over_space_shrinks_and_its_length_restores():
    """ALGORITHMS.md, section 8: over 8 × 8 positions RMS falls from .544 to .018; times 64 it is 1.14."""
    torch.manual_seed(0)
    x, value = torch.randn(16, 64, 8, 8), torch.randn(16, 64, 8, 8)
    w = torch.empty(64, 3, 3).uniform_(-1 / 3, 1 / 3)
    rms = {
        normalisation: float(
            convolution_modulated_attention(x, w, value=value, normalisation=normalisation)
            .output.square()
            .mean()
            .sqrt()
        )
        for normalisation in ("none", "softmax", "softmax_rescaled")
    }
    assert rms["none"] == pytest.approx(0.544, abs=0.03)
    assert rms["softmax"] == pytest.approx(0.018, abs=0.001)
    assert rms["softmax_rescaled"] == pytest.approx(1.14, abs=0.05)
    assert rms["softmax_rescaled"] == pytest.approx(64 * rms["softmax"], rel=1e-5)


@pytest.mark.parametrize("name", OPERATORS)
def test_heads_are_maps_of_their_own(name):
    torch.manual_seed(0)
    x, w = torch.randn(2, 4, 3, 5, 6), torch.randn(4, 3, 3, 3)
    if name in ("post", "pre"):
        whole = (post_normalisation if name == "post" else pre_normalisation)(x, w[:, 0], temperature=2)
    else:
        whole = OPERATORS[name](x, w)
    for head in range(4):
        single: Mixed = OPERATORS[name](x[:, head], w[head])
        torch.testing.assert_close(whole.output[:, head], single.output)
        if single.weights is not None:
            torch.testing.assert_close(whole.weights[:, head], single.weights)


@pytest.mark.parametrize("name", OPERATORS)
def test_gradients_are_those_of_finite_differences_and_inputs_stay_as_they_were(name):
    torch.manual_seed(0)
    x = torch.randn(1, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    w = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=name != "attention")
    before = x.detach().clone(), w.detach().clone()
    assert torch.autograd.gradcheck(lambda x, w: OPERATORS[name](x, w).output, (x, w))
    assert torch.equal(x, before[0])
    assert torch.equal(w, before[1])


def test_what_cannot_be_is_refused_in_a_sentence():
    x = torch.randn(1, 3, 4, 5)
    with pytest.raises(ConfigError, match=r"2 × 3 taps, and an even one has no centre. Choose an odd size"):
        depthwise_convolution(x, torch.randn(3, 2, 3))
    with pytest.raises(ConfigError, match=r"circular kernel of 5 × 3 meets itself on a map of 4 × 5"):
        pre_normalisation(x, torch.randn(5, 3), padding="circular")
    with pytest.raises(ConfigError, match=r"temperature is 0.*above 0"):
        self_attention(x, temperature=0)
    with pytest.raises(ShapeError, match=r"expected one kernel a channel, \(3, rows, columns\)"):
        depthwise_convolution(x, torch.randn(4, 3, 3))
    with pytest.raises(ShapeError, match=r"expected one kernel, \(rows, columns\)"):
        post_normalisation(x, torch.randn(3, 3, 3))
    with pytest.raises(ShapeError, match=r"expected \(batch, \[heads,\] channels, height, width\)"):
        depthwise_convolution(x[0], torch.randn(3, 3, 3))
    with pytest.raises(ShapeError, match="at the 20 positions of the map"):
        self_attention(x, query=torch.randn(1, 3, 2, 2), key=torch.randn(1, 3, 2, 2))
