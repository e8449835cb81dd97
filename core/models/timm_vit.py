"""timm's `VisionTransformer` behind our contract; weights come from local folders in timm's Hub layout.

Source: Wightman, pytorch-image-models; the models' papers are named in timm's own files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import IncompatibleError, ShapeError
from core.models.capture import captured, head_means
from core.models.input_size import with_own_parts
from core.models.reading import attention_pooling, by_gradient, find_reading, pooling_weights, shares_of
from core.models.trace import Reading, Trace, check_trace
from core.seeding import stream_seed, torch_generator


class TimmViT(nn.Module):
    """A timm vision transformer; with a head it classifies, without one it only embeds."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        attentions = [getattr(block, "attn", None) for block in model.blocks]
        if not all(hasattr(attention, "fused_attn") and hasattr(attention, "attn_drop") for attention in attentions):
            raise IncompatibleError(
                f"The attention of timm's {type(model).__name__} has no explicit form to look at.",
                "Choose a plain ViT or DeiT.",
            )
        self.model = model
        self.depth = len(model.blocks)
        self.classifies = model.num_classes > 0
        # The first convolution is that of the patches, or of the stem below them.
        self.image_channels = next(part.in_channels for part in model.modules() if isinstance(part, nn.Conv2d))
        self.has_class_token = getattr(model, "cls_token", None) is not None
        self.fixed: dict[int, Reading | None] = {}  # what the head reads, by the number of tokens

    def forward(self, images: Tensor) -> Tensor:
        """`images`: (batch, 3, height, width), normalised → logits (batch, classes).

        Raises:
            IncompatibleError: the checkpoint has no classification head.
        """
        if not self.classifies:
            raise IncompatibleError("This checkpoint has no classification head.", "Choose a classifier.")
        return self.model.forward_head(self._features(images))

    def embed(self, images: Tensor) -> Tensor:
        """The image as one vector, (batch, dim): what the head reads."""
        return self.model.forward_head(self._features(images), pre_logits=True)

    def last_tokens(self, images: Tensor) -> tuple[Tensor, int]:
        """The tokens (batch, tokens, dim) after the last norm, and how many of them come before the patches."""
        # Models that pool by mean norm afterwards; token by token, the same weights serve both poolings.
        return self.model.fc_norm(self._features(images)), self.model.num_prefix_tokens

    @property
    def num_heads(self) -> int:
        return int(self.model.blocks[0].attn.num_heads)

    @property
    def input_step(self) -> int:
        """Sides of other inputs are multiples of it; 0 where its positions are none that timm resamples."""
        sides = getattr(self.model.patch_embed, "patch_size", (0,))
        return int(sides[0]) if hasattr(self.model, "set_input_size") and len(set(sides)) == 1 else 0

    @torch.no_grad()
    def at_input_size(self, size: int) -> TimmViT:
        """The same weights, shared, for images of `size` pixels: timm resamples the positions, nothing else changes."""
        found, found.model = with_own_parts(self), with_own_parts(self.model)
        found.model.patch_embed = with_own_parts(self.model.patch_embed)
        found.model.set_input_size(img_size=(size, size))
        found.fixed = {}
        return found

    def trace(self, images: Tensor) -> Trace:
        """The same forward pass with explicit attention, keeping the tokens and attention of every layer."""
        dropouts = [block.attn.attn_drop for block in self.model.blocks]
        with self._fused_attention(False), captured(dropouts) as attention, captured(self.model.blocks) as tokens:
            features = self._features(images)
        return self._traced(features, attention, tokens)

    def trace_mean(self, images: Tensor) -> Trace:
        """As `trace`, with the mean of the heads for attention, (batch, 1, tokens, tokens), and no tokens."""
        with torch.no_grad(), self._fused_attention(True), head_means() as means:
            features = self._features(images)
        return self._traced(features, means, ()) if len(means) == self.depth else self.trace(images)

    def _traced(self, features: Tensor, attention: Sequence[Tensor], tokens: Sequence[Tensor]) -> Trace:
        trace = Trace(
            attention=tuple(attention),
            tokens=tuple(tokens),
            embedding=self.model.forward_head(features, pre_logits=True),
            logits=self.model.forward_head(features) if self.classifies else None,
            grid=self.model.patch_embed.grid_size,
            prefix_tokens=self.model.num_prefix_tokens,
            pooling=self._reading(features),
        )
        return check_trace(trace, self.depth)

    def positions(self) -> tuple[Tensor | None, tuple[int, int], int]:
        """The positional table (tokens, dim), or None; its grid; the tokens before it that have a position."""
        grid = self.model.patch_embed.grid_size
        table = self.model.pos_embed
        if table is None:
            return None, grid, 0
        return table[0].detach(), grid, table.shape[1] - grid[0] * grid[1]

    def _reading(self, features: Tensor) -> Reading:
        """What the head reads of the `features` (batch, tokens, dim): asked once, or of these if it depends on them."""
        read, before = partial(self.model.forward_head, pre_logits=True), self.model.num_prefix_tokens
        count, weight = features.shape[1], next(self.model.parameters())
        if count not in self.fixed:
            generator = torch_generator(stream_seed("tokens of a reading"))
            tokens = torch.randn(2, *features.shape[1:], generator=generator).to(weight)
            names = ["class token"] if getattr(self.model, "cls_token", None) is not None else []
            names += ["distillation token"] if getattr(self.model, "dist_token", None) is not None else []
            self.fixed[count] = find_reading(shares_of(read, tokens), before, names)
        if (fixed := self.fixed[count]) is not None:
            return fixed
        skipped = 0 if self.model.pool_include_prefix else before
        weights = pooling_weights(getattr(self.model, "attn_pool", None), features[:, skipped:])
        return (
            by_gradient(shares_of(read, features.to(weight)))
            if weights is None
            else attention_pooling(weights, skipped)
        )

    def _features(self, images: Tensor) -> Tensor:
        expected = (self.image_channels, *self.model.patch_embed.img_size)
        if tuple(images.shape[1:]) != expected:
            raise ShapeError(f"This ViT takes images of shape {expected}, got {tuple(images.shape[1:])}.")
        return self.model.forward_features(images)

    @contextmanager
    def _fused_attention(self, fused: bool) -> Iterator[None]:
        """Take the fused kernel, or the path on which the weights exist as a tensor: the first calls no `attn_drop`."""
        attentions = [block.attn for block in self.model.blocks]
        before = [attention.fused_attn for attention in attentions]
        for attention in attentions:
            attention.fused_attn = fused
        try:
            yield
        finally:
            for attention, earlier in zip(attentions, before, strict=True):
                attention.fused_attn = earlier
