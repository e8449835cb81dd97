"""The small pipeline in `checkpoints/`: opened by diffusers as it is, small, and it names what it samples."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from core.data.prompts import fill_template
from core.methods.diffusion.diffusion_classifier import classify
from core.methods.diffusion.sampling_plan import Plan
from core.models.weights import load
from core.paths import BUNDLED
from core.reports import finish

FOLDER = BUNDLED / "diffusion_small"


def test_the_folder_is_small_and_says_how_it_was_made_and_tested() -> None:
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) <= 18e6
    metrics = json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))["metrics"]
    low, high = metrics["test_interval_95"]
    assert low <= metrics["test_accuracy"] <= high
    assert metrics["test_count"] >= 500
    assert {row["model"] for row in metrics["test_compared"]} == {"clip_small", "cnn_small"}


@pytest.mark.slow
def test_it_names_the_pictures_that_diffusers_draws_with_it() -> None:
    from diffusers import StableDiffusionPipeline

    card = json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))
    prompts = [fill_template(card["prompt"], name) for name in card["classes"]]
    pipeline: Any = StableDiffusionPipeline.from_pretrained(FOLDER, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline(
        prompts, num_inference_steps=20, guidance_scale=4.0, generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).images  # fmt: skip
    assert drawn.shape == (len(prompts), 32, 32, 3)
    module: Any = load("diffusion_small").module
    images = torch.from_numpy(drawn).permute(0, 3, 1, 2) * 2 - 1
    with torch.inference_mode():
        latents, denoise = module.encode(images), module.denoiser(module.embed_prompts(prompts))
    classifications = [
        finish(classify(denoise, latent, len(prompts), module.alphas_cumprod, Plan(samples=40))) for latent in latents
    ]
    named = np.array([classification.predicted for classification in classifications])
    assert (named == np.arange(len(prompts))).mean() >= 0.7
