"""Vision Transformer for small images, pre-norm, with a fused path to train and a traced path to look at.

Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", arXiv:2010.11929.
Differs from the paper: stochastic depth is available; no hidden layer in the classification head.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from core.configs import check_options, option
from core.errors import ConfigError, ShapeError
from core.models.attention import MultiHeadAttention
from core.models.capture import head_means
from core.models.input_size import interpolate_positions, with_own_parts
from core.models.positions import FixedPositions, Positional, build_positions
from core.models.trace import Pooling, Trace, check_trace


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """The shape of a ViT; the defaults are a small one that a laptop can train on CIFAR-10."""

    image_size: int = option(32, "Image size", "Side of the square input.", minimum=4, maximum=1024, unit="px")
    patch_size: int = option(
        4, "Patch size", "Side of a patch; 32-px images give 64 patches of 4.", minimum=1, unit="px"
    )
    channels: int = option(3, "Channels", minimum=1, maximum=16)
    classes: int = option(10, "Classes", minimum=1)
    embed_dim: int = option(192, "Embedding dim", "Width of every token.", minimum=4, maximum=4096)
    depth: int = option(6, "Depth", "Number of transformer blocks.", minimum=1, maximum=64)
    num_heads: int = option(6, "Heads", "Attention heads per block.", minimum=1, maximum=64)
    mlp_ratio: float = option(2.0, "MLP ratio", "Hidden width of the MLP over the embedding dim.", minimum=0.25)
    positional: Positional = option("learned_1d", "Positional embedding", "How the model knows where a patch is.")
    pooling: Pooling = option("class_token", "Pooling", "What the classifier reads: the class token or the mean patch.")
    drop_path: float = option(0.0, "Drop path", "Chance to skip a block while training.", minimum=0, maximum=0.9)
    norm_eps: float = option(
        1e-6, "LayerNorm epsilon", "Added to the variance of a token, so that nothing is divided by 0.", minimum=0
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.image_size % self.patch_size:
            raise ConfigError(
                f"Patches of {self.patch_size} do not tile an image of {self.image_size} pixels.",
                "Choose a patch size that divides the image size.",
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        side = self.image_size // self.patch_size
        return side, side


class Mlp(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, embed_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.expand = nn.Linear(embed_dim, hidden_dim)
        self.contract = nn.Linear(hidden_dim, embed_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.contract(nn.functional.gelu(self.expand(tokens)))


class Block(nn.Module):
    """Attention and MLP, each normalised before and added back: x + f(norm(x))."""

    def __init__(self, config: ViTConfig, attention: nn.Module, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.attention = attention
        self.norm2 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.mlp = Mlp(config.embed_dim, int(config.embed_dim * config.mlp_ratio))
        self.drop_path = drop_path

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self._drop(self.attention(self.norm1(tokens)))
        return tokens + self._drop(self.mlp(self.norm2(tokens)))

    def explicit(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The block's output, and the attention weights (batch, heads, tokens, tokens) inside it."""
        mixed, weights = self.attention.explicit(self.norm1(tokens))  # type: ignore[operator]
        tokens = tokens + self._drop(mixed)
        return tokens + self._drop(self.mlp(self.norm2(tokens))), weights

    def _drop(self, branch: Tensor) -> Tensor:
        """Stochastic depth (Huang et al. 2016, arXiv:1603.09382): drop the branch of whole samples."""
        if not self.training or self.drop_path == 0:
            return branch
        keep = torch.rand(len(branch), 1, 1, device=branch.device) >= self.drop_path
        return branch * keep.to(branch.dtype) / (1 - self.drop_path)


