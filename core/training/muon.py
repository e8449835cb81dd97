"""Muon with all matrices of one shape orthogonalised together.

Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; arithmetic and state are those of
`torch.optim.Muon`, which takes one matrix after the other. A small ViT has dozens of matrices in four shapes: on a GPU,
where each of their 15 products is a call that takes longer to make than to carry out, that is most of a step.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor
from torch.optim import Muon


class StackedMuon(Muon):
    """`torch.optim.Muon`, several matrices at a time.

    Differs from it: the Newton-Schulz iteration is in bf16 only where that is asked for. On a CPU without bf16
    instructions it takes ten times as long as in fp32.
    """

    def __init__(self, params: Any, *, iteration_dtype: torch.dtype = torch.bfloat16, **settings: Any) -> None:
        super().__init__(params, **settings)
        self.iteration_dtype = iteration_dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            parameters: list[Tensor] = []
            gradients: list[Tensor] = []
            momenta: list[Tensor] = []
            self._init_group(group, parameters, gradients, momenta)
            if not parameters:
                continue
            momentum, rate = group["momentum"], float(group["lr"])
            torch._foreach_lerp_(momenta, gradients, 1 - momentum)
            updates = torch._foreach_lerp(gradients, momenta, momentum) if group["nesterov"] else momenta
            alike: dict[torch.Size, list[int]] = defaultdict(list)
            for index, parameter in enumerate(parameters):
                alike[parameter.shape].append(index)
            torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])
            for shape, rows in alike.items():
                stack = torch.stack([updates[row] for row in rows])
                directions = orthogonalise(
                    stack, group["ns_coefficients"], group["ns_steps"], group["eps"], self.iteration_dtype
                )
                # The scale at which the root mean square of an update is AdamW's (Liu et al. 2025, arXiv:2502.16982).
                scale = 0.2 * math.sqrt(max(shape))
                torch._foreach_add_(
                    [parameters[row] for row in rows], list(directions.to(stack.dtype).unbind()), alpha=-rate * scale
                )


def orthogonalise(
    matrices: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float, dtype: torch.dtype
) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly: singular values end between about 0.7 and 1.2.

    `matrices`: (count, rows, columns) → the same in `dtype`, by `steps` of the quintic Newton-Schulz iteration.
    """
    a, b, c = coefficients
    wide = matrices.to(dtype)
    is_tall = wide.shape[1] > wide.shape[2]
    if is_tall:
        wide = wide.mT
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = wide @ wide.mT
        wide = torch.baddbmm(wide, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.mT if is_tall else wide
