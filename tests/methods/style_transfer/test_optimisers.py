"""One step of ours against one of torch.optim's, and pictures that know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.methods.style_transfer.optimisers import HISTORY, Memory, Step, adam_step, lbfgs_step


def valley(points: Tensor) -> Tensor:
    """Rosenbrock's, of each row: curved, narrow, and no quadratic."""
    return (100 * (points[:, 1:] - points[:, :-1] ** 2) ** 2 + (1 - points[:, :-1]) ** 2).sum(dim=1)


def bowl(points: Tensor) -> Tensor:
    return (points.square() * torch.arange(1, points.shape[1] + 1)).sum(dim=1)


def gradient_of(function: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    points = points.detach().requires_grad_()
    return torch.autograd.grad(function(points).sum(), points)[0]


def walk(step: Step, function: Callable[[Tensor], Tensor], points: Tensor, count: int, rate: float) -> list[Tensor]:
    memory, places = Memory(), [points]
    for _ in range(count):
        points, memory = step(points, gradient_of(function, points), memory, rate)
        places.append(points)
    return places


def start(rows: int = 1) -> Tensor:
    return torch.randn(rows, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 0.3


# In the bowl until rounding is all that is left of the gradient.
@pytest.mark.parametrize(
    ("name", "function", "rate", "count"),
    [("lbfgs", bowl, 1.0, 9), ("lbfgs", valley, 0.1, 30), ("adam", valley, 0.02, 30)],
)
def test_steps_are_those_of_torch(name: str, function: Callable[[Tensor], Tensor], rate: float, count: int) -> None:
    points = start().requires_grad_()
    theirs: torch.optim.Optimizer = torch.optim.Adam([points], lr=rate)
    if name == "lbfgs":
        theirs = torch.optim.LBFGS([points], lr=rate, max_iter=1, history_size=HISTORY, tolerance_grad=0)
    step = lbfgs_step if name == "lbfgs" else adam_step

    def closure() -> float:
        theirs.zero_grad()
        loss = function(points).sum()
        loss.backward()
        return float(loss)

    for ours in walk(step, function, start(), count, rate):
        torch.testing.assert_close(ours, points.detach(), rtol=1e-6, atol=1e-9)
        theirs.step(closure)


@pytest.mark.parametrize("step", [lbfgs_step, adam_step])
def test_a_picture_moves_as_if_it_were_alone(step: Step) -> None:
    rate = 0.1 if step is lbfgs_step else 0.02
    together = walk(step, valley, start(3), 25, rate)[-1]
    for row in range(3):
        alone = walk(step, valley, start(3)[row : row + 1], 25, rate)[-1]
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("step", [lbfgs_step, adam_step])
def test_nothing_moves_where_there_is_no_slope(step: Step) -> None:
    for place in walk(step, lambda points: points.sum(dim=1) * 0, start(2), 5, 1.0):
        torch.testing.assert_close(place, start(2), rtol=0, atol=0)
