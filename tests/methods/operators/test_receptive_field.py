"""Receptive fields: measured ones lie within what definitions allow, and are the kernel where that can be computed."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from core.errors import ConfigError
from core.methods.operators.receptive_field import (
    ReceptiveField,
    gradient_field,
    network_reach,
    network_receptive_field,
    window_field,
)
from core.models.mixer import MixerConfig, MixerNetwork, OperatorName
from core.models.operators import depthwise_convolution

NAMES = get_args(OperatorName)


def test_of_a_convolution_it_is_the_kernel_turned_around_the_position():
    torch.manual_seed(0)
    x, w = torch.randn(3, 2, 5, 6), torch.randn(2, 3, 3)
    field = gradient_field(lambda maps: depthwise_convolution(maps, w).output, x, (2, 4))
    expected = np.zeros((5, 6))
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):  # w_{i-j} at j = i + (down, right)
            expected[2 + down, 4 + right] = float(w[:, 1 - down, 1 - right].abs().sum())
    np.testing.assert_allclose(field, expected, rtol=1e-5)
    assert (field > 0).tolist() == window_field((3, 3), (5, 6), (2, 4), padding="zero").tolist()


def test_opposite_channels_do_not_cancel():
    """The sum of the outputs x and -x has no gradient; each of them has one."""
    field = gradient_field(lambda maps: torch.cat([maps, -maps], dim=1), torch.randn(1, 1, 3, 3), (1, 1))
    assert field[1, 1] == 2
    assert field.sum() == 2


def test_windows_at_the_border():
    assert window_field((3, 3), (3, 4), (0, 0), padding="zero").sum() == 4
    around = window_field((3, 3), (3, 4), (0, 0), padding="circular")
    assert around.tolist() == [[True, True, False, True]] * 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("padding", ["zero", "circular"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_network_reads_exactly_what_its_definition_allows(name, padding, strict):
    torch.manual_seed(0)
    choices = {"outside": "excluded", "window": "whole", "modulation": "softmax"} if strict else {}
    config = MixerConfig(
        operator=name, image_size=28, patch_size=4, embed_dim=8, num_heads=2, depth=2, kernel_size=3, padding=padding,
        **choices,
    )  # fmt: skip
    network = MixerNetwork(config).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, dtype=parameter.dtype)
    found = network_receptive_field(network, torch.randn(1, 3, 28, 28, dtype=torch.float64), (1, 3))
    assert found.gradient.shape == found.theoretical.shape == (28, 28)
    assert ((found.gradient > 0) == found.theoretical).all()
    local = {"convolution"} | (
        {"pre"} if strict else {"attention_modulated_convolution", "convolution_modulated_attention"}
    )
    # Two blocks of 3 × 3 are 5 × 5 patches; of rows -1 to 3 the first is above the image, or comes from below.
    rows = 5 if padding == "circular" else 4
    assert found.theoretical.sum() == (rows * 5 * 16 if name in local else 28 * 28)


def test_area_and_own_share_by_hand():
    gradient = np.array([[6.0, 1.0], [2.0, 1.0]], dtype=np.float32)
    field = ReceptiveField(gradient=gradient, theoretical=gradient > 0, position=(0, 0))
    assert [field.area(share) for share in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)] == [1, 1, 2, 2, 3, 4]
    assert field.own_share == pytest.approx(0.6)
    nothing = ReceptiveField(gradient=gradient * 0, theoretical=gradient > 0, position=(0, 0))
    assert (nothing.area(), nothing.own_share) == (0, 0)


def test_a_position_beside_the_map_is_refused():
    with pytest.raises(ConfigError, match=r"Position \(8, 0\) is not on a map of 8 × 8"):
        network_reach(MixerConfig(), (8, 0))
