"""The bound as an objective: what is minimised, what is reported whatever is minimised, and how the loop carries it."""

from __future__ import annotations

import dataclasses
import io
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.data.arrays import ArrayDataset
from core.data.transforms import Normalisation
from core.errors import ConfigError
from core.models.vae import VAE, Terms, VAEConfig, elbo_terms
from core.training.config import TrainingConfig
from core.training.elbo import Elbo, ElboConfig, beta_at, effective_beta, image_losses, is_comparable
from core.training.loop import EpochReport, Fit

SHAPE = VAEConfig(image_size=8, channels=3, hidden_dim=16, latent_dim=4)
BOUND = ElboConfig()
PIXELS = Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3)


def a_batch(count: int = 6, shape: VAEConfig = SHAPE, seed: int = 0) -> tuple[VAE, Tensor, Tensor]:
    torch.manual_seed(seed)
    return VAE(shape), torch.rand(count, *shape.shape), torch.randn(count, shape.latent_dim)


def loss_of(model: VAE, images: Tensor, noise: Tensor, config: ElboConfig = BOUND, beta: float | None = None) -> Tensor:
    terms = elbo_terms(model.config, model(images, noise), images)
    return image_losses(terms, config, model.config, config.beta if beta is None else beta).mean()


def gradient(model: VAE, loss: Tensor) -> Tensor:
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(model.parameters()))])


@pytest.mark.parametrize("config", [ElboConfig(), ElboConfig(free_bits=0.3), ElboConfig(reduction="all_mean")])
def test_a_doubled_batch_has_the_same_loss(config: ElboConfig) -> None:
    model, images, noise = a_batch()
    once = loss_of(model, images, noise, config)
    twice = loss_of(model, images.repeat(2, 1, 1, 1), noise.repeat(2, 1), config)
    torch.testing.assert_close(once, twice)


def test_the_loss_is_minus_the_bound() -> None:
    model, images, noise = a_batch()
    terms = elbo_terms(SHAPE, model(images, noise), images)
    expected = terms.reconstruction + terms.kl.sum(dim=1)
    torch.testing.assert_close(image_losses(terms, ElboConfig(), SHAPE, 1.0), expected)
    torch.testing.assert_close(
        image_losses(terms, ElboConfig(), SHAPE, 4.0), terms.reconstruction + 4 * terms.kl.sum(dim=1)
    )


@pytest.mark.parametrize(
    ("reduction", "likelihood", "sigma", "beta"),
    [
        ("pixel_mean", "gaussian", 1.0, 392),
        ("all_mean", "gaussian", 1.0, 19.6),
        ("pixel_mean", "gaussian", 0.5, 1568),
        ("pixel_mean", "bernoulli", 1.0, 784),
        ("pixel_mean", "gaussian_learned", 1.0, 784),
    ],
)
def test_a_mean_is_a_silent_beta(reduction: Any, likelihood: Any, sigma: float, beta: float) -> None:
    shape = VAEConfig(likelihood=likelihood, sigma=sigma, hidden_dim=8)
    model, images, noise = a_batch(4, shape)
    averaged = ElboConfig(reduction=reduction)
    assert effective_beta(averaged, shape) == pytest.approx(beta)
    assert effective_beta(ElboConfig(beta=3), shape) == 3
    summed = gradient(model, loss_of(model, images, noise, ElboConfig(beta=beta)))
    found = gradient(model, loss_of(model, images, noise, averaged))
    assert torch.cosine_similarity(summed, found, dim=0).item() == pytest.approx(1, abs=1e-5)
    wrong = gradient(model, loss_of(model, images, noise, ElboConfig(beta=1)))
    assert torch.cosine_similarity(wrong, found, dim=0).item() < 0.999


def test_the_mean_squared_error_is_the_usual_one() -> None:
    model, images, noise = a_batch()
    outputs = model(images, noise)
    terms = elbo_terms(SHAPE, outputs, images)
    found = image_losses(terms, ElboConfig(reduction="pixel_mean", beta=0), SHAPE, 0.0).mean()
    torch.testing.assert_close(found, torch.nn.functional.mse_loss(outputs.parameters, images))


def test_free_bits_are_free_below_their_measure_and_cost_above() -> None:
    kl = torch.tensor([[0.01, 0.02, 3.0], [0.03, 0.30, 1.0]], requires_grad=True)
    terms = Terms(torch.zeros(2), kl, torch.zeros(2))
    config = ElboConfig(free_bits=0.1)
    losses = image_losses(terms, config, SHAPE, 1.0)
    # Means 0.02, 0.16 and 2: clamped after the mean, so that the 0.02 of the second dimension is not raised alone.
    torch.testing.assert_close(losses, torch.full((2,), 0.1 + 0.16 + 2))
    losses.mean().backward()
    assert kl.grad is not None
    assert kl.grad[:, 0].tolist() == [0, 0]
    torch.testing.assert_close(kl.grad[:, 1:], torch.full((2, 2), 0.5))
    assert image_losses(Terms(torch.zeros(2), torch.zeros(2, 3), torch.zeros(2)), config, SHAPE, 1.0)[
        0
    ].item() == pytest.approx(3 * 0.1)


def test_warm_up_rises_to_its_end_and_cycles_begin_anew() -> None:
    linear = ElboConfig(beta=2, warmup="linear", warmup_epochs=10)
    assert [beta_at(linear, epoch) for epoch in (0, 5, 10, 30)] == [0, 1, 2, 2]
    assert not is_comparable(linear, 9.99)
    assert is_comparable(linear, 10)
    cyclical = ElboConfig(warmup="cyclical", warmup_epochs=2, cycles=2)
    assert [beta_at(cyclical, epoch) for epoch in (0, 1, 2, 3.9, 4, 5, 7, 8, 9, 50)] == [
        0,
        0.5,
        1,
        1,
        0,
        0.5,
        1,
        1,
        1,
        1,
    ]
    assert [beta_at(ElboConfig(beta=3), epoch) for epoch in (0, 100)] == [3, 3]


