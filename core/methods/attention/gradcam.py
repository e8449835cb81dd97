"""Grad-CAM: which parts of a CNN's last feature maps speak for a class.

Source: Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from core.device import as_input_of
from core.errors import IncompatibleError
from core.finite import require_finite
from core.methods.accuracy.targets import Target


def grad_cam(module: nn.Module, image: Tensor, target: Target) -> np.ndarray:
    """(rows, columns) of the last feature maps, not negative: evidence for the target class.

    Raises:
        IncompatibleError: the target is no class; a CNN without a head has no score to differentiate.
    """
    if target.class_index is None:
        raise IncompatibleError("Grad-CAM explains a class, and this model has none.", "Choose a classifier.")
    with torch.enable_grad():
        maps, logits = module.trace_maps(as_input_of(module, image).detach().clone().requires_grad_())  # type: ignore[operator]
        (gradient,) = torch.autograd.grad(logits[0, target.class_index], maps)
    require_finite("The feature maps", maps)
    require_finite("Their gradient", gradient)
    importance = gradient.mean(dim=(2, 3), keepdim=True)
    return (importance * maps.detach()).sum(dim=1).clamp(min=0)[0].float().cpu().numpy()
