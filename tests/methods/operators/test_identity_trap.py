"""Attention without projections is the identity, unless its temperature says otherwise."""

from __future__ import annotations

import pytest
import torch

from core.methods.operators.identity_trap import identity_trap, normalise_positions


@pytest.mark.parametrize(("channels", "unscaled", "scaled"), [(16, 0.996, 0.34), (64, 1.0, 0.966), (256, 1.0, 1.0)])
def test_the_diagonal_of_normalised_noise(channels, unscaled, scaled):
    """ALGORITHMS.md, section 8: 65 positions."""
    torch.manual_seed(0)
    x = normalise_positions(torch.randn(20, channels, 5, 13))
    found = identity_trap(x, [1.0, channels**0.5])
    assert found.usual_temperature == channels**0.5
    assert found.diagonal[0] == pytest.approx(unscaled, abs=0.004)
    assert found.diagonal[1] == pytest.approx(scaled, abs=0.02)


def test_heat_makes_everything_alike_and_projections_lead_out():
    torch.manual_seed(0)
    x = normalise_positions(torch.randn(4, 64, 8, 8))
    found = identity_trap(x, [1, 4, 16, 64, 1e6])
    assert (found.diagonal[1:] < found.diagonal[:-1]).all()
    assert found.diagonal[-1] == pytest.approx(found.uniform, rel=1e-3)
    query, key = (torch.einsum("oc,bchw->bohw", torch.randn(64, 64) / 8, x) for _ in range(2))
    projected = identity_trap(x, [found.usual_temperature], query=query, key=key)
    assert projected.diagonal[0] < 0.05
    assert identity_trap(x, [found.usual_temperature]).diagonal[0] > 0.9


def test_normalised_positions_have_mean_0_and_variance_1():
    x = normalise_positions(5 + 3 * torch.randn(2, 32, 3, 4))
    torch.testing.assert_close(x.mean(dim=1), torch.zeros(2, 3, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.var(dim=1, correction=0), torch.ones(2, 3, 4), atol=1e-3, rtol=0)
