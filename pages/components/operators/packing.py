"""Layers as the browser takes them: numbers once each, as bytes, and which column reads which."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.methods.operators.layer import OperatorLayer, Projection
from core.models.mixer import OperatorName


class Arrays:
    """Numbers by a name that tells their content: what columns share is sent once."""

    def __init__(self) -> None:
        self.bytes: dict[str, str] = {}

    def add(self, values: Tensor) -> str:
        data = np.ascontiguousarray(values.detach().numpy(), dtype="<f4").tobytes()
        name = hashlib.sha256(data).hexdigest()[:16]
        if name not in self.bytes:
            self.bytes[name] = base64.b64encode(data).decode()
        return name


def pack(
    layers: Mapping[OperatorName, OperatorLayer],
    kernels: Mapping[int, Mapping[OperatorName, Tensor | None]],
    arrays: Arrays,
) -> list[dict[str, Any]]:
    """Columns for `layersOf` in operators_math.js; the numbers they name are in `arrays`.

    Args:
        kernels: what the kernels are at each size that may be chosen; none where the layers' own are all there is.
    """
    columns = []
    for operator, layer in layers.items():
        dim = len(layer.inputs)
        channels = dim if layer.value is None else len(layer.value.weight)
        sizes = {size: chosen[operator] for size, chosen in kernels.items()}
        if not sizes and layer.kernel is not None:
            sizes = {layer.kernel.shape[-1]: layer.kernel}
        columns.append(
            {
                "operator": operator,
                "dim": dim,
                "channels": channels,
                "x": arrays.add(layer.inputs.flatten(1).T),
                "query": _projection(layer.query, dim, arrays),
                "key": _projection(layer.key, dim, arrays),
                "value": _projection(layer.value, dim, arrays),
                "kernels": {str(size): arrays.add(each) for size, each in sizes.items() if each is not None},
                "shared": layer.kernel is not None and layer.kernel.ndim == 2,
                "padding": layer.padding,
                "outside": layer.outside,
                "window": layer.window,
                "modulation": layer.modulation,
                "axis": layer.axis,
                "activation": layer.activation,
            }
        )
    return columns


def _projection(projection: Projection | None, dim: int, arrays: Arrays) -> dict[str, str | None]:
    """The map itself is projected by the identity."""
    if projection is None:
        return {"weight": arrays.add(torch.eye(dim)), "bias": None}
    return {
        "weight": arrays.add(projection.weight),
        "bias": None if projection.bias is None else arrays.add(projection.bias),
    }
