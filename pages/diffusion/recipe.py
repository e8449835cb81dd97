"""One photo classified by denoising. Run it in Vitrine's folder: python diffusion.py"""

from typing import Any

import torch

from core.data.pictures import open_picture
from core.data.prompts import prompts_for
from core.data.transforms import to_batch
from core.methods.diffusion.diffusion_classifier import classify, excess_error
from core.methods.diffusion.sampling_plan import Plan
from core.models.weights import load

# --- Settings ---
MODEL = "diffusion_small"
IMAGE = "example:cat"  # or data:DATASET/SPLIT/SEED/PLACE, or the file of a picture
LABELS = ["cat", "ship", "horse"]
TEMPLATE = "a photo of a {}."
PLAN: dict[str, Any] = {"samples": 24}  # what is not usual about it
# --- End of settings ---

model = load(MODEL)
pipeline: Any = model.module
with torch.inference_mode():
    latent = pipeline.encode(to_batch([open_picture(IMAGE)], model.network.preprocessing))[0]
    prompts = pipeline.embed_prompts(prompts_for(LABELS, [TEMPLATE]))
network, known = pipeline.denoiser(prompts), pipeline.differences  # what was learned of its time steps, or None
for found in classify(network, latent, len(LABELS), pipeline.alphas_cumprod, Plan(**PLAN), covariance=known):
    print(found.step, "samples,", len(found.alive), "left, first:", LABELS[found.predicted])
(mean, half_width), samples = excess_error(found), found.samples
for index in found.order():
    last = samples[index] - 1
    behind, width = mean[last, index], half_width[last, index]
    print(f"{LABELS[index]:30} {behind:+7.2%} ± {width:.2%} after {last + 1} samples")
print(found.calls, "calls,", round(found.seconds, 1), "seconds")