class ViT(nn.Module):
    """Patches in, logits out; `trace` returns what happened between."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.depth = config.depth
        patch_dim = config.channels * config.patch_size**2
        self.patch_embedding = nn.Linear(patch_dim, config.embed_dim)
        self.class_token = nn.Parameter(torch.zeros(1, 1, config.embed_dim))
        self.position_embedding = build_positions(config.positional, config.grid, config.embed_dim, prefix_tokens=1)
        # On the CPU, also while the rest is built on the meta device: these become plain numbers.
        rates = torch.linspace(0, config.drop_path, config.depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(
            Block(config, self.build_attention(layer), rates[layer]) for layer in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.head = nn.Linear(config.embed_dim, config.classes)
        self.apply(_initialise)
        nn.init.normal_(self.class_token, std=0.02)

    def build_attention(self, layer: int) -> nn.Module:
        """The mixing step of block `layer`, counted from 0; variants of the ViT replace only this."""
        return MultiHeadAttention(self.config.embed_dim, self.config.num_heads)

    def forward(self, images: Tensor) -> Tensor:
        """`images`: (batch, channels, height, width), normalised → logits (batch, classes)."""
        return self.head(self.embed(images))

    def embed(self, images: Tensor) -> Tensor:
        """The image as one vector, (batch, embed_dim): what the head reads."""
        return self._pool(self._encode(images))

    def last_tokens(self, images: Tensor) -> tuple[Tensor, int]:
        """The tokens (batch, tokens, embed_dim) after the last norm, and how many of them come before the patches."""
        return self.norm(self._encode(images)), 1

    def positions(self) -> tuple[Tensor | None, tuple[int, int], int]:
        """The positional table (tokens, embed_dim), or None; the grid of patches; the tokens before them."""
        return self.position_embedding.table(), self.config.grid, 1

    @property
    def num_heads(self) -> int:
        return self.config.num_heads

    @property
    def input_step(self) -> int:
        """Sides of other inputs are multiples of it."""
        return self.config.patch_size

    def at_input_size(self, size: int) -> ViT:
        """The same weights, shared, for images of `size` pixels: positions are interpolated, nothing else changes."""
        found = with_own_parts(self)
        found.config = replace(self.config, image_size=size)
        if (table := self.position_embedding.table()) is not None:
            moved = interpolate_positions(table, self.config.grid, found.config.grid, prefix_tokens=1)
            found.position_embedding = FixedPositions(moved)
        return found

    def trace(self, images: Tensor) -> Trace:
        """The same forward pass, explicit, keeping the tokens and attention of every layer."""
        tokens = self._tokenise(images)
        attention, outputs = [], []
        for block in self.blocks:
            tokens, weights = block.explicit(tokens)  # type: ignore[operator]
            attention.append(weights)
            outputs.append(tokens)
        embedding = self._pool(tokens)
        trace = Trace(
            attention=tuple(attention),
            tokens=tuple(outputs),
            embedding=embedding,
            logits=self.head(embedding),
            grid=self.config.grid,
            pooling=self.config.pooling,
            signed=bool(self.blocks[0].attention.signed),  # type: ignore[union-attr]
        )
        return check_trace(trace, self.depth)

    def trace_mean(self, images: Tensor) -> Trace:
        """As `trace`, with the mean of the heads for attention, (batch, 1, tokens, tokens), and no tokens.

        The values go through the fused kernel, so that it takes little longer than `forward`; without gradients.
        """
        with torch.no_grad(), head_means() as means:
            embedding = self.embed(images)
        if len(means) != self.depth:  # differential attention, which is two in one
            return self.trace(images)
        trace = Trace(
            attention=tuple(means),
            tokens=(),
            embedding=embedding,
            logits=self.head(embedding),
            grid=self.config.grid,
            pooling=self.config.pooling,
        )
        return check_trace(trace, self.depth)

    def _encode(self, images: Tensor) -> Tensor:
        tokens = self._tokenise(images)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens

    def _tokenise(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) → (batch, 1 + patches, embed_dim), positions added."""
        size = (self.config.channels, self.config.image_size, self.config.image_size)
        if images.shape[1:] != size:
            raise ShapeError(f"This ViT takes images of shape {size}, got {tuple(images.shape[1:])}.")
        # A linear layer on flattened patches equals the paper's strided convolution.
        patches = nn.functional.unfold(images, self.config.patch_size, stride=self.config.patch_size)
        tokens = self.patch_embedding(patches.transpose(1, 2))  # (batch, patches, embed_dim)
        tokens = torch.cat([self.class_token.expand(len(images), -1, -1).to(tokens.dtype), tokens], dim=1)
        table = self.position_embedding.table()
        return tokens if table is None else tokens + table

    def _pool(self, tokens: Tensor) -> Tensor:
        tokens = self.norm(tokens)
        return tokens[:, 0] if self.config.pooling == "class_token" else tokens[:, 1:].mean(dim=1)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
