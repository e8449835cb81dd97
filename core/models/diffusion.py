"""Text-to-image latent diffusion pipelines of `diffusers`, taken apart into what an analysis needs.

Source: Rombach et al. 2022, arXiv:2112.10752 (Stable Diffusion); von Platen et al. 2022 (the library).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from core.data.transforms import HALF_NORMALISATION, Preprocessing
from core.device import Precision, autocast, pick_device
from core.errors import IncompatibleError, MissingWeightsError, ShapeError
from core.models.model_folder import has_full_pipeline, has_half_pipeline, read_config
from core.models.spec import Network

_PREDICTIONS = ("epsilon", "v_prediction", "sample")


class LatentDiffusion(nn.Module):
    """Autoencoder, text encoder and denoising network of a pipeline; guidance is never used.

    Attributes:
        alphas_cumprod: (time steps,) float64, ᾱ of the schedule that it was trained with; never in half precision.
        prediction: what the network predicts.
        image_size: pixels per side.
        latent_shape: (channels, height, width).
    """

    def __init__(self, pipeline: Any) -> None:
        super().__init__()
        self.vae, self.unet, self.text_encoder = pipeline.vae, pipeline.unet, pipeline.text_encoder
        self.tokenizer = pipeline.tokenizer
        self.alphas_cumprod = np.asarray(pipeline.scheduler.alphas_cumprod.double())
        self.prediction = str(pipeline.scheduler.config.prediction_type)
        if self.prediction not in _PREDICTIONS:
            raise IncompatibleError(
                f"The network predicts {self.prediction!r}.", f"Expected one of {', '.join(_PREDICTIONS)}."
            )
        self.scaling_factor = float(self.vae.config.scaling_factor)
        self.shift_factor = float(getattr(self.vae.config, "shift_factor", None) or 0.0)
        side = int(self.unet.config.sample_size)
        self.latent_shape = (int(self.unet.config.in_channels), side, side)
        self.image_size = side * 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def device(self) -> torch.device:
        return next(self.unet.parameters()).device

    def embed_prompts(self, prompts: Sequence[str]) -> Tensor:
        """(prompts, length, dim): what the denoising network reads of each prompt, computed once for all time steps."""
        read = self.tokenizer(
            list(prompts),
            padding="max_length",
            truncation=True,
            max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        )
        # As in the pipeline: padding is masked only where the text encoder was trained so.
        masked = getattr(self.text_encoder.config, "use_attention_mask", False)
        mask = read["attention_mask"].to(self.device) if masked else None
        return self.text_encoder(read["input_ids"].to(self.device), attention_mask=mask)[0]

    def encode(self, images: Tensor) -> Tensor:
        """(batch, 3, image_size, image_size) in [−1, 1] → (batch, *latent_shape), the mean of the posterior, scaled.

        Raises:
            ShapeError: images of another size.
        """
        if tuple(images.shape[1:]) != (3, self.image_size, self.image_size):
            raise ShapeError(
                f"This pipeline takes images of shape (3, {self.image_size}, {self.image_size}), "
                f"got {tuple(images.shape[1:])}."
            )
        # Latents are fp32 whatever the weights are: noise is added to them and errors are taken of them.
        mean = self.vae.encode(images.to(self.vae.device, self.vae.dtype)).latent_dist.mean.float()
        return (mean - self.shift_factor) * self.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """`latents`: (batch, *latent_shape) → images (batch, 3, image_size, image_size) in [−1, 1]."""
        scaled = latents / self.scaling_factor + self.shift_factor
        return self.vae.decode(scaled.to(self.vae.dtype)).sample.clamp(-1, 1)

    def denoiser(self, prompts: Tensor, precision: Precision = "fp32") -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """A function from (latents (batch, *latent_shape), time steps (batch,), prompt indices (batch,)) to the noise.

        `prompts` are from `embed_prompts`; whatever the network predicts comes back as predicted noise in fp32.
        """

        def predict(latents: Tensor, steps: Tensor, which: Tensor) -> Tensor:
            with torch.inference_mode(), autocast(self.device, precision):
                states = prompts[which].to(self.unet.dtype)
                predicted = self.unet(latents.to(self.unet.dtype), steps, encoder_hidden_states=states).sample
            return self.to_noise(predicted.float(), latents.float(), steps)

        return predict

    def to_noise(self, predicted: Tensor, latents: Tensor, steps: Tensor) -> Tensor:
        """The noise that a prediction at `steps` (batch,) means: itself, or computed from v or the clean latent."""
        if self.prediction == "epsilon":
            return predicted
        kept = torch.from_numpy(self.alphas_cumprod)[steps.cpu()].to(latents.device, torch.float32)[:, None, None, None]
        if self.prediction == "v_prediction":
            return kept.sqrt() * predicted + (1 - kept).sqrt() * latents
        return (latents - kept.sqrt() * predicted) / (1 - kept).sqrt()


def load_diffusers(folder: str | Path) -> Network:
    """The pipeline in a local folder with `model_index.json`; weights are safetensors, and no code from it is run.

    On a CUDA GPU files in half precision are loaded as they are, if there are any; elsewhere the full ones are
    preferred, and half ones are read as fp32. Noise schedule, latents and errors are fp32 or better everywhere.

    Raises:
        MissingWeightsError: parts are missing or damaged.
        IncompatibleError: no text-to-image pipeline with one text encoder and an autoencoder of images.
    """
    from diffusers import StableDiffusionPipeline

    folder = Path(folder)
    index = read_config(folder, "model_index.json")
    name = str(index.get("_class_name"))
    if name != "StableDiffusionPipeline":
        raise IncompatibleError(
            f"{folder.name} is a {name}.", "Expected a StableDiffusionPipeline, for example Stable Diffusion 1 or 2."
        )
    on_gpu = pick_device().type == "cuda"
    half = has_half_pipeline(folder) and (on_gpu or not has_full_pipeline(folder))
    try:
        pipeline: Any = StableDiffusionPipeline.from_pretrained(
            str(folder),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float16 if half and on_gpu else torch.float32,
            variant="fp16" if half else None,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingWeightsError(f"{folder.name} cannot be loaded by diffusers: {first}") from error
    module = LatentDiffusion(pipeline).eval()
    # What the pipeline's own image processor does with a photo: no part of it is cut off.
    preprocessing = Preprocessing(
        size=module.image_size,
        normalisation=HALF_NORMALISATION,
        resample=pipeline.image_processor.config.resample,
        framing="squash",
    )
    return Network(module=module, preprocessing=preprocessing)
