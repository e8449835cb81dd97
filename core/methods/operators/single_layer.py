"""The six operators, one layer each, on one picture: what goes out, what is read, and from where.

Nothing is trained here: kernels and projections are drawn from a seed, and are the same for all six, so that what
differs is the operator. Learned ones are in the traces of `core.models.mixer.MixerNetwork`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from core.configs import check_options, option
from core.errors import ConfigError, ShapeError
from core.finite import require_finite
from core.methods.operators.identity_trap import normalise_positions
from core.methods.operators.receptive_field import ReceptiveField, gradient_field, is_local, window_field
from core.models.mixer import MixerConfig, OperatorName
from core.models.operators import (
    Activation,
    Mixed,
    Modulation,
    ModulationAxis,
    Outside,
    Padding,
    Window,
    attention_modulated_convolution,
    check_kernel_size,
    convolution_modulated_attention,
    depthwise_convolution,
    post_normalisation,
    pre_normalisation,
    self_attention,
)
from core.seeding import torch_generator

# Attention between all pairs: 64 × 64 positions are 16.8 million weights, 64 MiB.
MOST_POSITIONS = 64 * 64

KernelKind = Literal["random", "gaussian"]
Projections = Literal["none", "random"]


@dataclass(frozen=True, kw_only=True)
class OperatorSettings:
    """What the six have in common, and what single ones leave open."""

    kernel_size: int = option(3, "Kernel size", "Positions per side of the window; odd.", minimum=1, maximum=63)
    kernel: KernelKind = option("random", "Kernel", "Drawn from the seed, or a bell that falls off from its centre.")
    temperature: float = option(1.0, "Temperature", "What similarities are divided by.", minimum=1e-3, maximum=1e3)
    channels: int = option(8, "Channels", "Of the map that a random projection makes of the colours.", minimum=1)
    projections: Projections = option(
        "random", "Queries, keys and values", "Random orthogonal projections, or the map itself for all three."
    )
    normalise: bool = option(True, "Layer norm", "Every position to mean 0 and variance 1 over channels, first.")
    padding: Padding = option("zero", "Borders", "Nothing beyond the border, or the other side of the picture.")
    outside: Outside = option("zero", "Beyond the kernel", "Pre-normalisation only.")
    window: Window = option("renormalised", "Attention in windows", "Attention-modulated convolution only.")
    modulation: Modulation = option("none", "Modulation", "Convolution-modulated attention only.")
    axis: ModulationAxis = option("space", "Softmax over", "Convolution-modulated attention only.")
    activation: Activation = option("none", "Activation", "Convolution-modulated attention only.")
    seed: int = option(0, "Seed", minimum=0)

    def __post_init__(self) -> None:
        check_options(self)
        # Whether a circular one fits depends on the picture, and is checked there.
        check_kernel_size((self.kernel_size, self.kernel_size), (0, 0), "zero")


@dataclass(frozen=True, kw_only=True)
class OperatorResult:
    """One operator's column.

    Attributes:
        operator: which.
        inputs: (channels, height, width), what it was given as values.
        output: (channels, height, width).
        weights: (positions, positions) by which positions were mixed; None where there is no softmax between them.
        modulation: (channels, height, width), or None but for convolution-modulated attention.
        kernel: (channels, rows, columns), or (rows, columns) where channels share one, in the order of a convolution;
            None for attention.
        field: what the output at `field.position` depends on, in the input of the operator.
    """

    operator: OperatorName
    inputs: np.ndarray
    output: np.ndarray
    weights: np.ndarray | None
    modulation: np.ndarray | None
    kernel: np.ndarray | None
    field: ReceptiveField


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """What comes from the seed."""

    colours: Tensor  # (channels, colours)
    query: Tensor | None  # (channels, channels)
    key: Tensor | None
    value: Tensor | None
    kernels: Tensor  # (channels, rows, columns)
    shared: Tensor  # (rows, columns)


def single_layer(
    picture: np.ndarray, operator: OperatorName, settings: OperatorSettings, position: tuple[int, int] | None = None
) -> OperatorResult:
    """`picture`: (height, width, colours), float in [0, 1]; `position`: row and column, by default the centre.

    Raises:
        ShapeError: the picture has other axes.
        ConfigError: the picture is too large, or the kernel or the position does not fit it.
    """
    if picture.ndim != 3:
        raise ShapeError(f"The picture has axes {picture.shape}; expected (height, width, colours).")
    require_finite("The picture", picture)
    height, width = picture.shape[:2]
    if height * width > MOST_POSITIONS:
        raise ConfigError(
            f"A picture of {width} × {height} has {height * width:,} positions, and attention compares all pairs.",
            f"Make it smaller, to at most {MOST_POSITIONS:,} positions (64 × 64).",
        )
    position = (height // 2, width // 2) if position is None else position
    drawn = _draw(picture.shape[2], settings)
    pixels = torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32)).permute(2, 0, 1)[None]
    maps = _project(pixels - pixels.mean(dim=(2, 3), keepdim=True), drawn.colours)
    apply = _bind(operator, drawn, settings)
    start = normalise_positions(maps) if settings.normalise else maps
    with torch.inference_mode():
        mixed = apply(start)
    kernel = {"attention": None, "post": drawn.shared, "pre": drawn.shared}.get(operator, drawn.kernels)
    return OperatorResult(
        operator=operator,
        inputs=_array(_project(start, drawn.value)),
        output=_array(mixed.output),
        weights=None if mixed.weights is None else _array(mixed.weights),
        modulation=None if mixed.modulation is None else _array(mixed.modulation),
        kernel=None if kernel is None else kernel.numpy(),
        field=ReceptiveField(
            gradient=gradient_field(lambda x: apply(x).output, start, position),
            theoretical=_reach(operator, settings, (height, width), position),
            position=position,
        ),
    )


def _bind(operator: OperatorName, drawn: _Drawn, settings: OperatorSettings) -> Callable[[Tensor], Mixed]:
    """The operator as a function of the map alone."""

    def apply(x: Tensor) -> Mixed:
        value = _project(x, drawn.value)
        query = _project(x, drawn.query)
        attention: dict[str, Any] = {
            "query": query,
            "key": _project(x, drawn.key),
            "temperature": settings.temperature,
        }
        if operator == "attention":
            return self_attention(value, **attention)
        if operator == "convolution":
            return depthwise_convolution(value, drawn.kernels, padding=settings.padding)
        if operator == "post":
            return post_normalisation(value, drawn.shared, **attention, padding=settings.padding)
        if operator == "pre":
            return pre_normalisation(
                value, drawn.shared, **attention, padding=settings.padding, outside=settings.outside
            )
        if operator == "attention_modulated_convolution":
            return attention_modulated_convolution(
                value, drawn.kernels, **attention, padding=settings.padding, window=settings.window
            )
        return convolution_modulated_attention(
            query,
            drawn.kernels,
            value=value,
            padding=settings.padding,
            normalisation=settings.modulation,
            axis=settings.axis,
            activation=settings.activation,
        )

    return apply


def _reach(
    operator: OperatorName, settings: OperatorSettings, grid: tuple[int, int], position: tuple[int, int]
) -> np.ndarray:
    config = MixerConfig(operator=operator, outside=settings.outside, window=settings.window)
    if settings.axis == "space":  # a softmax over channels stays where it is
        config = replace(config, modulation=settings.modulation)
    if is_local(config):
        size = (settings.kernel_size, settings.kernel_size)
        return window_field(size, grid, position, padding=settings.padding)
    return np.ones(grid, dtype=bool)


def _draw(colours: int, settings: OperatorSettings) -> _Drawn:
    generator = torch_generator(settings.seed)
    channels, size = settings.channels, settings.kernel_size
    mixing = torch.randn(channels, colours, generator=generator) / colours**0.5
    turned = [_orthogonal(channels, generator) for _ in range(3)]
    query, key, value = turned if settings.projections == "random" else (None, None, None)
    if settings.kernel == "random":
        kernels = torch.randn(channels, size, size, generator=generator) / size
        shared = torch.randn(size, size, generator=generator) / size
    else:
        steps = torch.arange(size) - size // 2
        bell = torch.exp(-2 * (steps / max(1, size // 2)).square())
        shared = bell[:, None] * bell / bell.sum() ** 2
        kernels = shared.expand(channels, size, size).contiguous()
    return _Drawn(colours=mixing, query=query, key=key, value=value, kernels=kernels, shared=shared)


def _orthogonal(size: int, generator: torch.Generator) -> Tensor:
    """A random rotation: similarities between projected positions keep their scale."""
    return torch.linalg.qr(torch.randn(size, size, generator=generator))[0]


def _project(x: Tensor, weight: Tensor | None) -> Tensor:
    return x if weight is None else torch.einsum("oc,bchw->bohw", weight, x)


def _array(x: Tensor) -> np.ndarray:
    """The only one of a batch, without the batch axis."""
    return x[0].float().numpy()
