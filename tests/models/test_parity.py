"""Our layers against PyTorch's own and against the formulae of the papers, with the same weights.

Multi-head attention alone is compared in `test_attention.py`, the whole ViT with transformers' in `test_vit.py`.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from core.models.differential import DifferentialAttention
from core.models.vit import Block, ViT, ViTConfig

CONFIG = ViTConfig(image_size=16, patch_size=4, embed_dim=32, depth=1, num_heads=4, mlp_ratio=3.0)


def _torchs_twin(block: Block) -> nn.TransformerEncoderLayer:
    """PyTorch's pre-norm encoder layer with the weights of `block`."""
    layer = nn.TransformerEncoderLayer(
        32, 4, dim_feedforward=96, dropout=0.0, activation="gelu", layer_norm_eps=1e-6, batch_first=True,
        norm_first=True,
    )  # fmt: skip
    layer.self_attn.in_proj_weight.data = block.attention.qkv.weight.data.clone()
    layer.self_attn.in_proj_bias.data = block.attention.qkv.bias.data.clone()
    for theirs, ours in (
        (layer.self_attn.out_proj, block.attention.projection),
        (layer.norm1, block.norm1),
        (layer.norm2, block.norm2),
        (layer.linear1, block.mlp.expand),
        (layer.linear2, block.mlp.contract),
    ):
        theirs.load_state_dict(ours.state_dict())
    return layer


@pytest.fixture
def block() -> Block:
    torch.manual_seed(0)
    block = ViT(CONFIG).blocks[0]
    with torch.no_grad():
        for parameter in block.parameters():  # norms and biases too, which start at 1 and 0
            parameter.add_(0.3 * torch.randn_like(parameter))
    return block.double()


def test_a_block_is_pytorchs_pre_norm_encoder_layer(block: Block) -> None:
    theirs = _torchs_twin(block).double()
    tokens = torch.randn(3, 11, 32, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs.train()(tokens)  # `eval` would take PyTorch's fused path
        assert torch.allclose(block(tokens), expected, atol=1e-12)
        assert torch.allclose(theirs.eval()(tokens), expected, atol=1e-6)
        # The explicit path computes its softmax in fp32.
        assert torch.allclose(block.explicit(tokens)[0], expected, atol=1e-5)


def test_a_block_learns_as_pytorchs_does(block: Block) -> None:
    theirs = _torchs_twin(block).double().train()
    tokens = torch.randn(3, 11, 32, dtype=torch.float64)
    block(tokens).square().sum().backward()
    theirs(tokens).square().sum().backward()
    pairs = (
        (block.attention.qkv.weight, theirs.self_attn.in_proj_weight),
        (block.attention.projection.weight, theirs.self_attn.out_proj.weight),
        (block.norm1.weight, theirs.norm1.weight),
        (block.mlp.expand.weight, theirs.linear1.weight),
        (block.mlp.contract.bias, theirs.linear2.bias),
    )
    for ours, reference in pairs:
        assert ours.grad is not None
        assert reference.grad is not None
        assert torch.allclose(ours.grad, reference.grad, rtol=1e-4, atol=1e-4 * float(reference.grad.abs().max()))


def _naive_differential_attention(module: DifferentialAttention, tokens: Tensor) -> Tensor:
    """Ye et al. 2024, equations 1 to 3, one sample, one head, one query and one key at a time."""
    heads, dim = module.num_heads, tokens.shape[-1]
    d = dim // (2 * heads)
    rows = module.qkv.weight
    bias = module.qkv.bias
    lambda_ = (
        math.exp(float(module.lambda_query1 @ module.lambda_key1))
        - math.exp(float(module.lambda_query2 @ module.lambda_key2))
        + module.lambda_init
    )

    def project(token: Tensor, start: int, width: int) -> Tensor:
        return rows[start : start + width] @ token + bias[start : start + width]

    def softmax(scores: list[float]) -> list[float]:
        exponentials = [math.exp(score - max(scores)) for score in scores]
        return [each / sum(exponentials) for each in exponentials]

    outputs = []
    for sample in tokens:
        mixed = torch.zeros(len(sample), dim, dtype=tokens.dtype)
        for head in range(heads):
            first, second, value = 2 * d * head, 2 * d * head + d, 2 * dim + 2 * d * head
            for place, query in enumerate(sample):
                maps = [
                    softmax([float(project(query, at, d) @ project(key, dim + at, d)) / math.sqrt(d) for key in sample])
                    for at in (first, second)
                ]
                head_output = torch.zeros(2 * d, dtype=tokens.dtype)
                for key, token in enumerate(sample):
                    head_output += (maps[0][key] - lambda_ * maps[1][key]) * project(token, value, 2 * d)
                root_mean_square = (head_output.square().mean() + 1e-5).sqrt()
                normed = head_output / root_mean_square * module.head_norm.weight
                mixed[place, 2 * d * head : 2 * d * (head + 1)] = (1 - module.lambda_init) * normed
        outputs.append(mixed @ module.projection.weight.T + module.projection.bias)
    return torch.stack(outputs)


@pytest.mark.parametrize(("heads", "layer"), [(1, 0), (2, 3)])
def test_differential_attention_is_the_papers_formula(heads: int, layer: int) -> None:
    torch.manual_seed(0)
    module = DifferentialAttention(16, heads, layer).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        tokens = torch.randn(2, 5, 16, dtype=torch.float64)
        expected = _naive_differential_attention(module, tokens)
        assert torch.allclose(module(tokens), expected, atol=1e-9)
        assert torch.allclose(module.explicit(tokens)[0], expected, atol=1e-5)  # softmax in fp32
