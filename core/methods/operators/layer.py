"""One operator with all that it needs, random or learned: what goes out, what is read, and from where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.finite import require_finite
from core.methods.operators.receptive_field import ReceptiveField, gradient_field, is_local, window_field
from core.models.kernels import Padding
from core.models.mixer import OperatorName
from core.models.operators import (
    Activation,
    Mixed,
    Modulation,
    ModulationAxis,
    Outside,
    Window,
    attention_modulated_convolution,
    convolution_modulated_attention,
    depthwise_convolution,
    post_normalisation,
    pre_normalisation,
    self_attention,
)


@dataclass(frozen=True, kw_only=True)
class Projection:
    """A linear map of the channels of every position.

    Attributes:
        weight: (channels, dim).
        bias: (channels,), or None.
    """

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """(batch, dim, height, width) → (batch, channels, height, width)."""
        mapped = torch.einsum("oc,bchw->bohw", self.weight, x)
        return mapped if self.bias is None else mapped + self.bias[:, None, None]


@dataclass(frozen=True, kw_only=True)
class OperatorLayer:
    """An operator, the map that it is given, and its parameters.

    Attributes:
        inputs: (dim, height, width), what all projections are of.
        query: of the attention, and of what convolution-modulated attention convolves; None is the map itself.
        key: as `query`.
        value: what is mixed; None is the map itself.
        kernel: (channels, rows, columns), or (rows, columns) where channels share one, in the order of a convolution;
            None for attention.
        weight: what the kernel is multiplied by.
        temperature: what similarities are divided by.
        outside: of pre-normalisation.
        window: of attention-modulated convolution.
        modulation: of convolution-modulated attention, as `axis` and `activation`.
    """

    operator: OperatorName
    inputs: Tensor
    query: Projection | None
    key: Projection | None
    value: Projection | None
    kernel: Tensor | None
    weight: float = 1.0
    temperature: float = 1.0
    padding: Padding = "zero"
    outside: Outside = "zero"
    window: Window = "renormalised"
    modulation: Modulation = "none"
    axis: ModulationAxis = "space"
    activation: Activation = "none"

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of positions."""
        return self.inputs.shape[-2], self.inputs.shape[-1]

    @property
    def local(self) -> bool:
        """Whether it reads its window alone."""
        # A softmax over channels stays where it is.
        modulation = "none" if self.axis == "channels" else self.modulation
        return is_local(self.operator, outside=self.outside, window=self.window, modulation=modulation)

    def reach(self, position: tuple[int, int]) -> np.ndarray:
        """(height, width), bool: what the output at `position` may depend on by definition."""
        if self.kernel is not None and self.local:
            size = (self.kernel.shape[-2], self.kernel.shape[-1])
            return window_field(size, self.grid, position, padding=self.padding)
        return np.ones(self.grid, dtype=bool)

    def __call__(self, x: Tensor) -> Mixed:
        """The operator on a map (batch, dim, height, width) in the place of `inputs`."""
        value, query, key = (x if each is None else each(x) for each in (self.value, self.query, self.key))
        attention: dict[str, Any] = {"query": query, "key": key, "temperature": self.temperature}
        if self.operator == "attention":
            return self_attention(value, **attention)
        assert self.kernel is not None
        kernel = self.kernel * self.weight
        if self.operator == "convolution":
            return depthwise_convolution(value, kernel, padding=self.padding)
        if self.operator == "post":
            return post_normalisation(value, kernel, **attention, padding=self.padding)
        if self.operator == "pre":
            return pre_normalisation(value, kernel, **attention, padding=self.padding, outside=self.outside)
        if self.operator == "attention_modulated_convolution":
            return attention_modulated_convolution(value, kernel, **attention, padding=self.padding, window=self.window)
        return convolution_modulated_attention(
            query,
            kernel,
            value=value,
            padding=self.padding,
            normalisation=self.modulation,
            axis=self.axis,
            activation=self.activation,
        )


@dataclass(frozen=True, kw_only=True)
class OperatorResult:
    """One operator's column.

    Attributes:
        operator: which.
        inputs: (channels, height, width), what it was given as values.
        output: (channels, height, width).
        weights: (positions, positions) by which positions were mixed; None where there is no softmax between them.
        modulation: (channels, height, width), or None but for convolution-modulated attention.
        kernel: (channels, rows, columns), or (rows, columns) where channels share one, in the order of a convolution
            and with its weight; None for attention.
        row: by what `field.position` weighs what it reads: (1, height, width) of attention; in the place of it
            (channels, height, width) the taps of a convolution, or by what convolution-modulated attention multiplies.
        field: what the output at `field.position` depends on, in the input of the operator.
    """

    operator: OperatorName
    inputs: np.ndarray
    output: np.ndarray
    weights: np.ndarray | None
    modulation: np.ndarray | None
    kernel: np.ndarray | None
    row: np.ndarray
    field: ReceptiveField


def run_layer(layer: OperatorLayer, position: tuple[int, int] | None = None) -> OperatorResult:
    """Everything about one operator at one position, by default the centre.

    Raises:
        ConfigError: the kernel or the position does not fit the map.
    """
    height, width = layer.grid
    position = (height // 2, width // 2) if position is None else position
    start = layer.inputs[None]
    require_finite("The map", start)
    gradient = gradient_field(lambda x: layer(x).output, start, position)
    with torch.inference_mode():
        mixed = layer(start)
        values = start if layer.value is None else layer.value(start)
    return OperatorResult(
        operator=layer.operator,
        inputs=_array(values),
        output=_array(mixed.output),
        weights=None if mixed.weights is None else _array(mixed.weights),
        modulation=None if mixed.modulation is None else _array(mixed.modulation),
        kernel=None if layer.kernel is None else (layer.kernel * layer.weight).numpy(),
        row=_row(layer, mixed, position).numpy(),
        field=ReceptiveField(gradient=gradient, theoretical=layer.reach(position), position=position),
    )


def _row(layer: OperatorLayer, mixed: Mixed, position: tuple[int, int]) -> Tensor:
    if mixed.weights is not None:
        return mixed.weights[0, position[0] * layer.grid[1] + position[1]].reshape(1, *layer.grid)
    if mixed.modulation is not None:
        return mixed.modulation[0]
    assert layer.kernel is not None
    here = torch.zeros(1, len(layer.kernel), *layer.grid)
    here[..., position[0], position[1]] = 1
    # At j a correlation reads from i with its tap i - j: the kernel of the convolution, as it is.
    return depthwise_convolution(here, layer.kernel * layer.weight, padding=layer.padding, order="correlation").output[
        0
    ]


def _array(x: Tensor) -> np.ndarray:
    """The only one of a batch, without the batch axis."""
    return x[0].float().numpy()
