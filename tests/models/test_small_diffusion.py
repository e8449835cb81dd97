"""The small pipeline: an encoder that is a linear map, and a folder that diffusers itself opens and draws with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.data import tokenizer as small_tokenizer
from core.errors import ConfigError
from core.models.small_diffusion import (
    SmallDiffusionConfig,
    TextToImage,
    fit_components,
    sample_images,
    save_pipeline,
)
from core.models.weights import load

TINY = SmallDiffusionConfig(
    image_size=16, latent_channels=6, width=32, inner_width=32, text_width=32, text_depth=1, text_length=8
)


def pictures(count: int, side: int = 16, seed: int = 0) -> np.ndarray:
    """Smooth random images, so that a few components hold most of the variance."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, side // 4, side // 4, 3)).astype(np.float32)
    smooth = torch.nn.functional.interpolate(
        torch.from_numpy(coarse).permute(0, 3, 1, 2), (side, side), mode="bicubic", antialias=True
    )
    return smooth.clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def tiny(config: SmallDiffusionConfig = TINY) -> TextToImage:
    torch.manual_seed(0)
    side = 2**config.halvings
    components = fit_components(pictures(200, config.image_size), side, config.latent_channels)
    return TextToImage(config, components, pieces=small_tokenizer.PIECES, ends=(0, 1, 2)).eval()


@pytest.mark.parametrize("halvings", [1, 2])
def test_the_encoder_is_the_whitened_components_of_each_patch(halvings: int) -> None:
    side = 2**halvings
    images = pictures(200)
    components = fit_components(images, side, 6)
    config = SmallDiffusionConfig(**{**vars(TINY), "halvings": halvings})
    model = tiny(config)
    pixels = torch.from_numpy(images[:8]).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        through_the_vae, directly = model.vae.encode(pixels).latent_dist.mean, model.encode(pixels)
    grid = 16 // side
    patches = (images[:8] / 127.5 - 1).reshape(8, grid, side, grid, side, 3).transpose(0, 1, 3, 2, 4, 5)
    rows = patches.reshape(8, grid, grid, -1) - components.mean
    expected = np.einsum("nhwp,cp->nchw", rows, components.transform)
    np.testing.assert_allclose(directly.numpy(), expected, atol=1e-3)
    np.testing.assert_allclose(through_the_vae.numpy(), expected, atol=2e-2)


def test_latents_have_the_variances_asked_for_and_the_share_kept_is_the_residual() -> None:
    images = pictures(300)
    components = fit_components(images, 4, 12)
    patches = (images / 127.5 - 1).reshape(300, 4, 4, 4, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 48)
    latents = (patches - components.mean) @ components.transform.T
    np.testing.assert_allclose(np.cov(latents, rowvar=False), np.eye(12), atol=1e-6)
    for whitening in (0.0, 0.5):
        partly = fit_components(images, 4, 12, whitening)
        variances = np.diag(np.cov((patches - partly.mean) @ partly.transform.T, rowvar=False))
        assert variances.mean() == pytest.approx(1)
        plain = np.sort(np.linalg.eigvalsh(np.cov(patches, rowvar=False)))[::-1][:12]
        expected = plain ** (1 - whitening)
        np.testing.assert_allclose(variances, expected / expected.mean(), rtol=1e-6)
    rebuilt = latents @ np.linalg.pinv(components.transform).T + components.mean
    lost = ((patches - rebuilt) ** 2).sum() / ((patches - patches.mean(axis=0)) ** 2).sum()
    assert components.kept == pytest.approx(1 - lost, abs=1e-6)


def test_a_step_predicts_the_velocity_and_only_what_learns_gets_gradients() -> None:
    model = tiny().train()
    images = torch.rand(8, 3, 16, 16) * 2 - 1
    noise, steps, ids = torch.randn(8, *model.latent_shape), torch.arange(8) * 100, torch.randint(3, 99, (8, 8))
    predicted, velocity, decoded = model(images, noise, steps, ids)
    kept = model.alphas_cumprod[steps][:, None, None, None]
    latents = model.encode(images)
    noised = kept.sqrt() * latents + (1 - kept).sqrt() * noise
    # v = √ᾱ ε − √(1−ᾱ) z, so √ᾱ z_t − √(1−ᾱ) v is z again.
    torch.testing.assert_close(kept.sqrt() * noised - (1 - kept).sqrt() * velocity, latents, rtol=1e-3, atol=1e-3)
    (predicted.square().mean() + decoded.square().mean()).backward()
    without = {name for name, each in model.named_parameters() if each.requires_grad and each.grad is None}
    assert not without
    assert not [name for name, each in model.named_parameters() if "vae.encoder" in name and each.requires_grad]


def test_diffusers_opens_the_folder_and_draws(tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline

    model = tiny()
    save_pipeline(tmp_path, model, small_tokenizer.ASSET, {"title": "Tiny"})
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline(
        "a photo of a cat.", num_inference_steps=3, generator=torch.Generator().manual_seed(0), output_type="np"
    )
    assert drawn.images.shape == (1, 16, 16, 3)
    # And ours opens it, with the same latents and the same noise as what was saved (in fp16).
    module: Any = load(f"folder:{tmp_path}").module
    images = torch.from_numpy(pictures(4, seed=1)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        torch.testing.assert_close(module.encode(images), model.encode(images), atol=5e-2, rtol=5e-2)
        ids = torch.from_numpy(small_tokenizer.encode_texts(["a photo of a cat."], 8))
        prompts = module.embed_prompts(["a photo of a cat."])
        torch.testing.assert_close(prompts, model.text_encoder(ids)[0], atol=2e-2, rtol=2e-2)
        latents, steps = torch.randn(1, *model.latent_shape), torch.tensor([400])
        velocity = model.unet(latents, steps, encoder_hidden_states=prompts).sample
        kept = model.alphas_cumprod[400]
        expected = kept.sqrt() * velocity + (1 - kept).sqrt() * latents
        torch.testing.assert_close(
            module.denoiser(prompts)(latents, steps, torch.tensor([0])), expected, atol=3e-2, rtol=3e-2
        )


def test_samples_are_images_and_the_same_for_the_same_seed() -> None:
    model = tiny()
    ids = torch.from_numpy(small_tokenizer.encode_texts(["cat", "dog", ""], 8))
    first, again = (sample_images(model, ids[:2], ids[2], each=3, steps=4) for _ in range(2))
    assert first.shape == (6, 16, 16, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [({"image_size": 20}, "halved"), ({"latent_channels": 60}, "patch has 48"), ({"width": 40}, "multiple of")],
)
def test_what_cannot_be_built(change: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SmallDiffusionConfig(**change)
