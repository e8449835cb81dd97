"""Gradient relevance: attention weighted by how much it matters to one class.

Source: Chefer et al. 2021, "Generic Attention-model Explainability", arXiv:2103.15679, equations 5 and 6; reference
code hila-chefer/Transformer-MM-Explainability.
Works unchanged on signed maps, since relu is taken of the product of gradient and attention.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from core.device import as_input_of
from core.finite import require_finite
from core.methods.accuracy.targets import Target, trace_score
from core.models.trace import reading_of, readout


def gradient_relevance(module: nn.Module, image: Tensor, target: Target) -> np.ndarray:
    """Relevance of each patch to `target` after every layer: (layers, rows, columns), not normalised.

    `image`: (1, channels, height, width). The last entry is the usual map: the relevance for the class token, or for
    whatever else the head reads, weighted as it reads it.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        # Only the gradient with respect to attention is wanted; the weights are shared and must not collect any.
        for parameter in parameters:
            parameter.requires_grad_(False)
        # A gradient at the input keeps the graph alive when no parameter asks for one.
        with torch.enable_grad():
            trace = module.trace(as_input_of(module, image).detach().clone().requires_grad_())  # type: ignore[operator]
            gradients = torch.autograd.grad(trace_score(trace, target).sum(), trace.attention)
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
    tokens = trace.attention[0].shape[-1]
    relevance = torch.eye(tokens, device=trace.attention[0].device)
    steps = []
    for weights, gradient in zip(trace.attention, gradients, strict=True):
        helpful = (gradient * weights.detach()).clamp(min=0)[0].mean(dim=0).float()
        relevance = relevance + helpful @ relevance
        row = readout(relevance, reading_of(trace.pooling, 0), trace.prefix_tokens)
        steps.append(row[trace.prefix_tokens :].reshape(trace.grid))
    found = torch.stack(steps).cpu().numpy()
    require_finite("The relevance, of attention and its gradient,", found)
    return found
