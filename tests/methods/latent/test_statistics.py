"""Which latents are used: none of a collapsed encoder, and counted by means, not by samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.methods.latent.statistics import latent_statistics
from tests.methods.latent.toy_vae import collapsed, pictures, tiny


def test_a_collapsed_encoder_has_no_active_unit() -> None:
    found = latent_statistics(collapsed(tiny(), (0, 1, 2)), pictures(50))
    assert found.active(0).sum() == 0
    assert found.kl.tolist() == [0, 0, 0]
    assert found.average_log_variance.tolist() == [0, 0, 0]


def test_a_dimension_is_active_if_its_means_vary_by_more_than_delta() -> None:
    model, images = collapsed(tiny(), (1,)), pictures(700)
    found = latent_statistics(model, images)
    means = np.concatenate(
        [model.encode(torch.from_numpy(part).permute(0, 3, 1, 2).float() / 255).mean.detach() for part in (images,)]
    )
    np.testing.assert_allclose(found.means, means, atol=1e-6)
    np.testing.assert_allclose(found.spread, means.var(axis=0), rtol=1e-4)
    assert found.active().tolist() == [True, False, True]
    between = float(np.sort(found.spread)[1:].mean())
    assert found.active(between).sum() == 1
    assert found.order()[-1] == 1
    kl = 0.5 * (means**2 + np.exp(found.log_variances) - 1 - found.log_variances)
    np.testing.assert_allclose(found.kl, kl.mean(axis=0), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.average_mean, means.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("latents", [1, 256])
def test_few_and_many_latents(latents: int) -> None:
    found = latent_statistics(tiny(latent_dim=latents), pictures(5))
    assert found.means.shape == found.log_variances.shape == (5, latents)
    assert found.kl.shape == found.spread.shape == (latents,)
    assert found.means.dtype == found.kl.dtype == np.float32