def test_settings_out_of_bounds_are_refused() -> None:
    for wrong in ({"beta": -1.0}, {"warmup": "slow"}, {"free_bits": -0.1}, {"reduction": "mean"}):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))} is"):
            ElboConfig(**wrong)  # type: ignore[arg-type]


def dataset(count: int, seed: int) -> ArrayDataset:
    """Grey squares of one brightness each, with noise: one thing to be said of each image."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 200, size=(count, 1, 1, 1)) + random.integers(0, 40, size=(count, 8, 8, 3))
    labels = np.zeros(count, dtype=np.int64)
    return ArrayDataset(
        name="squares", split="train", images=images.astype(np.uint8), labels=labels, classes=("square",)
    )


def fit(objective: ElboConfig = BOUND, shape: VAEConfig = SHAPE, **changes: object) -> Fit:
    torch.manual_seed(0)
    settings = {"epochs": 4, "batch_size": 16, "precision": "fp32", "augmentation": "none", "gradient_clip": 100.0}
    training = TrainingConfig(**{**settings, "weight_decay": 0.0, **changes})  # type: ignore[arg-type]
    return Fit(
        VAE(shape), dataset(50, 0), dataset(20, 1), PIXELS, training, device="cpu", objective=Elbo(objective, shape)
    )


def epochs(run: Any) -> list[EpochReport]:
    return [report for report in run if isinstance(report, EpochReport)]


def numbers(run: Any) -> list[dict[str, Any]]:
    return [{**dataclasses.asdict(report), "images_per_second": None} for report in epochs(run)]


def test_a_report_has_the_bound_whatever_is_minimised() -> None:
    objective = ElboConfig(beta=5, free_bits=0.5, warmup="linear", warmup_epochs=2)
    first, *_, last = epochs(fit(objective).run())
    assert first.train_accuracy is None
    assert first.val_accuracy is None
    assert first.extras["beta"] == pytest.approx(5 * 3 / 8)  # of the last of four steps
    assert last.extras["beta"] == 5
    for report in (first, last):
        for part in ("train", "val"):
            found = {name: report.extras[f"{part}_{name}"] for name in ("reconstruction", "kl", "elbo")}
            assert found["elbo"] == pytest.approx(-found["reconstruction"] - found["kl"])
        found = report.extras
        assert found["val_reconstruction"] == pytest.approx(
            SHAPE.likelihood_constant + found["val_squared_error"] / 2, rel=1e-5
        )
    assert last.val_loss >= last.extras["val_reconstruction"] + 5 * 4 * 0.5 - 1e-3


def test_held_out_images_are_measured_as_one_batch_would_be() -> None:
    """Whatever the batch size, over all of them and with the same noise for each place."""
    training = fit(epochs=1, batch_size=64)
    report = epochs(training.run())[0]
    assert training.predictions is None
    images = torch.from_numpy(training.val_set.images.copy()).permute(0, 3, 1, 2).float() / 255
    mean, log_variance = training.average.encode(images)  # type: ignore[operator]
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
    assert report.extras["val_kl"] == pytest.approx(kl.sum(dim=1).mean().item(), rel=1e-4)
    assert report.extras["val_active_units"] == (mean.var(dim=0, correction=0) > 0.01).sum().item()
    assert "train_active_units" not in report.extras
    assert report.val_loss == pytest.approx(-report.extras["val_elbo"], rel=1e-6)
    assert report.val_count == 20


def test_it_learns_the_one_thing_that_there_is() -> None:
    shape = dataclasses.replace(SHAPE, sigma=0.1)
    reports = epochs(fit(shape=shape, epochs=40, learning_rate=1e-2, ema_decay=0.9).run())
    assert reports[-1].extras["val_elbo"] > reports[0].extras["val_elbo"] + 50
    assert reports[-1].extras["val_active_units"] >= 1
    # Noise of 40 grey values has a variance of 0.00205: 192 pixels of it cannot be explained.
    assert 192 * 0.00205 * 0.8 < reports[-1].extras["val_squared_error"] < 3


@pytest.mark.parametrize("after", [2, 4, 5])
def test_stopped_anywhere_it_goes_on_with_the_same_numbers(after: int) -> None:
    objective = ElboConfig(warmup="linear", warmup_epochs=3, free_bits=0.05)
    whole = numbers(fit(objective).run())
    begun = fit(objective)
    before = numbers(itertools.islice(begun.run(), after))
    stored = io.BytesIO()
    torch.save(begun.state(), stored)
    stored.seek(0)
    resumed = fit(objective)
    resumed.load_state(torch.load(stored, weights_only=True))
    assert before + numbers(resumed.run()) == whole


def test_the_best_epoch_is_none_of_the_warm_up() -> None:
    """Under a small β the bound may look its best; patience may not choose such an epoch, nor stop in them."""
    training = fit(ElboConfig(warmup="linear", warmup_epochs=6), epochs=8, patience=1)
    seen = epochs(training.run())
    assert len(seen) >= 7
    assert training._best is not None
    assert training._best["epoch"] >= 7
    assert not math.isnan(training._best["score"])


def test_the_sixteen_bit_step_reports_in_full_precision() -> None:
    report = epochs(fit(epochs=1, precision="bf16").run())[0]
    exact = epochs(fit(epochs=1).run())[0]
    assert report.extras["train_elbo"] == pytest.approx(exact.extras["train_elbo"], rel=0.02)
