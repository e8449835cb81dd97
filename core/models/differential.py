"""Differential attention: the difference of two softmax maps, so that common noise cancels.

Paper: Ye et al. 2024, "Differential Transformer", arXiv:2410.05258, equations 1 to 3; reference code
microsoft/unilm/Diff-Transformer (consulted for the head norm and its epsilon).
Differs from the paper: no causal mask, no rotary positions, biases kept, LayerNorm and GELU blocks, so that
only attention differs from our ViT. "GroupNorm" is the per-head RMSNorm of the reference code.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ConfigError
from core.models.attention import attention_weights, merge_heads, split_heads, trains_on_cpu
from core.models.vit import ViT


def lambda_init(layer: int) -> float:
    """λ at the start of training, 0.8 - 0.6·exp(-0.3·layer), for `layer` counted from 0 (the paper counts from 1)."""
    return 0.8 - 0.6 * math.exp(-0.3 * layer)


def differential_weights(first: Tensor, second: Tensor, lambda_: Tensor | float) -> Tensor:
    """A = first - λ·second for two softmax maps (..., queries, keys): rows sum to 1 - λ, entries may be negative."""
    return first - lambda_ * second


class DifferentialAttention(nn.Module):
    """`num_heads` heads, each with two query-key pairs of head_dim d = embed_dim / (2·num_heads) and values of 2d.

    Half the heads of a plain layer therefore cost the same parameters, plus 4d for λ and 2d for the head norm.
    """

    signed = True

    def __init__(self, embed_dim: int, num_heads: int, layer: int) -> None:
        super().__init__()
        if embed_dim % (2 * num_heads):
            raise ConfigError(
                f"embed_dim {embed_dim} does not split into {num_heads} differential heads of two maps each.",
                f"Choose heads so that {embed_dim} is divisible by twice their number.",
            )
        self.num_heads = num_heads
        self.lambda_init = lambda_init(layer)
        head_dim = embed_dim // (2 * num_heads)
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.lambda_query1, self.lambda_key1, self.lambda_query2, self.lambda_key2 = (
            nn.Parameter(torch.empty(head_dim).normal_(std=0.1)) for _ in range(4)
        )
        self.head_norm = nn.RMSNorm(2 * head_dim, eps=1e-5)
        self.projection = nn.Linear(embed_dim, embed_dim)

    def lambda_(self) -> Tensor:
        """The learned λ: one number, shared by all heads of the layer."""
        first = (self.lambda_query1 * self.lambda_key1).sum().exp()
        second = (self.lambda_query2 * self.lambda_key2).sum().exp()
        return first - second + self.lambda_init

    def forward(self, tokens: Tensor) -> Tensor:
        """The fused path: (batch, tokens, embed_dim) → the same shape, no weights kept."""
        if trains_on_cpu(tokens):
            return self.explicit(tokens)[0]
        query1, key1, query2, key2, value = self._project(tokens)
        first = F.scaled_dot_product_attention(query1, key1, value)
        second = F.scaled_dot_product_attention(query2, key2, value)
        return self._finish(first - self.lambda_().to(first.dtype) * second)

    def explicit(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The same output, and the signed weights (batch, heads, tokens, tokens) that produced it."""
        query1, key1, query2, key2, value = self._project(tokens)
        weights = differential_weights(
            attention_weights(query1, key1), attention_weights(query2, key2), self.lambda_().to(value.dtype)
        )
        return self._finish(weights @ value), weights

    def _project(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Two queries and keys (batch, heads, tokens, head_dim), one value (batch, heads, tokens, 2·head_dim)."""
        query, key, value = self.qkv(tokens).chunk(3, dim=-1)
        query1, query2 = split_heads(query, self.num_heads).chunk(2, dim=-1)
        key1, key2 = split_heads(key, self.num_heads).chunk(2, dim=-1)
        return query1, key1, query2, key2, split_heads(value, self.num_heads)

    def _finish(self, heads: Tensor) -> Tensor:
        # The constant λ_init, not the learned λ: it keeps gradients as large as a plain Transformer's.
        return self.projection(merge_heads(self.head_norm(heads) * (1 - self.lambda_init)))


class DifferentialViT(ViT):
    """Our ViT with differential attention and nothing else changed."""

    def build_attention(self, layer: int) -> nn.Module:
        """Differential attention, whose λ starts larger in deeper blocks."""
        return DifferentialAttention(self.config.embed_dim, self.config.num_heads, layer)
