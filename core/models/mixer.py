"""One small network six times: patches, blocks of a token mixer and an MLP, the mean of all positions, a linear head.

What mixes positions is an operator of `core.models.operators`; nothing else differs, but for the width of the MLP,
which gets what its mixer leaves of the same number of parameters.

The frame of a token mixer and an MLP: Yu et al. 2022, "MetaFormer Is Actually What You Need for Vision",
arXiv:2111.11418. Differs from the papers of the operators: one resolution instead of stages, and CoAtNet's
relative weights reach as far as the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from core.configs import check_options, option
from core.errors import ConfigError, ShapeError
from core.models.kernels import Padding, check_kernel_size
from core.models.operators import (
    Activation,
    Mixed,
    Modulation,
    Outside,
    Window,
    attention_modulated_convolution,
    convolution_modulated_attention,
    depthwise_convolution,
    post_normalisation,
    pre_normalisation,
    self_attention,
)
from core.models.positions import Positional, build_positions
from core.models.vit import Mlp

OperatorName = Literal[
    "convolution", "attention", "post", "pre", "attention_modulated_convolution", "convolution_modulated_attention"
]

OPERATOR_TITLES: dict[OperatorName, str] = {
    "convolution": "Depthwise convolution",
    "attention": "Self-attention",
    "post": "Post-normalisation combination",
    "pre": "Pre-normalisation combination",
    "attention_modulated_convolution": "Attention-modulated convolution",
    "convolution_modulated_attention": "Convolution-modulated attention",
}

# Linear layers of a mixer from tokens to what its operator takes; one back to tokens comes on top.
_PROJECTIONS: dict[OperatorName, tuple[str, ...]] = {
    "convolution": ("value",),
    "attention": ("query", "key", "value"),
    "post": ("query", "key", "value"),
    "pre": ("query", "key", "value"),
    "attention_modulated_convolution": ("query", "key", "value"),
    "convolution_modulated_attention": ("modulator", "value"),
}


@dataclass(frozen=True, kw_only=True)
class MixerConfig:
    """The shape of a mixer network; the defaults have 0.22 million parameters, whatever mixes."""

    operator: OperatorName = option("pre", "Operator", "What mixes the positions in every block.")
    image_size: int = option(32, "Image size", "Side of the square input.", minimum=4, maximum=1024, unit="px")
    patch_size: int = option(
        4, "Patch size", "Side of a patch; 32-px images give 64 patches of 4.", minimum=1, unit="px"
    )
    channels: int = option(3, "Channels", minimum=1, maximum=16)
    classes: int = option(10, "Classes", minimum=1)
    embed_dim: int = option(80, "Embedding dim", "Width of every token.", minimum=4, maximum=4096)
    depth: int = option(4, "Depth", "Number of blocks.", minimum=1, maximum=64)
    num_heads: int = option(5, "Heads", "Of the attention, each with its own kernel.", minimum=1, maximum=64)
    kernel_size: int = option(5, "Kernel size", "Patches per side of the window; odd.", minimum=1, maximum=129)
    mlp_ratio: float = option(
        2.0,
        "MLP ratio",
        "Hidden width of the MLP over the embedding dim, beside attention. Mixers with fewer parameters get a wider "
        "MLP, so that all networks have the same number.",
        minimum=0.25,
    )
    positional: Positional = option("learned_1d", "Positional embedding", "How the model knows where a patch is.")
    padding: Padding = option("zero", "Borders", "Nothing beyond the border, or the other side of the image.")
    outside: Outside = option(
        "zero", "Beyond the kernel", "Pre-normalisation only: similarity alone decides, or nothing is read."
    )
    window: Window = option(
        "renormalised", "Attention in windows", "Attention-modulated convolution only: over what rows sum to 1."
    )
    modulation: Modulation = option(
        "none", "Modulation", "Convolution-modulated attention only: the plain product, or a softmax over positions."
    )
    activation: Activation = option(
        "none", "Activation", "Convolution-modulated attention only: of the convolution, before it multiplies."
    )
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
        if self.embed_dim % self.num_heads:
            raise ConfigError(
                f"embed_dim {self.embed_dim} does not split into {self.num_heads} heads.",
                "Choose a number of heads that divides it.",
            )
        check_kernel_size((self.kernel_size, self.kernel_size), self.grid, self.padding)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        side = self.image_size // self.patch_size
        return side, side

    @property
    def kernel_channels(self) -> int:
        """Kernels of a mixer: one a channel, one a head, or none."""
        shared = {"attention": 0, "post": self.num_heads, "pre": self.num_heads}
        return shared.get(self.operator, self.embed_dim)

    @property
    def mlp_dim(self) -> int:
        """Hidden width of the MLP: what the mixer leaves of the parameters of an attention block at `mlp_ratio`."""
        layers = len(_PROJECTIONS[self.operator])
        saved = (3 - layers) * self.embed_dim * (self.embed_dim + 1) - self.kernel_channels * self.kernel_size**2
        per_unit = 2 * self.embed_dim + 1
        # Multiples of 8, which GPUs multiply fastest.
        return max(8, 8 * round((self.embed_dim * self.mlp_ratio + saved / per_unit) / 8))


@dataclass(frozen=True, kw_only=True)
class MixerTrace:
    """What the mixers of one forward pass did, block by block.

    Attributes:
        inputs: what each mixer read, (batch, embed_dim, rows, columns): after the norm.
        outputs: what each added to its input, of the same shape.
        mixed: the operator inside: its output (batch, heads, head_dim, rows, columns), its weights between positions
            (batch, heads, positions, positions) and its modulation, where it has them.
        kernels: as `TokenMixer.kernel`; None for attention.
        logits: (batch, classes).
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    mixed: tuple[Mixed, ...]
    kernels: tuple[Tensor | None, ...]
    logits: Tensor


