"""When attention without projections is the identity: how much of it stays on the diagonal, by temperature.

After a layer norm x_i·x_i is the number of channels D, and x_i·x_j for unrelated i and j is near 0, give or take √D:
at temperature 1 a softmax leaves nearly everything where it is. Papers that write attention as softmax(x xᵀ) omit the
projections by which their networks avoid that.

Source: this project; CoAtNet (Dai et al. 2021, arXiv:2106.04803, equation 2) is the form that it is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.finite import require_finite
from core.models.operators import self_attention


@dataclass(frozen=True, kw_only=True)
class IdentityTrap:
    """The mean weight that a position keeps for itself.

    Attributes:
        temperatures: (temperatures,) float64, as they were asked for.
        diagonal: (temperatures,) float64 in [0, 1], mean over images and positions.
        uniform: what it would be if all positions were read alike, 1 / positions.
        usual_temperature: √channels, by which transformers divide.
    """

    temperatures: np.ndarray
    diagonal: np.ndarray
    uniform: float
    usual_temperature: float


@torch.inference_mode()
def identity_trap(
    x: Tensor, temperatures: Sequence[float], *, query: Tensor | None = None, key: Tensor | None = None
) -> IdentityTrap:
    """`x`: (batch, channels, height, width); with projections of it, `query` and `key` as in `self_attention`.

    Raises:
        ConfigError: a temperature is not positive.
    """
    require_finite("The map", x)
    diagonal = []
    for temperature in temperatures:
        weights = self_attention(x, query=query, key=key, temperature=temperature).weights
        assert weights is not None
        diagonal.append(float(weights.diagonal(dim1=-2, dim2=-1).double().mean()))
    channels = (x if query is None else query).shape[-3]
    return IdentityTrap(
        temperatures=np.asarray(temperatures, dtype=np.float64),
        diagonal=np.asarray(diagonal),
        uniform=1 / (x.shape[-2] * x.shape[-1]),
        usual_temperature=channels**0.5,
    )


def normalise_positions(x: Tensor) -> Tensor:
    """A layer norm over the channels of every position, without weights: (batch, channels, height, width)."""
    require_finite("The map", x)
    return F.layer_norm(x.movedim(-3, -1), (x.shape[-3],)).movedim(-1, -3)
