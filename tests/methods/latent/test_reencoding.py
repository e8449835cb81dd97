"""A picture through the model once and again; photos become what a model takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import ConfigError, ShapeError
from core.methods.latent.passes import decoded
from core.methods.latent.reencoding import fit_pictures, reencode
from core.models.vae import VAEConfig
from tests.methods.latent.toy_vae import pictures, tiny


def test_each_pass_encodes_what_the_one_before_decoded() -> None:
    model, images = tiny(), pictures(600)  # more than a batch
    found = reencode(model, images, passes=3)
    assert found.pictures.shape == (4, 600, 4, 4, 1)
    assert (found.latents.shape, found.squared_error.shape, found.drift.shape) == ((3, 600, 3), (3, 600), (2, 600))
    np.testing.assert_allclose(found.pictures[0], images / 255, atol=1e-6)
    for number in range(3):
        with torch.no_grad():
            means = model.embed(torch.from_numpy(found.pictures[number]).permute(0, 3, 1, 2))
        np.testing.assert_allclose(found.latents[number], means, atol=1e-5)
        np.testing.assert_allclose(found.pictures[number + 1], decoded(model, found.latents[number]), atol=1e-6)
    np.testing.assert_allclose(
        found.squared_error[1], ((images / 255 - found.pictures[2]) ** 2).sum(axis=(1, 2, 3)), rtol=1e-4
    )
    np.testing.assert_allclose(found.drift[0], np.linalg.norm(found.latents[1] - found.latents[0], axis=1), rtol=1e-5)


def test_black_and_white_models_are_measured_against_black_and_white() -> None:
    found = reencode(tiny(likelihood="bernoulli", binarise=True), pictures(3))
    assert set(np.unique(found.pictures[0])) == {0, 1}


def test_photos_become_what_the_model_takes() -> None:
    photo = Image.new("RGB", (60, 40), (255, 0, 0))
    grey = fit_pictures([photo, photo], VAEConfig(image_size=28))
    assert (grey.shape, grey.dtype) == ((2, 28, 28, 1), np.uint8)
    assert set(np.unique(grey)) == {76}  # the luminance of pure red
    assert fit_pictures([photo], VAEConfig(image_size=32, channels=3)).shape == (1, 32, 32, 3)
    with pytest.raises(ConfigError, match="takes 2 channels"):
        fit_pictures([photo], VAEConfig(channels=2))


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ConfigError, match="0 passes"):
        reencode(tiny(), pictures(), 0)
    with pytest.raises(ShapeError, match="1 channel"):
        reencode(tiny(), pictures(channels=3))