class TokenMixer(nn.Module):
    """An operator between linear projections: (batch, tokens, embed_dim) → the same shape.

    The temperature is √head_dim, as in a transformer.

    Attributes:
        kernel: (heads, head_dim, rows, columns), or (heads, rows, columns) where the channels of a head share one;
            None for attention. In the order of a correlation: entry (r + dy, r + dx) weighs the patch dy below and dx
            to the right.
    """

    def __init__(self, config: MixerConfig) -> None:
        super().__init__()
        self.config = config
        for name in _PROJECTIONS[config.operator]:
            self.add_module(name, nn.Linear(config.embed_dim, config.embed_dim))
        self.projection = nn.Linear(config.embed_dim, config.embed_dim)
        self.kernel: nn.Parameter | None = _start_kernel(config)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.explicit(tokens)[0]

    def explicit(self, tokens: Tensor) -> tuple[Tensor, Mixed]:
        """The mixed tokens, and what the operator gave before the last projection."""
        mixed = self.mix({name: self._project(name, tokens) for name in _PROJECTIONS[self.config.operator]})
        # (batch, heads, head_dim, rows, columns) → (batch, tokens, embed_dim)
        return self.projection(mixed.output.flatten(-2).flatten(1, 2).transpose(1, 2)), mixed

    def mix(self, maps: dict[str, Tensor]) -> Mixed:
        """The operator on projected maps (batch, heads, head_dim, rows, columns)."""
        config, value = self.config, maps["value"]
        temperature = value.shape[2] ** 0.5
        if config.operator == "attention":
            return self_attention(value, query=maps["query"], key=maps["key"], temperature=temperature)
        assert self.kernel is not None
        if config.operator == "convolution":
            return depthwise_convolution(value, self.kernel, padding=config.padding, order="correlation")
        if config.operator == "convolution_modulated_attention":
            return convolution_modulated_attention(
                maps["modulator"],
                self.kernel,
                value=value,
                padding=config.padding,
                order="correlation",
                normalisation=config.modulation,
                activation=config.activation,
            )
        shared = {
            "query": maps["query"],
            "key": maps["key"],
            "temperature": temperature,
            "padding": config.padding,
            "order": "correlation",
        }
        if config.operator == "post":
            return post_normalisation(value, self.kernel, **shared)
        if config.operator == "pre":
            return pre_normalisation(value, self.kernel, **shared, outside=config.outside)
        return attention_modulated_convolution(value, self.kernel, **shared, window=config.window)

    def _project(self, name: str, tokens: Tensor) -> Tensor:
        """(batch, tokens, embed_dim) → (batch, heads, head_dim, rows, columns)."""
        maps = self.get_submodule(name)(tokens).transpose(1, 2)
        return maps.unflatten(1, (self.config.num_heads, -1)).unflatten(-1, self.config.grid)


