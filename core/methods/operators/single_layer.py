"""The six operators, one layer each, on one picture: what goes out, what is read, and from where.

Nothing is trained here: kernels and projections are drawn from a seed, and are the same for all six, so that what
differs is the operator. Learned ones: `core.methods.operators.learned_layer`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.configs import check_options, option
from core.errors import ConfigError, ShapeError
from core.finite import require_finite
from core.methods.operators.identity_trap import normalise_positions
from core.methods.operators.layer import OperatorLayer, OperatorResult, Projection, run_layer
from core.models.kernels import Padding, check_kernel_size
from core.models.mixer import OperatorName
from core.models.operators import Activation, Modulation, ModulationAxis, Outside, Window
from core.seeding import torch_generator

OPERATORS: tuple[OperatorName, ...] = get_args(OperatorName)
# Attention between all pairs: 64 × 64 positions are 16.8 million weights, 64 MiB.
MOST_POSITIONS = 64 * 64

KernelKind = Literal["random", "gaussian"]
Projections = Literal["none", "random"]
Neighbourhood = Literal[1, 3, 5]


@dataclass(frozen=True, kw_only=True)
class OperatorSettings:
    """What the six have in common, and what single ones leave open."""

    kernel_size: int = option(3, "Kernel size", "Positions per side of the window; odd.", minimum=1, maximum=63)
    kernel: KernelKind = option("random", "Kernel", "Drawn from the seed, or a bell that falls off from its centre.")
    weight: float = option(1.0, "Weight of the kernel", "What it is multiplied by.", minimum=-1e3, maximum=1e3)
    temperature: float = option(1.0, "Temperature", "What similarities are divided by.", minimum=1e-3, maximum=1e3)
    channels: int = option(
        8, "Channels", "Of the map that a random projection makes of the colours of its neighbourhood.", minimum=1
    )
    neighbourhood: Neighbourhood = option(
        1, "Pixels a side", "Of the square that a random projection makes the channels of a position of."
    )
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
class _Drawn:
    """What comes from the seed."""

    colours: Tensor  # (channels, colours)
    query: Projection | None
    key: Projection | None
    value: Projection | None
    kernels: Tensor  # (channels, rows, columns)
    shared: Tensor  # (rows, columns)


def single_layer(
    picture: np.ndarray, operator: OperatorName, settings: OperatorSettings, position: tuple[int, int] | None = None
) -> OperatorResult:
    """One of `random_layers` at one position, by default the centre."""
    return run_layer(random_layers(picture, settings)[operator], position)


def random_layers(picture: np.ndarray, settings: OperatorSettings) -> dict[OperatorName, OperatorLayer]:
    """`picture`: (height, width, colours), float in [0, 1].

    Raises:
        ShapeError: the picture has other axes.
        ConfigError: the picture is too large, or the kernel does not fit it.
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
    check_kernel_size((settings.kernel_size,) * 2, (height, width), settings.padding)
    side = settings.neighbourhood
    drawn = _draw(picture.shape[2] * side**2, settings)
    maps = Projection(weight=drawn.colours)(_squares(picture, side, step=1, padding=side // 2))
    start = (normalise_positions(maps) if settings.normalise else maps)[0]
    own: dict[OperatorName, Tensor | None] = {"attention": None, "post": drawn.shared, "pre": drawn.shared}
    return {
        operator: OperatorLayer(
            operator=operator,
            inputs=start,
            query=drawn.query,
            key=drawn.key,
            value=drawn.value,
            kernel=own.get(operator, drawn.kernels),
            weight=settings.weight,
            temperature=settings.temperature,
            padding=settings.padding,
            outside=settings.outside,
            window=settings.window,
            modulation=settings.modulation,
            axis=settings.axis,
            activation=settings.activation,
        )
        for operator in OPERATORS
    }


def patch_map(picture: np.ndarray, *, patch_size: int = 4, channels: int = 64, seed: int = 0) -> Tensor:
    """The picture in patches as a ViT cuts them, randomly projected, after a layer norm.

    What is left over at the right and below is cut off.

    Returns:
        (1, channels, rows, columns).

    Raises:
        ShapeError: the picture is no whole patch, or has other axes.
    """
    require_finite("The picture", picture)
    if picture.ndim != 3 or min(picture.shape[:2]) < patch_size:
        raise ShapeError(f"The picture has axes {picture.shape}; expected (height, width, colours), a patch at least.")
    patches = _squares(picture, patch_size, step=patch_size, padding=0)
    weight = torch.randn(channels, patches.shape[1], generator=torch_generator(seed)) / patches.shape[1] ** 0.5
    return normalise_positions(Projection(weight=weight)(patches))


def _squares(picture: np.ndarray, side: int, *, step: int, padding: int) -> Tensor:
    """Squares of the picture less its mean colour: (1, colours of a square, rows, columns); 0 beyond the border."""
    pixels = torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32)).permute(2, 0, 1)[None]
    pixels = pixels - pixels.mean(dim=(2, 3), keepdim=True)
    columns = F.unfold(pixels, side, stride=step, padding=padding)
    rows = (picture.shape[0] + 2 * padding - side) // step + 1
    return columns.unflatten(-1, (rows, -1))


def _draw(colours: int, settings: OperatorSettings) -> _Drawn:
    generator = torch_generator(settings.seed)
    channels, size = settings.channels, settings.kernel_size
    mixing = torch.randn(channels, colours, generator=generator) / colours**0.5
    turned = [Projection(weight=_orthogonal(channels, generator)) for _ in range(3)]
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
