"""One head of a mixer, alone, does what it does in its network."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch

from core.errors import ConfigError
from core.methods.operators.layer import run_layer
from core.methods.operators.learned_layer import learned_layer
from core.models.mixer import MixerConfig, MixerNetwork, OperatorName

CHOICES = {"outside": "excluded", "window": "whole", "modulation": "softmax", "activation": "gelu"}


@pytest.mark.parametrize("name", get_args(OperatorName))
@pytest.mark.parametrize("choices", [{}, CHOICES])
def test_a_head_alone_gives_what_it_gives_in_its_network(name, choices):
    torch.manual_seed(0)
    config = MixerConfig(
        operator=name, image_size=20, patch_size=4, embed_dim=16, num_heads=2, depth=2, kernel_size=3, **choices
    )
    network = MixerNetwork(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    image = torch.randn(1, 3, 20, 20)
    mixed = network.trace_mixers(image).mixed[1]
    layer = learned_layer(network, image, block=1, head=1)
    found = run_layer(layer, (0, 3))
    torch.testing.assert_close(torch.from_numpy(found.output), mixed.output[0, 1], atol=1e-5, rtol=1e-5)
    assert (found.weights is None) == (mixed.weights is None)
    if mixed.weights is not None:
        torch.testing.assert_close(torch.from_numpy(found.weights), mixed.weights[0, 1], atol=1e-5, rtol=1e-5)
        assert found.row[0].ravel().tolist() == found.weights[3].tolist()
    assert layer.temperature == 8**0.5
    assert found.field.theoretical.all() == (not layer.local)
    if name in ("post", "pre", "convolution"):
        assert abs(run_layer(replace(layer, weight=0.0)).output - run_layer(layer).output).max() > 1e-3


def test_the_row_of_a_convolution_is_what_it_multiplies_with():
    torch.manual_seed(0)
    for padding in ("zero", "circular"):
        network = MixerNetwork(
            MixerConfig(operator="convolution", image_size=20, patch_size=4, embed_dim=8, num_heads=2, padding=padding)
        )
        found = run_layer(learned_layer(network, torch.randn(1, 3, 20, 20), block=0, head=1), (0, 3))
        by_hand = (found.row * found.inputs).sum(axis=(1, 2))
        torch.testing.assert_close(torch.from_numpy(by_hand), torch.from_numpy(found.output[:, 0, 3]))


def test_no_such_block_or_head():
    network = MixerNetwork(MixerConfig(image_size=8, patch_size=4, embed_dim=8, num_heads=2, depth=2, kernel_size=3))
    for block, head in ((2, 0), (0, 2), (-1, 0)):
        with pytest.raises(ConfigError, match=r"the network has 2\. Choose another"):
            learned_layer(network, torch.zeros(1, 3, 8, 8), block=block, head=head)