class MixerBlock(nn.Module):
    """Mixer and MLP, each normalised before and added back: x + f(norm(x))."""

    def __init__(self, config: MixerConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.mixer = TokenMixer(config)
        self.norm2 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.mlp = Mlp(config.embed_dim, config.mlp_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.mixer(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class MixerNetwork(nn.Module):
    """Images in, logits out; `trace_mixers` returns what every mixer did, `trace_maps` what the head reads."""

    def __init__(self, config: MixerConfig) -> None:
        super().__init__()
        self.config = config
        self.depth = config.depth
        self.patch_embedding = nn.Conv2d(
            config.channels, config.embed_dim, kernel_size=config.patch_size, stride=config.patch_size
        )
        self.position_embedding = build_positions(config.positional, config.grid, config.embed_dim, prefix_tokens=0)
        self.blocks = nn.ModuleList(MixerBlock(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.head = nn.Linear(config.embed_dim, config.classes)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """`images`: (batch, channels, height, width), normalised → logits (batch, classes)."""
        return self.head(self.embed(images))

    def embed(self, images: Tensor) -> Tensor:
        """The image as one vector, (batch, embed_dim): what the head reads."""
        return self._encode(images).mean(dim=1)

    def last_tokens(self, images: Tensor) -> tuple[Tensor, int]:
        """The tokens (batch, tokens, embed_dim) after the last norm, and how many of them come before the patches."""
        return self._encode(images), 0

    def trace_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The last maps (batch, embed_dim, rows, columns), and the logits computed from them, for Grad-CAM."""
        maps = self._encode(images).transpose(1, 2).unflatten(-1, self.config.grid)
        return maps, self.head(maps.mean(dim=(2, 3)))

    def trace_mixers(self, images: Tensor) -> MixerTrace:
        """The same forward pass, keeping what every mixer read, did and wrote."""
        tokens = self._tokenise(images)
        inputs, outputs, mixed = [], [], []
        for block in self.blocks:
            read = block.norm1(tokens)  # type: ignore[operator]
            written, inside = block.mixer.explicit(read)  # type: ignore[operator, union-attr]
            tokens = tokens + written
            tokens = tokens + block.mlp(block.norm2(tokens))  # type: ignore[operator]
            inputs.append(self._as_maps(read))
            outputs.append(self._as_maps(written))
            mixed.append(inside)
        return MixerTrace(
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            mixed=tuple(mixed),
            kernels=tuple(block.mixer.kernel for block in self.blocks),  # type: ignore[misc, union-attr]
            logits=self.head(self.norm(tokens).mean(dim=1)),
        )

    def _as_maps(self, tokens: Tensor) -> Tensor:
        return tokens.transpose(1, 2).unflatten(-1, self.config.grid)

    def _encode(self, images: Tensor) -> Tensor:
        tokens = self._tokenise(images)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def _tokenise(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) → (batch, patches, embed_dim), positions added."""
        size = (self.config.channels, self.config.image_size, self.config.image_size)
        if images.shape[1:] != size:
            raise ShapeError(f"This network takes images of shape {size}, got {tuple(images.shape[1:])}.")
        tokens = self.patch_embedding(images).flatten(2).transpose(1, 2)
        table = self.position_embedding.table()
        return tokens if table is None else tokens + table


def _start_kernel(config: MixerConfig) -> nn.Parameter | None:
    """Kernels of a fresh mixer: as a convolution's, or 0 where they are added to attention, which then begins alone."""
    size, heads = config.kernel_size, config.num_heads
    if not config.kernel_channels:
        return None
    if config.kernel_channels == heads:
        return nn.Parameter(torch.zeros(heads, size, size))
    kernel = torch.empty(heads, config.embed_dim // heads, size, size)
    return nn.Parameter(kernel.uniform_(-1 / size, 1 / size))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
