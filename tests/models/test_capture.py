"""Hooks see one thread's pass, hand out the very tensors, and do not outlive their context."""

from __future__ import annotations

import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.models.capture import captured, head_means
from core.models.vit import ViT, ViTConfig


def test_order_graph_and_cleanup():
    layers = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with captured(layers) as outputs, captured(layers, "input") as inputs:
        result = layers(torch.ones(1, 2))
    assert outputs[0] is inputs[1]
    assert outputs[1] is result
    assert torch.autograd.grad(result.sum(), outputs[0])[0].abs().sum() > 0
    assert not any(layer._forward_hooks for layer in layers)
    with pytest.raises(RuntimeError), captured(layers):
        layers(torch.ones(1, 3))
    assert not any(layer._forward_hooks for layer in layers)


def test_passes_of_other_threads_are_not_seen():
    layer = nn.Linear(2, 2)
    with captured([layer]) as outputs:
        other = threading.Thread(target=layer, args=(torch.ones(1, 2),))
        other.start()
        other.join()
        assert outputs == []
        layer(torch.ones(1, 2))
    assert len(outputs) == 1


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("mask", [None, "bool", "added"])
def test_head_means_are_those_of_the_weights_that_the_kernel_hides(mask, grad):
    torch.manual_seed(0)
    query, key, value = (torch.randn(3, 2, tokens, 4) for tokens in (5, 6, 6))
    added = torch.where(torch.rand(5, 6) < 0.3, -torch.inf, 0.0)
    added[:, 0] = 0
    given = {None: None, "bool": added == 0, "added": added}[mask]
    with head_means() as means, torch.set_grad_enabled(grad):
        output = F.scaled_dot_product_attention(query, key, value, attn_mask=given, scale=0.7)
    logits = 0.7 * query @ key.transpose(-2, -1)
    weights = (logits if mask is None else logits + added).softmax(-1)
    torch.testing.assert_close(output, weights @ value)
    [mean] = means
    torch.testing.assert_close(mean, weights.mean(dim=1, keepdim=True))
    F.scaled_dot_product_attention(query, key, value)
    assert len(means) == 1


def test_what_is_watched_answers_as_the_kernel_does():
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, tokens, 3, 8).transpose(1, 2) for tokens in (7, 7, 7))
    wide = torch.randn(2, 3, 7, 16)
    with torch.inference_mode():
        for given in ({"value": value}, {"value": wide, "scale": 0.3}, {"value": value, "is_causal": True}):
            expected = F.scaled_dot_product_attention(query, key, **given)
            with head_means():
                torch.testing.assert_close(F.scaled_dot_product_attention(query, key, **given), expected)


@pytest.mark.parametrize("named", [True, False])
def test_a_mask_counts_however_it_is_given(named):
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 5, 4) for _ in range(3))
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    weights = (0.5 * query @ key.transpose(-2, -1)).masked_fill(~causal, -torch.inf).softmax(-1)
    with head_means() as means, torch.inference_mode():
        if named:
            F.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            F.scaled_dot_product_attention(query, key, value, causal)
    torch.testing.assert_close(means[0], weights.mean(dim=1, keepdim=True))


def test_head_means_of_other_threads_are_not_seen():
    tokens = torch.randn(1, 1, 3, 2)
    with head_means() as means:
        other = threading.Thread(target=F.scaled_dot_product_attention, args=(tokens, tokens, tokens))
        other.start()
        other.join()
        assert means == []


def test_a_traced_mean_is_that_of_the_heads_and_holds_none_of_them(monkeypatch):
    torch.manual_seed(0)
    model = ViT(ViTConfig(image_size=8, patch_size=4, embed_dim=16, depth=2, num_heads=4, classes=3)).eval()
    with torch.no_grad():
        for block in model.blocks:
            block.attention.qkv.weight.mul_(20)
    images = torch.randn(3, 3, 8, 8)
    whole = model.trace(images)
    monkeypatch.setattr(ViT, "trace", None)
    mean = model.trace_mean(images)
    assert mean.pooling == whole.pooling
    torch.testing.assert_close(mean.logits, whole.logits)
    for ours, weights in zip(mean.attention, whole.attention, strict=True):
        assert ours.shape == (3, 1, 5, 5)
        torch.testing.assert_close(ours, weights.mean(dim=1, keepdim=True))
