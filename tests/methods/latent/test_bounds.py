"""Bounds lie below the likelihood that numerical integration finds, and rise towards it with more latents."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from core.errors import ConfigError, ShapeError
from core.methods.latent import bounds
from core.methods.latent.bounds import elbo, importance_bound
from core.models.priors import log_prior
from core.models.vae import VAE, log_likelihood
from tests.methods.latent.toy_vae import pictures, tiny


@torch.inference_mode()
def exact(model: VAE, images: np.ndarray) -> np.ndarray:
    """ln ∫ p(z) p(x|z) dz over a fine line; for a model of one latent."""
    line = torch.linspace(-12, 12, 4801)[:, None]
    parameters = model.decode(line)
    found = []
    for image in images:
        pixels = torch.from_numpy(image).permute(2, 0, 1).float()[None].expand(len(line), -1, -1, -1) / 255
        joint = log_likelihood(model.config, parameters, pixels, model.pixel_log_variance()).double()
        joint += log_prior(model.config.prior, line, model.config.prior_scale).double()
        found.append((joint.logsumexp(dim=0) + math.log(24 / 4800)).item())
    return np.array(found)


@pytest.mark.parametrize("prior", ["normal", "laplace"])
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "continuous_bernoulli"])
def test_bounds_rise_with_more_latents_to_the_likelihood_itself(prior: str, likelihood: str) -> None:
    model, images = tiny(latent_dim=1, prior=prior, likelihood=likelihood, sigma=0.5), pictures(40)
    truth = exact(model, images)
    lower = np.mean([elbo(model, images, seed=seed).elbo.mean() for seed in range(60)])
    # Each is a mean over pictures and seeds: fewer of those where more latents make up for it.
    plan = {1: 60, 6: 30, 2000: 1}
    means = [np.mean([importance_bound(model, images, k, seed=s).mean for s in range(n)]) for k, n in plan.items()]
    assert lower < truth.mean()
    assert means[0] < means[1] < means[2]
    assert means[0] == pytest.approx(lower, abs=0.15)  # one latent: the same expectation, but the KL is drawn
    assert lower < means[1]
    assert means[2] == pytest.approx(truth.mean(), abs=0.02)


def test_what_a_picture_gets_does_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = tiny(), pictures(9)
    whole, tight = elbo(model, images), importance_bound(model, images, 5)
    np.testing.assert_allclose(elbo(model, images[:4]).elbo, whole.elbo[:4], rtol=1e-6)
    # Two pictures at once, then a single one whose latents do not fit.
    for at_once in (10, 3):
        monkeypatch.setattr(bounds, "_AT_ONCE", at_once)
        np.testing.assert_allclose(importance_bound(model, images, 5).bounds, tight.bounds, rtol=1e-5)
    assert not np.array_equal(elbo(model, images, seed=1).reconstruction, whole.reconstruction)


def test_averages_are_of_the_parts() -> None:
    terms = elbo(tiny(), pictures(9))
    found = terms.averages()
    assert found["elbo"] == pytest.approx(-found["reconstruction"] - found["kl"])
    assert found["elbo_standard_error"] == pytest.approx(terms.elbo.std(ddof=1) / 3, rel=1e-5)
    assert terms.kl.shape == (9, 3)
    assert {each.dtype for each in (terms.kl, terms.reconstruction, terms.squared_error)} == {np.dtype(np.float32)}
    assert importance_bound(tiny(), pictures(1), 2).standard_error == 0


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ShapeError, match=r"4 by 4 pixels and 1 channel, got shape \(4, 4, 3\)"):
        elbo(tiny(), pictures(2, channels=3))
    with pytest.raises(ShapeError, match="no pictures"):
        elbo(tiny(), pictures(0))
    with pytest.raises(ConfigError, match="0 latents a picture"):
        importance_bound(tiny(), pictures(), 0)
