"""Models of images and texts in one space, as every analysis sees them: CLIP, SigLIP and their kin.

Sources: Radford et al. 2021, arXiv:2103.00020 (CLIP); Zhai et al. 2023, arXiv:2303.15343 (SigLIP).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from core.models.attention import merge_heads, split_heads
from core.models.trace import Reading


@dataclass(frozen=True, kw_only=True)
class TextTokens:
    """Texts as the model reads them.

    Attributes:
        ids: (texts, context_length) int64, padded.
        pieces: of each text, the readable tokens from the first to the end mark; padding is left out.
        truncated: of each text, whether it was too long and lost its end.
    """

    ids: Tensor
    pieces: tuple[tuple[str, ...], ...]
    truncated: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class PairTrace:
    """One pass of images and texts with every attention matrix, attached to the autograd graph if there is one.

    Attributes:
        scores: (images, texts) logits: logit_scale · cosine + logit_bias.
        image_attention: one (images, heads, tokens, tokens) per layer.
        text_attention: one (texts, heads, length, length) per layer; zero above the diagonal where it is causal.
        grid: rows and columns of patches.
        prefix_tokens: tokens before the patches.
        image_pooling: what the image embedding is made of.
        text_read: (texts,) the position in each text whose token becomes the text's embedding.
    """

    scores: Tensor
    image_attention: tuple[Tensor, ...]
    text_attention: tuple[Tensor, ...]
    grid: tuple[int, int]
    prefix_tokens: int
    image_pooling: Reading
    text_read: Tensor


@runtime_checkable
class ImageTextEncoder(Protocol):
    """A model with capability "image_text".

    `logit_bias` is 0 and `kind` "softmax" unless the model was trained with the sigmoid loss.
    """

    kind: Literal["softmax", "sigmoid"]
    context_length: int

    @property
    def logit_scale(self) -> float: ...

    @property
    def logit_bias(self) -> float: ...

    def embed(self, images: Tensor) -> Tensor:
        """(batch, 3, height, width), normalised pixels → (batch, dim), projected, not of unit length."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts → (texts, dim), projected, not of unit length."""
        ...

    def tokenise(self, texts: Sequence[str]) -> TextTokens:
        """What the model will read of `texts`; one thread at a time, as tokenizers change while they work."""
        ...

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """`embed_texts` of what `tokenise` gave: (texts, context_length) → (texts, dim)."""
        ...


@runtime_checkable
class PairTraceable(Protocol):
    """A model whose image-text score can be followed back through both towers."""

    def trace_pair(self, images: Tensor, texts: Sequence[str]) -> PairTrace: ...


def normalised(vectors: Tensor) -> Tensor:
    """`vectors` (..., dim) divided by their lengths."""
    return nn.functional.normalize(vectors, dim=-1)


def explicit_attention(
    attention: nn.MultiheadAttention, tokens: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """PyTorch's self-attention with its weights in the graph: (batch, tokens, dim) and (batch, heads, tokens, tokens).

    `nn.MultiheadAttention` returns its weights as a view that the output does not depend on, so their gradient would
    be missing. `mask` is added to the logits, (tokens, tokens) or (batch · heads, tokens, tokens).
    """
    assert attention.in_proj_weight is not None
    projected = nn.functional.linear(tokens, attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = (split_heads(part, attention.num_heads) for part in projected.chunk(3, dim=-1))
    logits = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    if mask is not None:
        logits = logits + (mask if mask.ndim == 2 else mask.view_as(logits)).to(logits.dtype)
    weights = logits.softmax(dim=-1, dtype=torch.float32).to(tokens.dtype)
    return attention.out_proj(merge_heads(weights @ value)), weights
