"""The pictures of one denoising step: what they show is what the classification measures."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from core.methods.diffusion.denoising_view import advantage_map, denoising_view
from core.models.diffusion import LatentDiffusion, load_diffusers
from core.seeding import stream_seed, torch_generator
from tests.diffusion_toy import save_tiny_pipeline


@pytest.fixture(scope="module", params=["epsilon", "v_prediction"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LatentDiffusion:
    folder = save_tiny_pipeline(tmp_path_factory.mktemp("diffusion") / request.param, prediction_type=request.param)
    return cast(LatentDiffusion, load_diffusers(folder).module)


@pytest.fixture(scope="module")
def latent(model: LatentDiffusion) -> Tensor:
    return torch.randn(model.latent_shape, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def prompts(model: LatentDiffusion) -> Tensor:
    with torch.inference_mode():
        return model.embed_prompts(["a photo of a ship.", "a photo of a horse."])


def test_shapes_and_error_are_those_of_the_prediction(model: LatentDiffusion, latent: Tensor, prompts: Tensor) -> None:
    view = denoising_view(model, latent, prompts, 400, seed=5)
    side, (_, height, width) = model.image_size, model.latent_shape
    assert view.original.shape == view.noised.shape == (side, side, 3)
    assert view.reconstructed.shape == (2, side, side, 3)
    assert view.predicted.shape == (2, height, width, 3)
    noise = torch.randn(latent.shape, generator=torch_generator(stream_seed("noise shown", 5, 0)))
    kept = model.alphas_cumprod[400]
    noised = kept**0.5 * latent + (1 - kept) ** 0.5 * noise
    predicted = model.denoiser(prompts)(noised[None].float(), torch.tensor([400]), torch.tensor([1]))[0]
    np.testing.assert_allclose(view.error[1], (predicted - noise).square().mean(dim=0), rtol=1e-4)


def test_a_perfect_prediction_gives_the_picture_back(
    model: LatentDiffusion, latent: Tensor, prompts: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def perfect(_: Tensor, precision: str = "fp32") -> object:
        def predict(noised: Tensor, steps: Tensor, which: Tensor) -> Tensor:
            kept = torch.from_numpy(model.alphas_cumprod)[steps][:, None, None, None].float()
            # Only under the first prompt, and only in the left half.
            noise = (noised - kept.sqrt() * latent) / (1 - kept).sqrt()
            noise[which == 1, ..., : latent.shape[-1] // 2] += 0.5
            return noise

        return predict

    monkeypatch.setattr(model, "denoiser", perfect)
    view = denoising_view(model, latent, prompts, 500)
    assert np.abs(view.reconstructed[0].astype(int) - view.original).max() <= 1
    assert view.error[0].max() < 1e-6
    found = advantage_map(model, latent, prompts)
    half = latent.shape[-1] // 2
    np.testing.assert_allclose(found[:, :half], 0.25, rtol=1e-3)
    np.testing.assert_allclose(found[:, half:], 0, atol=1e-6)


def test_swapping_the_prompts_turns_the_map_over(model: LatentDiffusion, latent: Tensor, prompts: Tensor) -> None:
    found = advantage_map(model, latent, prompts)
    np.testing.assert_allclose(advantage_map(model, latent, prompts[[1, 0]]), -found, atol=1e-5)
    assert np.abs(found).max() > 0
