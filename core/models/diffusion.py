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
from core.models.denoising_differences import DifferenceCovariance, read_covariance
from core.models.file_kind import check_weight_file
from core.models.model_folder import (
    check_pipeline,
    explain_missing,
    has_full_pipeline,
    has_half_pipeline,
    weight_files,
)
from core.models.spec import Network
from core.models.tokenizer_check import check_tokenizer

_PREDICTIONS = ("epsilon", "v_prediction", "sample")


class LatentDiffusion(nn.Module):
    """Autoencoder, text encoder and denoising network of a pipeline; guidance is never used.

    Attributes:
        alphas_cumprod: (time steps,) float64, ᾱ of the schedule that it was trained with; never in half precision.
        prediction: what the network predicts.
        image_size: pixels per side.
        latent_shape: (channels, height, width).
        differences: how its errors under two prompts differ along the schedule; None where nobody has learned it.
    """

    def __init__(self, pipeline: Any, differences: DifferenceCovariance | None = None) -> None:
        super().__init__()
        self.differences = differences
        self.vae, self.unet, self.text_encoder = pipeline.vae, pipeline.unet, pipeline.text_encoder
        self.tokenizer = pipeline.tokenizer
        _check_parts(pipeline)
        self.alphas_cumprod = np.asarray(pipeline.scheduler.alphas_cumprod.double())
        self.prediction = str(pipeline.scheduler.config.prediction_type)
        if self.prediction not in _PREDICTIONS:
            raise IncompatibleError(
                f"The network predicts {self.prediction!r}.", f"Expected one of {', '.join(_PREDICTIONS)}."
            )
        self.scaling_factor = float(self.vae.config.scaling_factor)
        self.shift_factor = float(getattr(self.vae.config, "shift_factor", None) or 0.0)
        # Tokenizers of some folders name no length, which then is a number of thirty digits.
        positions = int(self.text_encoder.config.max_position_embeddings)
        self.context_length = int(min(self.tokenizer.model_max_length, positions))
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
            max_length=self.context_length,
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

    def computes_in(self, precision: Precision) -> Precision:
        """What a wish for `precision` comes to: weights in half precision compute in their own.

        Autocast would turn them into another format before every product: slower, and with fewer digits.
        """
        return precision if self.unet.dtype == torch.float32 else "fp16"

    def denoiser(self, prompts: Tensor, precision: Precision = "fp32") -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """A function from (latents (batch, *latent_shape), time steps (batch,), prompt indices (batch,)) to the noise.

        `prompts` are from `embed_prompts`; whatever the network predicts comes back as predicted noise in fp32.
        """
        # diffusers looks for it among all weights: half a millisecond each time, 4 % of a classification.
        dtype = self.unet.dtype
        mixed: Precision = precision if dtype == torch.float32 else "fp32"

        def predict(latents: Tensor, steps: Tensor, which: Tensor) -> Tensor:
            with torch.inference_mode(), autocast(latents.device, mixed):
                states = prompts[which].to(dtype)
                predicted = self.unet(latents.to(dtype), steps, encoder_hidden_states=states).sample
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


def _check_parts(pipeline: Any) -> None:
    """Refuse parts that do not denoise latents of images as Stable Diffusion does.

    Raises:
        IncompatibleError: another kind of noise schedule, or a network that is given more than a noisy latent.
    """
    scheduler = type(pipeline.scheduler).__name__
    if not isinstance(getattr(pipeline.scheduler, "alphas_cumprod", None), Tensor):
        raise IncompatibleError(
            f"Its {scheduler} has no schedule of noise levels (alphas_cumprod), as flow matching has none.",
            "Expected a pipeline with a schedule as DDIM, DDPM, PNDM, Euler or DPM-Solver have it.",
        )
    given, latent = int(pipeline.unet.config.in_channels), int(pipeline.vae.config.latent_channels)
    if given != latent:
        raise IncompatibleError(
            f"Its network is given {given} channels, of which {latent} are the latent: it fills in or edits pictures.",
            "Choose a pipeline from text to image.",
        )
    if not isinstance(pipeline.unet.config.sample_size, int):
        raise IncompatibleError("Its latents are not square, or of no fixed size.", "Choose a pipeline of squares.")


def load_diffusers(folder: str | Path) -> Network:
    """The pipeline in a local folder with `model_index.json`; weights are safetensors, and no code from it is run.

    On a CUDA GPU files in half precision are loaded as they are, if there are any; elsewhere the full ones are
    preferred, and half ones are read as fp32. Noise schedule, latents and errors are fp32 or better everywhere.

    Raises:
        CoreError: what was learned of its differences cannot be read.
        MissingWeightsError: parts are missing or damaged.
        IncompatibleError: no text-to-image pipeline with one text encoder and an autoencoder of images.
    """
    from diffusers import StableDiffusionPipeline

    folder = Path(folder)
    check_pipeline(folder)
    files = weight_files(folder)
    if not files:
        raise MissingWeightsError(*explain_missing(folder))
    for file in files:
        check_weight_file(file)
    on_gpu = pick_device().type == "cuda"
    half = has_half_pipeline(folder) and (on_gpu or not has_full_pipeline(folder))
    # A `.bin` is a pickle, of which both libraries read the tensors alone (weights_only).
    pickled = any(file.suffix == ".bin" for file in weight_files(folder, half=half))
    try:
        pipeline: Any = StableDiffusionPipeline.from_pretrained(
            str(folder),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            local_files_only=True,
            use_safetensors=None if pickled else True,
            dtype=torch.float16 if half and on_gpu else torch.float32,
            variant="fp16" if half else None,
        )
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        ImportError,
        AttributeError,
        SafetensorError,
    ) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingWeightsError(f"{folder.name} cannot be loaded by diffusers: {first}") from error
    tokenizer, vocabulary = pipeline.tokenizer, int(pipeline.text_encoder.config.vocab_size)
    check_tokenizer(lambda text: tokenizer(text)["input_ids"], len(tokenizer), vocabulary, folder.name)
    module = LatentDiffusion(pipeline, read_covariance(folder)).eval()
    # What the pipeline's own image processor does with a photo: no part of it is cut off.
    preprocessing = Preprocessing(
        size=module.image_size,
        normalisation=HALF_NORMALISATION,
        resample=pipeline.image_processor.config.resample,
        framing="squash",
    )
    return Network(module=module, preprocessing=preprocessing)
