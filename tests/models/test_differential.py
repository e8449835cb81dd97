import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.errors import ConfigError
from core.models.attention import MultiHeadAttention
from core.models.differential import DifferentialAttention, DifferentialViT, differential_weights, lambda_init
from core.models.vit import ViT, ViTConfig

LAMBDAS = ("lambda_query1", "lambda_key1", "lambda_query2", "lambda_key2")


def _attention(seed: int = 0, embed_dim: int = 32, heads: int = 2, layer: int = 1) -> DifferentialAttention:
    torch.manual_seed(seed)
    return DifferentialAttention(embed_dim, heads, layer).eval()


def _set_lambda(module: DifferentialAttention, value: float) -> None:
    """λ = exp(q1·k1) - exp(q2·k2) + λ_init, so q1·k1 = log(value + 1 - λ_init) with q2·k2 = 0."""
    for name in LAMBDAS:
        getattr(module, name).data.zero_()
    module.lambda_query1.data[0] = 1
    module.lambda_key1.data[0] = math.log(value + 1 - module.lambda_init)
    assert float(module.lambda_().detach()) == pytest.approx(value, abs=1e-5)


def _tie_pairs(module: DifferentialAttention) -> None:
    """Give both maps of every head the same queries and keys."""
    heads, dim = module.num_heads, module.qkv.in_features
    with torch.no_grad():
        for tensor in (module.qkv.weight, module.qkv.bias):
            pairs = tensor[: 2 * dim].view(2, heads, 2, dim // (2 * heads), *tensor.shape[1:])
            pairs[:, :, 1] = pairs[:, :, 0]


def test_oracles_of_lambda_init():
    """The paper's layers 1, 2, 3, 6, 12 are ours 0, 1, 2, 5, 11."""
    ours = [lambda_init(layer) for layer in (0, 1, 2, 5, 11)]
    assert ours == pytest.approx([0.2, 0.355509, 0.470713, 0.666122, 0.777870], abs=1e-6)


@pytest.mark.parametrize(("head_dim", "std"), [(16, 0.0568), (32, 0.0800), (64, 0.1140), (128, 0.1612)])
def test_lambda_starts_near_lambda_init(head_dim, std):
    torch.manual_seed(0)
    vectors = torch.randn(4, 40_000, head_dim) * 0.1
    spread = (vectors[0] * vectors[1]).sum(1).exp() - (vectors[2] * vectors[3]).sum(1).exp()
    assert float(spread.std()) == pytest.approx(std, rel=0.03)
    modules = [DifferentialAttention(2 * head_dim, 1, 3) for _ in range(300)]
    starts = torch.stack([module.lambda_().detach() - module.lambda_init for module in modules])
    assert float(starts.std()) == pytest.approx(std, rel=0.2)
    assert abs(float(starts.mean())) < 4 * std / math.sqrt(300)


def test_oracle_of_three_tokens():
    first = torch.tensor([[2.0, 1, 0], [0, 1, 0], [1, 1, 1]], dtype=torch.float64).softmax(-1)
    second = torch.tensor([[0.0, 1, 1], [1, 0, 0], [0, 0, 2]], dtype=torch.float64).softmax(-1)
    weights = differential_weights(first, second, 0.5)
    assert weights[0].tolist() == pytest.approx([0.58756, 0.033569, -0.121129], abs=1e-5)
    # Dividing by 1 - λ, which no view of ours does, explodes as λ nears 1.
    exploded = differential_weights(first, second, 0.9) / 0.1
    assert exploded[0].tolist() == pytest.approx([5.254, -1.354, -2.901], abs=1e-3)


@given(tokens=st.integers(1, 9), value=st.floats(0, 1.5), seed=st.integers(0, 99))
@settings(deadline=None)
def test_rows_sum_to_one_minus_lambda_and_stay_in_bounds(tokens, value, seed):
    generator = torch.Generator().manual_seed(seed)
    first, second = (4 * torch.randn(2, 2, 3, tokens, tokens, generator=generator)).softmax(-1)
    weights = differential_weights(first, second, value)
    assert torch.allclose(weights.sum(-1), torch.full((2, 3, tokens), 1 - value), atol=1e-5)
    assert weights.min() >= -value - 1e-6
    assert weights.max() <= 1 + 1e-6


def test_the_modules_maps_sum_to_one_minus_its_lambda():
    module = _attention()
    weights = module.explicit(torch.randn(2, 7, 32))[1]
    assert torch.allclose(weights.sum(-1), (1 - module.lambda_()).expand(2, 2, 7), atol=1e-5)
    assert weights.shape == (2, 2, 7, 7)


@given(seed=st.integers(0, 50), heads=st.sampled_from([1, 2, 4]), tokens=st.integers(1, 17))
@settings(max_examples=25, deadline=None)
def test_fused_equals_explicit(seed, heads, tokens):
    module = _attention(seed, heads=heads)
    inputs = torch.randn(2, tokens, 32)
    with torch.no_grad():
        assert torch.allclose(module(inputs), module.explicit(inputs)[0], atol=2e-5)


def test_fused_and_explicit_gradients_are_equal(monkeypatch):
    monkeypatch.setattr("core.models.differential.trains_on_cpu", lambda tokens: False)
    module, inputs = _attention().double(), torch.randn(2, 7, 32, dtype=torch.float64)
    gradients = []
    for forward in (module.forward, lambda tokens: module.explicit(tokens)[0]):
        module.zero_grad()
        leaf = inputs.clone().requires_grad_()
        forward(leaf).square().sum().backward()
        gradients.append([leaf.grad, *(parameter.grad.clone() for parameter in module.parameters())])
    for fused, explicit in zip(*gradients, strict=True):
        assert torch.allclose(fused, explicit, atol=1e-5, rtol=1e-4)


def _first_maps_alone(module: DifferentialAttention, inputs: Tensor) -> Tensor:
    """Plain attention from (Q1, K1) and the shared values, before the head norm."""
    query, key, _, _, value = module._project(inputs)
    return torch.nn.functional.scaled_dot_product_attention(query, key, value)


def test_lambda_zero_is_plain_attention_of_the_first_pair():
    module, inputs = _attention(), torch.randn(2, 7, 32)
    _set_lambda(module, 0.0)
    with torch.no_grad():
        plain = _first_maps_alone(module, inputs)
        scaled = module.head_norm(plain) * (1 - module.lambda_init)
        expected = module.projection(scaled.transpose(1, 2).flatten(2))
        assert torch.allclose(module(inputs), expected, atol=1e-5)


def test_lambda_zero_without_norm_and_scale_is_multi_head_attention():
    """Values are 2d wide, so the plain layer has Q and K of d = 8 and V of 16: built here from V's own projection."""
    module, inputs = _attention(), torch.randn(2, 7, 32)
    _set_lambda(module, 0.0)
    module.head_norm = torch.nn.Identity()
    module.lambda_init = 0.0
    _set_lambda(module, 0.0)
    plain = MultiHeadAttention(32, 2)
    # √2 and a zero half make dot products of width 16 equal those of width 8 under their own scale.
    with torch.no_grad():
        for ours, theirs in ((module.qkv.weight, plain.qkv.weight), (module.qkv.bias, plain.qkv.bias)):
            theirs.copy_(ours)
            pairs = theirs[:64].view(2, 2, 2, 8, *theirs.shape[1:])
            pairs[:, :, 1] = 0
            pairs *= 2**0.25
        plain.projection.load_state_dict(module.projection.state_dict())
        assert torch.allclose(module.explicit(inputs)[0], plain.explicit(inputs)[0], atol=1e-6)
        assert torch.allclose(module.explicit(inputs)[1], plain.explicit(inputs)[1], atol=1e-6)


@pytest.mark.parametrize(("value", "sign"), [(0.0, 1), (0.4, 1), (0.9, 1), (1.5, -1), (3.0, -1)])
def test_equal_pairs_make_the_output_blind_to_lambda(value, sign):
    """A (1 - λ) softmax map: the head norm removes its scale, but not its sign."""
    module, inputs = _attention().double(), torch.randn(2, 7, 32, dtype=torch.float64)
    module.head_norm.eps = 0.0
    _tie_pairs(module)
    with torch.no_grad():
        module.projection.bias.zero_()
        _set_lambda(module, 0.2)
        reference = module.explicit(inputs)[0]
        _set_lambda(module, value)
        assert torch.allclose(module.explicit(inputs)[0], sign * reference, atol=1e-9)


def test_permuting_tokens_permutes_output_and_maps():
    module, inputs = _attention().double(), torch.randn(2, 9, 32, dtype=torch.float64)
    order = torch.randperm(9)
    with torch.no_grad():
        output, weights = module.explicit(inputs)
        shuffled, shuffled_weights = module.explicit(inputs[:, order])
    # The softmax is computed in fp32 whatever the input is, hence not 1e-15.
    assert torch.allclose(shuffled, output[:, order], atol=1e-6)
    assert torch.allclose(shuffled_weights, weights[:, :, order][..., order], atol=1e-6)


def test_gradients_reach_all_four_lambda_vectors():
    module = _attention()
    module(torch.randn(2, 7, 32)).square().sum().backward()
    for name in LAMBDAS:
        gradient = getattr(module, name).grad
        assert gradient is not None
        assert gradient.abs().sum() > 0


def test_lambda_is_one_number_per_layer_and_the_norm_is_shared_by_the_heads():
    module = _attention(heads=4)
    assert module.lambda_().shape == ()
    assert {getattr(module, name).shape for name in LAMBDAS} == {(4,)}
    assert module.head_norm.weight.shape == (8,)
    assert not hasattr(module.head_norm, "bias") or module.head_norm.bias is None


@pytest.mark.parametrize(("embed_dim", "heads", "extra"), [(384, 6, 192), (192, 3, 192), (32, 2, 48)])
def test_parameter_count(embed_dim, heads, extra):
    """4d for λ and 2d for the head norm, d = D / 2h, beyond a plain layer of twice the heads: 6D / 2h."""
    ours = sum(parameter.numel() for parameter in DifferentialAttention(embed_dim, heads, 0).parameters())
    plain = sum(parameter.numel() for parameter in MultiHeadAttention(embed_dim, 2 * heads).parameters())
    assert ours - plain == extra == 6 * embed_dim // (2 * heads)
    biases = 4 * embed_dim
    assert plain - biases == 4 * embed_dim**2  # 589,824 for D = 384


def test_a_differential_vit_differs_from_a_vit_in_attention_alone():
    config = ViTConfig(image_size=8, patch_size=4, embed_dim=32, depth=2, num_heads=2)
    plain, ours = (dict(kind(config).named_parameters()) for kind in (ViT, DifferentialViT))
    assert set(plain) <= set(ours)
    added = {name.rsplit(".", 2)[1 if "norm" in name else 2] for name in set(ours) - set(plain)}
    assert added == {"head_norm", *LAMBDAS}
    assert {name: tuple(tensor.shape) for name, tensor in plain.items()}.items() <= {
        name: tuple(tensor.shape) for name, tensor in ours.items()
    }.items()
    deeper = DifferentialViT(config).blocks
    assert [block.attention.lambda_init for block in deeper] == [lambda_init(0), lambda_init(1)]


def test_heads_must_divide_half_the_width():
    with pytest.raises(ConfigError, match="differential heads"):
        DifferentialAttention(24, 8, 0)
