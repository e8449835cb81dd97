"""Gatys' losses by their definitions, against sums written out, PyTorch's tutorial, and the paper's own gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from core.methods.style_transfer.losses import content_losses, gram_matrices, style_layer_losses, total_variations


def maps(channels: int, seed: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, channels, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_gram_matrix_sums_products_over_positions() -> None:
    found = gram_matrices(torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]]))
    assert found.tolist() == [[[5.0, 1.0], [1.0, 10.0]]]


@pytest.mark.parametrize(("channels", "ratio"), [(4, 0.25), (8, 1 / 16), (2, 1.0)])
def test_the_tutorials_form_is_another_multiple_for_every_layer(channels: int, ratio: float) -> None:
    one, other = maps(channels, 0), maps(channels, 1)

    def tutorials_gram(each: Tensor) -> Tensor:
        batch, rows, height, width = each.shape
        flat = each.view(batch * rows, height * width)
        return flat @ flat.t() / (batch * rows * height * width)

    tutorials = F.mse_loss(tutorials_gram(one), tutorials_gram(other))
    ours = style_layer_losses(one, gram_matrices(other))[0]
    assert float(tutorials / ours) == pytest.approx(ratio)


def test_e_is_the_papers_sum_and_has_the_papers_gradient() -> None:
    one, other = maps(4, 0).requires_grad_(), maps(4, 1)
    flat, wanted = one.detach()[0].flatten(1), other[0].flatten(1)
    n, m = flat.shape
    difference = flat @ flat.T - wanted @ wanted.T
    loss = style_layer_losses(one, gram_matrices(other))[0]
    assert float(loss) == pytest.approx(float((difference**2).sum() / (4 * n**2 * m**2)))
    [gradient] = torch.autograd.grad(loss, one)
    # Equation 6 of the paper, where no feature is clipped at 0.
    torch.testing.assert_close(gradient[0].flatten(1), difference @ flat / (n**2 * m**2))


def test_content_is_half_the_sum_of_squares_and_every_picture_has_its_own_losses() -> None:
    pictures, wanted = maps(3, 0, batch=2), maps(3, 1, batch=2)
    found = content_losses(pictures, wanted)
    assert found.tolist() == pytest.approx([float(0.5 * (pictures[i] - wanted[i]).square().sum()) for i in (0, 1)])
    both = style_layer_losses(pictures, gram_matrices(wanted[:1]))
    alone = [style_layer_losses(pictures[i : i + 1], gram_matrices(wanted[:1]))[0] for i in (0, 1)]
    torch.testing.assert_close(both, torch.stack(alone))


def test_total_variation_counts_both_neighbours_of_every_pixel() -> None:
    picture = torch.tensor([[[[0.0, 1.0], [3.0, 3.0]]]])
    assert total_variations(picture).tolist() == [1 + 0 + 9 + 4]
    assert total_variations(torch.full((2, 3, 4, 4), 0.3)).tolist() == [0, 0]


def test_one_colour_has_a_gram_matrix_of_rank_one() -> None:
    constant = torch.tensor([0.2, 0.5, 0.9])[None, :, None, None].expand(1, 3, 4, 4)
    assert torch.linalg.matrix_rank(gram_matrices(constant)[0]) == 1
    assert torch.linalg.matrix_rank(gram_matrices(maps(3, 0))[0]) == 3
