"""A small residual CNN for images of about 32 pixels: the counterpart of the small ViT, and quick on a CPU.

It follows ResNet-9 (David Page, "How to Train Your ResNet", 2018) as slimmed in airbench (Jordan 2024,
arXiv:2404.00498): pooling after the first convolution of a stage, batch norm after pooling.
Differs from both: fewer channels, mean instead of maximum pooling before the head, no fixed scale of the logits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, channels_last, nn

from core.configs import check_options, option
from core.errors import ConfigError, ShapeError


@dataclass(frozen=True, kw_only=True)
class SmallCNNConfig:
    """The shape of a small CNN; the defaults have 1.2 million parameters."""

    image_size: int = option(32, "Image size", "Side of the square input.", minimum=8, maximum=1024, unit="px")
    channels: int = option(3, "Channels", minimum=1, maximum=16)
    classes: int = option(10, "Classes", minimum=1)
    width: int = option(64, "Width", "Channels of the first stage; every stage doubles them.", minimum=2, maximum=512)
    stages: int = option(3, "Stages", "Each halves the side of the maps.", minimum=1, maximum=6)
    blocks: int = option(1, "Blocks", "Residual convolutions per stage, after the one that widens.", minimum=0)

    def __post_init__(self) -> None:
        check_options(self)
        if self.width % 2:
            raise ConfigError(f"The width is {self.width}.", "Choose an even number: the stem has half of it.")
        if self.image_size < 2**self.stages:
            raise ConfigError(
                f"{self.stages} stages leave nothing of an image of {self.image_size} pixels.", "Choose fewer stages."
            )


class ConvolutionBlock(nn.Module):
    """3×3 convolution, optional 2×2 maximum pooling, batch norm, ReLU."""

    def __init__(self, channels: int, out_channels: int, *, pool: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.norm(self.pool(self.conv(maps))))


class Stage(nn.Module):
    """Widen and halve, then `blocks` residual convolutions: x + f(x)."""

    def __init__(self, channels: int, out_channels: int, blocks: int) -> None:
        super().__init__()
        self.widen = ConvolutionBlock(channels, out_channels, pool=True)
        self.blocks = nn.ModuleList(ConvolutionBlock(out_channels, out_channels) for _ in range(blocks))

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.widen(maps)
        for block in self.blocks:
            maps = maps + block(maps)
        return maps


class SmallCNN(nn.Module):
    """Images in, logits out; `trace_maps` returns the maps that the head reads the mean of."""

    def __init__(self, config: SmallCNNConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width // 2, *(config.width * 2**stage for stage in range(config.stages))]
        self.stem = ConvolutionBlock(config.channels, widths[0])
        self.stages = nn.ModuleList(Stage(widths[i], widths[i + 1], config.blocks) for i in range(config.stages))
        self.head = nn.Linear(widths[-1], config.classes)
        # A training step on one CPU core: 274 images a second in this layout, 227 in the usual one (EPYC, bf16, best
        # of 7 batches of 128).
        self.to(memory_format=channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """`images`: (batch, channels, height, width), normalised → logits (batch, classes)."""
        return self.trace_maps(images)[1]

    def embed(self, images: Tensor) -> Tensor:
        """The image as one vector, (batch, dim): what the head reads."""
        return self._maps(images).mean(dim=(2, 3))

    def trace_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The last feature maps (batch, dim, height, width), and the logits computed from them, for Grad-CAM."""
        maps = self._maps(images)
        return maps, self.head(maps.mean(dim=(2, 3)))

    def _maps(self, images: Tensor) -> Tensor:
        size = (self.config.channels, self.config.image_size, self.config.image_size)
        if images.shape[1:] != size:
            raise ShapeError(f"This CNN takes images of shape {size}, got {tuple(images.shape[1:])}.")
        maps = self.stem(images.contiguous(memory_format=channels_last))
        for stage in self.stages:
            maps = stage(maps)
        return maps
