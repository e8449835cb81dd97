"""The numbers that a VAE is made of, against values worked out elsewhere, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.errors import ConfigError, ShapeError
from core.models.likelihoods import (
    bernoulli_log_likelihood,
    continuous_bernoulli_log_likelihood,
    continuous_bernoulli_mean,
    entropy_floor,
    gaussian_log_likelihood,
    log_normaliser,
)
from core.models.priors import UNIT_VARIANCE, draw_prior, laplace_kl, log_normal, log_prior, normal_kl, prior_kl
from core.models.vae import (
    LOG_VARIANCE_BOUNDS,
    VAE,
    Outputs,
    VAEConfig,
    elbo_terms,
    log_likelihood,
    mean_image,
    prepare,
)

DOUBLE = torch.float64
PIXELS = torch.tensor([0, 1, 0.5, 0.25], dtype=DOUBLE).reshape(1, 1, 2, 2)
CHANCES = torch.tensor([0.1, 0.8, 0.5, 0.5], dtype=DOUBLE).reshape(1, 1, 2, 2)
LIKELIHOODS = ("gaussian", "gaussian_learned", "bernoulli", "continuous_bernoulli")


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=DOUBLE)


def tiny(**changes: object) -> VAEConfig:
    return VAEConfig(**{"image_size": 8, "hidden_dim": 16, "latent_dim": 3, "width": 4, **changes})  # type: ignore[arg-type]


def test_divergence_from_the_normal() -> None:
    assert normal_kl(number(1), number(0)).item() == pytest.approx(0.5, abs=1e-9)
    assert normal_kl(number(0), number(math.log(4))).item() == pytest.approx(0.806853, abs=1e-6)
    assert normal_kl(number(0), number(0)).item() == 0
    line = torch.arange(-12, 13, dtype=DOUBLE) / 4
    grid = torch.cartesian_prod(line, line)
    found = normal_kl(*grid.unbind(dim=1))
    assert (found >= 0).all()
    assert ((found == 0) == (grid == 0).all(dim=1)).all()


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (1.5, 0.3), (-0.7, 2.0)])
@pytest.mark.parametrize("prior", ["normal", "laplace"])
def test_the_closed_divergences_are_what_many_draws_say(prior: str, mean: float, deviation: float) -> None:
    center, log_variance = number(mean), number(2 * math.log(deviation))
    noise = torch.randn(400_000, 1, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    latents = mean + deviation * noise
    draws = log_normal(latents, center, log_variance) - log_prior(prior, latents)  # type: ignore[arg-type]
    expected = prior_kl(prior, center, log_variance).item()  # type: ignore[arg-type]
    assert abs(draws.mean().item() - expected) < 5 * draws.std().item() / math.sqrt(len(draws)) + 1e-12


def test_a_laplace_prior_has_unit_variance_unless_it_is_told_otherwise() -> None:
    assert VAEConfig().prior_scale == UNIT_VARIANCE == pytest.approx(1 / math.sqrt(2))
    drawn = draw_prior("laplace", 200_000, 1, torch.Generator().manual_seed(0))
    assert drawn.var().item() == pytest.approx(1, abs=0.03)
    # P(|z| > 3) = e^(-3/b)
    assert (drawn.abs() > 3).float().mean().item() == pytest.approx(math.exp(-3 * math.sqrt(2)), abs=1e-3)
    wide = draw_prior("laplace", 200_000, 1, torch.Generator().manual_seed(0), scale=1)
    assert wide.var().item() == pytest.approx(2, abs=0.06)
    # Its density is one.
    line = torch.linspace(-20, 20, 40_001, dtype=DOUBLE)[:, None]
    assert torch.trapezoid(log_prior("laplace", line).exp(), line[:, 0]).item() == pytest.approx(1, abs=1e-6)


def test_the_divergence_from_a_laplace_is_never_zero() -> None:
    line = torch.linspace(-2, 2, 40_001, dtype=DOUBLE)
    found = laplace_kl(torch.zeros_like(line), line)
    assert found.min().item() == pytest.approx(0.048417, abs=1e-6)
    assert laplace_kl(number(0), number(0)).item() == pytest.approx(
        math.log(2 * UNIT_VARIANCE) - 0.5 * math.log(2 * math.pi * math.e) + 2 / math.sqrt(math.pi)
    )


def test_bernoulli_of_grey_pixels() -> None:
    assert -bernoulli_log_likelihood(torch.logit(CHANCES), PIXELS).item() == pytest.approx(1.714798, abs=1e-6)
    assert entropy_floor(PIXELS).item() == pytest.approx(1.255482, abs=1e-6)
    assert entropy_floor((PIXELS > 0.3).to(DOUBLE)).item() == 0


def test_the_elbo_of_the_reference() -> None:
    config = VAEConfig(image_size=4, likelihood="bernoulli", latent_dim=2)
    outputs = Outputs(
        torch.logit(CHANCES),
        torch.tensor([[1.0, 0.0]], dtype=DOUBLE),
        torch.tensor([[0.0, math.log(4)]], dtype=DOUBLE),
        number(0),
    )
    terms = elbo_terms(config, outputs, PIXELS)
    assert terms.kl[0].tolist() == pytest.approx([0.5, 0.806853], abs=1e-6)
    assert (-terms.reconstruction - terms.kl.sum(dim=1)).item() == pytest.approx(-3.021651, abs=1e-6)


@pytest.mark.parametrize(("sigma", "constant"), [(1.0, 720.448), (0.1, -1084.779)])
def test_the_constant_of_a_gaussian(sigma: float, constant: float) -> None:
    images = torch.rand(2, 1, 28, 28, dtype=DOUBLE)
    assert -gaussian_log_likelihood(images, images, 2 * math.log(sigma))[0].item() == pytest.approx(constant, abs=1e-3)
    assert VAEConfig(sigma=sigma).likelihood_constant == pytest.approx(constant, abs=1e-3)
    off = gaussian_log_likelihood(images + 0.1, images, 2 * math.log(sigma))
    assert -off[0].item() == pytest.approx(constant + 784 * 0.01 / 2 / sigma**2, abs=1e-3)


def test_the_normaliser_of_a_continuous_bernoulli() -> None:
    assert log_normaliser(torch.logit(number(0.1))).item() == pytest.approx(1.010339, abs=1e-6)
    assert log_normaliser(number(0)).item() == pytest.approx(math.log(2), abs=1e-12)
    # Its density integrates to one, and its mean is the integral of x, on both sides of the series' end.
    line = torch.linspace(0, 1, 20_001, dtype=DOUBLE)
    for logit in (-8.0, -0.31, -0.29, 1e-9, 0.29, 0.31, 3.0):
        images, logits = line.reshape(-1, 1, 1, 1), torch.full((len(line), 1, 1, 1), logit, dtype=DOUBLE)
        density = continuous_bernoulli_log_likelihood(logits, images).exp()
        assert torch.trapezoid(density, line).item() == pytest.approx(1, abs=1e-6)
        expected = torch.trapezoid(density * line, line).item()
        assert continuous_bernoulli_mean(number(logit)).item() == pytest.approx(expected, abs=1e-6)


def test_a_continuous_bernoulli_has_finite_gradients_everywhere() -> None:
    logits = torch.tensor([-80.0, -1.0, -1e-8, 0.0, 1e-8, 0.3, 80.0], requires_grad=True)
    (log_normaliser(logits).sum() + continuous_bernoulli_mean(logits).sum()).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3)])
def test_every_kind_encodes_decodes_and_learns(network: str, likelihood: str, side: int, channels: int) -> None:
    torch.manual_seed(0)
    config = tiny(network=network, likelihood=likelihood, image_size=side, channels=channels)
    model, images = VAE(config), torch.rand(4, channels, side, side)
    outputs = model(images, torch.randn(4, 3))
    assert outputs.parameters.shape == images.shape
    assert outputs.mean.shape == outputs.log_variance.shape == (4, 3)
    pictures = model.mean_image(outputs.parameters)
    assert ((pictures >= 0) & (pictures <= 1)).all()
    terms = elbo_terms(config, outputs, images)
    (terms.reconstruction.sum() + terms.kl.sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name
    assert ("decoder_log_variance" in model.state_dict()) == (likelihood == "gaussian_learned")
    torch.testing.assert_close(terms.squared_error, (pictures - images).square().sum(dim=(1, 2, 3)))


def test_a_variance_that_is_learned_ends_at_the_mean_squared_error() -> None:
    images, means = torch.rand(20, 1, 8, 8), torch.full((20, 1, 8, 8), 0.5)
    model = VAE(tiny(likelihood="gaussian_learned"))
    optimizer = torch.optim.LBFGS([model.decoder_log_variance], max_iter=50)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -log_likelihood(model.config, means, images, model.pixel_log_variance()).mean()
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    expected = (images - means).square().mean().item()
    assert model.pixel_log_variance().exp().item() == pytest.approx(expected, rel=1e-3)


def test_the_variance_of_a_posterior_stays_within_its_bounds() -> None:
    model = VAE(tiny())
    with torch.no_grad():
        model.encoder[-1].bias.fill_(1000)  # type: ignore[index,operator,union-attr]
    posterior = model.encode(torch.rand(2, 1, 8, 8))
    assert (posterior.log_variance == LOG_VARIANCE_BOUNDS[1]).all()
    assert (posterior.mean > 100).all()


def test_black_and_white_is_for_encoder_and_likelihood_alike() -> None:
    torch.manual_seed(0)
    model = VAE(tiny(likelihood="bernoulli", binarise=True))
    grey = torch.rand(3, 1, 8, 8)
    clean = prepare(model.config, grey)
    assert set(clean.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(prepare(model.config, clean), clean)
    assert torch.equal(model.encode(grey).mean, model.encode(clean).mean)
    noise = torch.zeros(3, 3)
    found = [elbo_terms(model.config, model(each, noise), each) for each in (grey, clean)]
    assert torch.equal(found[0].reconstruction, found[1].reconstruction)
    assert entropy_floor(clean).sum() == 0


def test_the_mean_picture_of_a_continuous_bernoulli_is_not_its_chance() -> None:
    logits = torch.full((1, 1, 8, 8), 2.0)
    assert mean_image(tiny(likelihood="bernoulli"), logits)[0, 0, 0, 0].item() == pytest.approx(0.880797, abs=1e-5)
    shown = mean_image(tiny(likelihood="continuous_bernoulli"), logits)[0, 0, 0, 0].item()
    assert shown == pytest.approx(1 / (1 - math.exp(-2)) - 0.5, abs=1e-5)


def test_few_and_many_latents() -> None:
    for count in (1, 256):
        model = VAE(tiny(latent_dim=count))
        assert model.embed(torch.rand(2, 1, 8, 8)).shape == (2, count)
        assert model.decode(torch.randn(2, count)).shape == (2, 1, 8, 8)
    for count in (0, 257):
        with pytest.raises(ConfigError, match=f"latent_dim is {count}; expected a value between 1 and 256"):
            tiny(latent_dim=count)


def test_what_does_not_fit_is_said() -> None:
    model = VAE(VAEConfig())
    with pytest.raises(ShapeError, match=r"takes images of shape \(1, 28, 28\), got \(3, 28, 28\)"):
        model.encode(torch.rand(2, 3, 28, 28))
    with pytest.raises(ShapeError, match=r"got \(1, 32, 32\)"):
        model.encode(torch.rand(2, 1, 32, 32))
    with pytest.raises(ShapeError, match="latents of 20 dimensions"):
        model.decode(torch.rand(2, 2))
    with pytest.raises(ConfigError, match="30 pixels by 4"):
        VAEConfig(network="conv", image_size=30)
    with pytest.raises(ConfigError, match="no bound"):
        VAEConfig(likelihood="continuous_bernoulli", binarise=True)


def test_the_catalogue_opens_what_was_saved(tmp_path) -> None:
    from core.models.catalogue import find_model
    from core.models.checkpoint import ModelCard, save_model
    from core.models.loading import load_any

    torch.manual_seed(0)
    config, model = tiny(channels=1, sigma=0.3), VAE(tiny(channels=1, sigma=0.3))
    card = ModelCard(
        family="vae",
        title="Tiny",
        config=vars(config),
        classes=(),
        mean=(0.0,),
        std=(1.0,),
        dataset="none",
        recipe="{}",
        command="none",
        date="2026-01-01",
    )
    save_model(tmp_path / "tiny", model, card)
    assert find_model(f"folder:{tmp_path / 'tiny'}").capabilities == {"latent"}
    network = load_any(tmp_path / "tiny")
    assert network.module.config == config  # type: ignore[comparison-overlap]
    assert network.preprocessing.size == 8
    # The deviation follows from the config and is not rounded to fp16.
    assert network.module.pixel_log_variance().item() == pytest.approx(2 * math.log(0.3), abs=1e-6)  # type: ignore[operator]
