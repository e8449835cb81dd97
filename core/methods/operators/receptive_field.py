"""What one output position depends on: measured by gradient, beside what its definition allows.

Source: Luo et al. 2016, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
arXiv:1701.04128, section 2.
Differs from the paper: gradients of all output channels are summed by absolute value, where the paper takes one
channel or random signs, so that channels cannot cancel each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.errors import ConfigError
from core.finite import require_finite
from core.models.kernels import Padding, window_mask
from core.models.mixer import MixerConfig, MixerNetwork, OperatorName
from core.models.operators import Modulation, Outside, Window


@dataclass(frozen=True, kw_only=True)
class ReceptiveField:
    """How much the output at one position changes with the input at every position.

    Attributes:
        gradient: (height, width) of the input, float32: Σ over output and input channels of |∂y/∂x|, mean over images.
        theoretical: (height, width), bool: where the definition allows a gradient at all.
        position: row and column of the output position.
    """

    gradient: np.ndarray
    theoretical: np.ndarray
    position: tuple[int, int]

    def area(self, share: float = 0.9) -> int:
        """How many input positions, the strongest first, hold this share of the gradient; 0 where there is none."""
        falling = np.sort(self.gradient, axis=None)[::-1].astype(np.float64).cumsum()
        return int(np.searchsorted(falling, share * falling[-1] * (1 - 1e-9)) + 1) if falling[-1] > 0 else 0

    @property
    def own_share(self) -> float:
        """Share of the gradient at the position itself, of maps as large as their input; 0 where there is none."""
        total = float(self.gradient.sum(dtype=np.float64))
        return float(self.gradient[self.position]) / total if total > 0 else 0.0


def gradient_field(function: Callable[[Tensor], Tensor], x: Tensor, position: tuple[int, int]) -> np.ndarray:
    """(height, width) of `x`: as `ReceptiveField.gradient`, of `function` from maps to maps, both (batch, channels, …).

    Raises:
        ConfigError: the position is not on the output map.
    """
    require_finite("The map", x)
    with torch.enable_grad():
        start = x.detach().clone().requires_grad_()
        output = function(start)
        _check(position, (output.shape[-2], output.shape[-1]))
        # Images do not depend on each other, so that one backward pass serves all of them.
        channels = output[:, :, position[0], position[1]].sum(dim=0)
        total = torch.zeros(x.shape[-2:], device=x.device)
        for channel in channels:
            (gradient,) = torch.autograd.grad(channel, start, retain_graph=True, allow_unused=True)
            if gradient is not None:
                total += gradient.abs().sum(dim=1).mean(dim=0)
    found = total.float().cpu().numpy()
    require_finite("The gradient", found)
    return found


def window_field(
    kernel_size: tuple[int, int], grid: tuple[int, int], position: tuple[int, int], *, padding: Padding
) -> np.ndarray:
    """(height, width), bool: the positions in the window of `position`."""
    _check(position, grid)
    mask = window_mask(kernel_size, grid, padding=padding)
    return mask[position[0] * grid[1] + position[1]].reshape(grid).numpy()


def network_receptive_field(
    network: MixerNetwork, images: Tensor, position: tuple[int, int] | None = None
) -> ReceptiveField:
    """Of a patch after the last block of a mixer network, by default the centre one, in pixels of `images`."""
    rows, columns = network.config.grid
    position = (rows // 2, columns // 2) if position is None else position
    return ReceptiveField(
        gradient=gradient_field(lambda x: network.trace_maps(x)[0], images, position),
        theoretical=network_reach(network.config, position),
        position=position,
    )


def network_reach(config: MixerConfig, position: tuple[int, int]) -> np.ndarray:
    """(image_size, image_size), bool: the pixels that all blocks together can bring to the patch at `position`."""
    _check(position, config.grid)
    if is_local(config.operator, outside=config.outside, window=config.window, modulation=config.modulation):
        reached = np.zeros(config.grid, dtype=bool)
        reached[position] = True
        size = (config.kernel_size, config.kernel_size)
        mask: np.ndarray = window_mask(size, config.grid, padding=config.padding).numpy()
        for _ in range(config.depth):
            reached = np.asarray(mask[reached.ravel()].any(axis=0)).reshape(config.grid)
    else:
        reached = np.ones(config.grid, dtype=bool)
    return reached.repeat(config.patch_size, axis=0).repeat(config.patch_size, axis=1)


def is_local(operator: OperatorName, *, outside: Outside, window: Window, modulation: Modulation) -> bool:
    """Whether an operator reads only its window; a softmax over all positions depends on all of them."""
    return {
        "convolution": True,
        "attention": False,
        "post": False,
        "pre": outside == "excluded",
        "attention_modulated_convolution": window == "renormalised",
        "convolution_modulated_attention": modulation == "none",
    }[operator]


def _check(position: tuple[int, int], grid: tuple[int, int]) -> None:
    if not all(0 <= place < length for place, length in zip(position, grid, strict=True)):
        raise ConfigError(
            f"Position {position} is not on a map of {grid[0]} × {grid[1]}.",
            f"Choose a row below {grid[0]} and a column below {grid[1]}.",
        )
