"""The mixer network: six operators in one frame, equal in parameters, each trained and looked into."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from core.errors import ConfigError, ShapeError
from core.methods.accuracy.targets import pick_target
from core.methods.anatomy.anatomy import anatomy
from core.methods.attention.gradcam import grad_cam
from core.models.layers import find_layers
from core.models.mixer import OPERATOR_TITLES, MixerConfig, MixerNetwork, OperatorName

NAMES = get_args(OperatorName)
TINY = {"image_size": 12, "patch_size": 4, "embed_dim": 16, "num_heads": 2, "depth": 2, "classes": 3, "kernel_size": 3}


def build(operator: str, **changes: object) -> MixerNetwork:
    torch.manual_seed(0)
    return MixerNetwork(MixerConfig(operator=operator, **{**TINY, **changes}))  # type: ignore[arg-type]


def stirred(operator: str, **changes: object) -> MixerNetwork:
    """As after some training: kernels that begin at 0 are not."""
    network = build(operator, **changes)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    return network.eval()


def test_every_operator_has_a_title():
    assert set(OPERATOR_TITLES) == set(NAMES)


@pytest.mark.parametrize("kernel_size", [3, 5, 15])
def test_all_six_have_as_many_parameters(kernel_size):
    counts = [
        sum(
            parameter.numel()
            for parameter in MixerNetwork(MixerConfig(operator=name, kernel_size=kernel_size)).parameters()
        )
        for name in NAMES
    ]
    assert max(counts) <= 1.05 * min(counts)
    assert 2 * max(counts) < 480_000  # bytes in fp16


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name):
    network = build(name)
    network(torch.randn(4, 3, 12, 12)).logsumexp(dim=1).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", NAMES)
def test_a_trace_is_the_same_pass(name):
    network, images = stirred(name), torch.randn(2, 3, 12, 12)
    trace = network.trace_mixers(images)
    torch.testing.assert_close(trace.logits, network(images))
    for read, written, mixed, kernel in zip(trace.inputs, trace.outputs, trace.mixed, trace.kernels, strict=True):
        assert read.shape == written.shape == (2, 16, 3, 3)
        assert mixed.output.shape == (2, 2, 8, 3, 3)
        assert (kernel is None) == (name == "attention")
        assert (mixed.weights is None) == (name in ("convolution", "convolution_modulated_attention"))
        assert (mixed.modulation is None) == (name != "convolution_modulated_attention")
        if mixed.weights is not None:
            assert mixed.weights.shape == (2, 2, 9, 9)
    block = network.blocks[0]
    tokens = trace.inputs[0].flatten(2).transpose(1, 2)
    torch.testing.assert_close(block.mixer(tokens), trace.outputs[0].flatten(2).transpose(1, 2))


@pytest.mark.parametrize("name", ["attention", "pre"])
def test_attention_of_a_transformer_is_what_torch_computes(name):
    """Also the layout: heads are consecutive channels, positions raster order."""
    network = stirred(name)
    mixer = network.blocks[0].mixer
    tokens = torch.randn(2, 9, 16)
    heads = [layer(tokens).view(2, 9, 2, 8).transpose(1, 2) for layer in (mixer.query, mixer.key, mixer.value)]
    bias = torch.zeros(2, 9, 9)
    if name == "pre":
        for i in range(9):
            for j in range(9):
                down, right = j // 3 - i // 3, j % 3 - i % 3
                if abs(down) <= 1 and abs(right) <= 1:
                    bias[:, i, j] = mixer.kernel[:, 1 + down, 1 + right]
    mixed = torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=bias)
    expected = mixer.projection(mixed.transpose(1, 2).flatten(2))
    torch.testing.assert_close(mixer(tokens), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["post", "pre"])
def test_fresh_combinations_begin_as_attention(name):
    attention, combined = build("attention"), build(name)
    combined.load_state_dict(attention.state_dict(), strict=False)
    images = torch.randn(2, 3, 12, 12)
    torch.testing.assert_close(combined(images), attention(images))


@pytest.mark.parametrize("name", NAMES)
def test_maps_logits_tokens_and_embedding_belong_together(name):
    network, images = stirred(name), torch.randn(2, 3, 12, 12)
    maps, logits = network.trace_maps(images)
    assert maps.shape == (2, 16, 3, 3)
    torch.testing.assert_close(network(images), logits)
    torch.testing.assert_close(network.embed(images), maps.mean(dim=(2, 3)))
    tokens, prefix = network.last_tokens(images)
    assert prefix == 0
    torch.testing.assert_close(tokens.transpose(1, 2).unflatten(-1, (3, 3)), maps)
    torch.testing.assert_close(torch.cat([network(image[None]) for image in images]), logits)


def test_what_other_methods_ask_of_it():
    network = stirred("post")
    image = torch.randn(1, 3, 12, 12)
    assert grad_cam(network, image, pick_target(network, image)).shape == (3, 3)
    assert [(layer.kind, layer.shape) for layer in find_layers(network, 12)] == [("block", (9, 16))] * 2
    found = anatomy(network)
    assert found.total == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_without_positions_and_with_circular_borders_a_moved_image_is_the_same(name):
    network = stirred(name, positional="none", padding="circular")
    image = torch.randn(1, 3, 12, 12)
    torch.testing.assert_close(network(image.roll((4, 8), dims=(2, 3))), network(image), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("operator", "changes"),
    [
        ("pre", {"outside": "excluded"}),
        ("attention_modulated_convolution", {"window": "whole"}),
        ("convolution_modulated_attention", {"modulation": "softmax"}),
        ("convolution_modulated_attention", {"activation": "gelu"}),
    ],
)
def test_choices_of_an_operator_reach_it(operator, changes):
    images = torch.randn(1, 3, 12, 12)
    assert not torch.allclose(stirred(operator)(images), stirred(operator, **changes)(images), atol=1e-3)


def test_impossible_shapes():
    with pytest.raises(ConfigError, match="no centre"):
        MixerConfig(kernel_size=4)
    with pytest.raises(ConfigError, match="meets itself"):
        MixerConfig(kernel_size=9, padding="circular")
    with pytest.raises(ConfigError, match="heads"):
        MixerConfig(num_heads=7)
    with pytest.raises(ConfigError, match="do not tile"):
        MixerConfig(patch_size=5)
    with pytest.raises(ShapeError, match="12, 12"):
        build("pre")(torch.zeros(1, 3, 16, 16))
