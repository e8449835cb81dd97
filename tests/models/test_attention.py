import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from core.errors import ConfigError
from core.models.attention import MultiHeadAttention, attention_weights, merge_heads, split_heads, trains_on_cpu


def _attention(seed: int = 0, embed_dim: int = 24, heads: int = 3) -> MultiHeadAttention:
    torch.manual_seed(seed)
    return MultiHeadAttention(embed_dim, heads).eval()


@given(
    batch=st.integers(1, 3), heads=st.integers(1, 4), tokens=st.integers(1, 9), head_dim=st.integers(1, 8),
    scale=st.floats(0.01, 30), seed=st.integers(0, 99),
)  # fmt: skip
@settings(deadline=None)
def test_rows_are_distributions(batch, heads, tokens, head_dim, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    query, key = scale * torch.randn(2, batch, heads, tokens, head_dim, generator=generator)
    weights = attention_weights(query, key)
    assert weights.shape == (batch, heads, tokens, tokens)
    assert torch.all(weights >= 0)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(batch, heads, tokens), atol=1e-5)


def test_a_row_is_what_the_query_attends_to():
    """Query 0 equals key 1: its row, not its column, points there."""
    query = torch.tensor([[[[10.0, 0], [0, 0]]]])
    key = torch.tensor([[[[0.0, 10], [10, 0]]]])
    weights = attention_weights(query, key)[0, 0]
    assert weights[0, 1] > 0.99
    assert weights[1].tolist() == pytest.approx([0.5, 0.5])


def test_half_precision_rows_still_sum_to_one():
    query, key = torch.randn(2, 1, 2, 200, 16).bfloat16()
    weights = attention_weights(query, key)
    assert weights.dtype == torch.bfloat16
    assert torch.allclose(weights.float().sum(dim=-1), torch.ones(1, 2, 200), atol=2e-2)


def test_heads_split_and_merge_back():
    tokens = torch.randn(2, 5, 12)
    heads = split_heads(tokens, 3)
    assert heads.shape == (2, 3, 5, 4)
    assert torch.equal(heads[:, 1], tokens[:, :, 4:8])
    assert torch.equal(merge_heads(heads), tokens)


def test_the_fused_path_is_taken_exactly_when_it_should_be():
    tokens = torch.randn(1, 5, 24)
    assert not trains_on_cpu(tokens)
    assert trains_on_cpu(tokens.clone().requires_grad_())
    with torch.no_grad():
        assert not trains_on_cpu(tokens.clone().requires_grad_())


@given(seed=st.integers(0, 50), heads=st.sampled_from([1, 2, 3, 6]), tokens=st.integers(1, 17))
@settings(max_examples=25, deadline=None)
def test_fused_equals_explicit(seed, heads, tokens):
    module = _attention(seed, heads=heads)
    inputs = torch.randn(2, tokens, 24)
    with torch.no_grad():
        assert torch.allclose(module(inputs), module.explicit(inputs)[0], atol=1e-5)


def test_fused_and_explicit_gradients_are_equal(monkeypatch):
    # On a CPU `forward` goes the explicit way while training; here the kernel itself is compared.
    monkeypatch.setattr("core.models.attention.trains_on_cpu", lambda tokens: False)
    module, inputs = _attention().double(), torch.randn(2, 7, 24, dtype=torch.float64)
    gradients = []
    for forward in (module.forward, lambda tokens: module.explicit(tokens)[0]):
        module.zero_grad()
        leaf = inputs.clone().requires_grad_()
        forward(leaf).square().sum().backward()
        gradients.append([leaf.grad, *(parameter.grad.clone() for parameter in module.parameters())])
    for fused, explicit in zip(*gradients, strict=True):
        assert torch.allclose(fused, explicit, atol=1e-6, rtol=1e-5)  # explicit softmax is fp32


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_parity_with_torch(heads):
    ours = _attention(embed_dim=32, heads=heads)
    theirs = nn.MultiheadAttention(32, heads, batch_first=True).eval()
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = ours.qkv.weight.data, ours.qkv.bias.data
    theirs.out_proj.load_state_dict(ours.projection.state_dict())
    inputs = torch.randn(3, 11, 32)
    with torch.no_grad():
        expected, expected_weights = theirs(inputs, inputs, inputs, need_weights=True, average_attn_weights=False)
        output, weights = ours.explicit(inputs)
        assert torch.allclose(output, expected, atol=1e-6)
        assert torch.allclose(weights, expected_weights, atol=1e-6)
        assert torch.allclose(ours(inputs), expected, atol=1e-6)


def test_permuting_tokens_permutes_output_and_maps():
    module, inputs = _attention(), torch.randn(2, 9, 24)
    order = torch.randperm(9)
    with torch.no_grad():
        output, weights = module.explicit(inputs)
        shuffled, shuffled_weights = module.explicit(inputs[:, order])
    assert torch.allclose(shuffled, output[:, order], atol=1e-6)
    assert torch.allclose(shuffled_weights, weights[:, :, order][..., order], atol=1e-6)


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match="24 does not split into 5"):
        MultiHeadAttention(24, 5)
