"""The identity trap of some layers: with and without projections, and of patches with many channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from core.methods.operators.identity_trap import IdentityTrap, identity_trap
from core.methods.operators.layer import OperatorLayer
from core.methods.operators.single_layer import patch_map

PATCH_SIZE, PATCH_CHANNELS = 4, 64
PATCHES = f"in patches of {PATCH_SIZE} × {PATCH_SIZE} with {PATCH_CHANNELS} channels, without projections"


def trap_curves(
    layers: Iterable[OperatorLayer],
    temperatures: Sequence[float],
    *,
    picture: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, IdentityTrap]:
    """By what attention reads: the first layer's map, its projections, and a picture's patches; {} if nothing is read.

    Args:
        layers: self-attention among them is asked, or else the first that compares positions.
        picture: (height, width, colours), to be cut into patches as a ViT does; too small a one is left out.
        seed: of the patches' random projection.

    Raises:
        ConfigError: a temperature is not positive.
    """
    asked = [layer for layer in layers if layer.operator not in ("convolution", "convolution_modulated_attention")]
    asked.sort(key=lambda layer: layer.operator != "attention")
    curves = {}
    for layer in asked[:1]:
        x = layer.inputs[None]
        curves["without projections"] = identity_trap(x, temperatures)
        if layer.query is not None and layer.key is not None:
            kind = "random" if layer.query.bias is None else "learned"
            curves[f"with {kind} projections"] = identity_trap(x, temperatures, query=layer.query(x), key=layer.key(x))
    if picture is not None and min(picture.shape[:2]) >= 2 * PATCH_SIZE:
        patches = patch_map(picture, patch_size=PATCH_SIZE, channels=PATCH_CHANNELS, seed=seed)
        curves[PATCHES] = identity_trap(patches, temperatures)
    return curves
