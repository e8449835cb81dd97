"""One step of Adam or L-BFGS for many pictures at once, each as if it were alone.

Both are pure: pictures, gradients and what is remembered in, new pictures and what is remembered out, so that a
transfer can be stopped, kept and gone on with. PyTorch's own L-BFGS takes all numbers for one point: there a picture
would depend on those beside it. Steps are PyTorch's (`torch.optim`, without a line search), which the tests compare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

HISTORY = 20
# Pairs whose curvature is not above this say nothing, as in torch.optim.LBFGS.
_LEAST_CURVATURE = 1e-10
_BETAS, _EPSILON = (0.9, 0.999), 1e-8


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What an optimiser carries from step to step; tensors (batch, numbers of a picture).

    Attributes:
        step: steps done.
        gradient: at the point that the last step left.
        moved: what the last step added.
        pairs: of L-BFGS, the latest last: (what a step added, by how much the gradient changed, 1 over their product),
            where the last is 0 for a picture to which the pair says nothing.
        scale: of L-BFGS, (batch, 1).
        moments: of Adam, both.
    """

    step: int = 0
    gradient: Tensor | None = None
    moved: Tensor | None = None
    pairs: tuple[tuple[Tensor, Tensor, Tensor], ...] = ()
    scale: Tensor | None = None
    moments: tuple[Tensor, ...] = field(default=())


Step = Callable[[Tensor, Tensor, Memory, float], tuple[Tensor, Memory]]


def adam_step(points: Tensor, gradient: Tensor, memory: Memory, rate: float) -> tuple[Tensor, Memory]:
    """Kingma & Ba 2015 (arXiv:1412.6980): points and gradient (batch, numbers) → the next points."""
    step = memory.step + 1
    first, second = memory.moments or (torch.zeros_like(points), torch.zeros_like(points))
    first = torch.lerp(first, gradient, 1 - _BETAS[0])
    second = torch.lerp(second, gradient.square(), 1 - _BETAS[1])
    spread = (second / (1 - _BETAS[1] ** step)).sqrt() + _EPSILON
    moved = -rate / (1 - _BETAS[0] ** step) * first / spread
    return points + moved, Memory(step=step, moments=(first, second))


def lbfgs_step(
    points: Tensor, gradient: Tensor, memory: Memory, rate: float, *, largest: float = float("inf")
) -> tuple[Tensor, Memory]:
    """Liu & Nocedal 1989, the two-loop recursion, without a line search: points and gradient (batch, numbers).

    A picture whose direction leads uphill stays where it is.

    Args:
        largest: no number changes by more: the step is shortened. Of the first, tiny step the gradient's change may be
            rounding alone, and the curvature that it seems to tell of leads anywhere.
    """
    pairs, scale = memory.pairs, memory.scale
    if memory.gradient is not None and memory.moved is not None:
        change = gradient - memory.gradient
        product = _dot(memory.moved, change)
        tells = product > _LEAST_CURVATURE
        inverse = torch.where(tells, 1 / product.clamp_min(_LEAST_CURVATURE), 0)
        pairs = (*pairs, (memory.moved, change, inverse))[-HISTORY:]
        fresh = product / _dot(change, change).clamp_min(1e-30)
        scale = torch.where(tells, fresh, torch.ones_like(fresh) if scale is None else scale)
    direction = _direction(gradient, pairs, scale)
    lengths = torch.full_like(gradient[:, :1], rate)
    if memory.step == 0:
        lengths = rate * (1 / gradient.abs().sum(dim=1, keepdim=True).clamp_min(1e-30)).clamp_max(1)
    moved = torch.where(_dot(gradient, direction) < 0, lengths, 0) * direction
    moved = moved * (largest / moved.abs().amax(dim=1, keepdim=True).clamp_min(1e-30)).clamp_max(1)
    memory = Memory(step=memory.step + 1, gradient=gradient, moved=moved, pairs=pairs, scale=scale)
    return points + moved, memory


def _direction(gradient: Tensor, pairs: tuple[tuple[Tensor, Tensor, Tensor], ...], scale: Tensor | None) -> Tensor:
    """Minus the inverse Hessian that `pairs` tell of, times the gradient."""
    direction, factors = -gradient, []
    for moved, change, inverse in reversed(pairs):
        factors.append(_dot(moved, direction) * inverse)
        direction = direction - factors[-1] * change
    if scale is not None:
        direction = direction * scale
    for moved, change, inverse in pairs:
        direction = direction + (factors.pop() - _dot(change, direction) * inverse) * moved
    return direction


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """(batch, numbers) twice → (batch, 1)."""
    return (one * other).sum(dim=1, keepdim=True)
