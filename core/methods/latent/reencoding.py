"""Pictures through encoder and decoder, once or again and again: what is kept, and where it drifts to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core.data.transforms import HALF_NORMALISATION, Preprocessing, crop_to_square
from core.errors import ConfigError
from core.methods.latent.passes import pixel_batches
from core.models.vae import VAE, VAEConfig, prepare

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Reencoded:
    """Pictures, and what is left of them after one pass, after two, and so on; no noise is added.

    Attributes:
        pictures: (passes + 1, images, height, width, channels) in [0, 1]; the first are what the model is given: where
            it takes black and white, that.
        latents: (passes, images, latent_dim): the posterior means of the pictures before each pass.
        squared_error: (passes, images) ‖first picture − picture after the pass‖².
        drift: (passes − 1, images) how far the means have moved since the pass before.
    """

    pictures: np.ndarray
    latents: np.ndarray
    squared_error: np.ndarray
    drift: np.ndarray


@torch.inference_mode()
def reencode(model: VAE, images: Any, passes: int = 1) -> Reencoded:
    """Encode, decode the mean, encode the decoded picture, and so on.

    Args:
        images: (images, height, width, channels) uint8.
        passes: 1 is a plain reconstruction.

    Raises:
        ConfigError: no pass was asked for.
        ShapeError: the model takes another size or another number of channels.
    """
    if passes < 1:
        raise ConfigError(f"{passes} passes leave every picture as it is.", "Take one or more.")
    pictures: list[list[np.ndarray]] = [[] for _ in range(passes + 1)]
    latents: list[list[np.ndarray]] = [[] for _ in range(passes)]
    for _, pixels in pixel_batches(model, images):
        current = prepare(model.config, pixels)
        pictures[0].append(_array(current))
        for number in range(passes):
            means = model.encode(current).mean
            current = model.mean_image(model.decode(means))
            latents[number].append(means.float().cpu().numpy())
            pictures[number + 1].append(_array(current))
    shown = np.stack([np.concatenate(each) for each in pictures])
    means_of = np.stack([np.concatenate(each) for each in latents])
    return Reencoded(
        pictures=shown,
        latents=means_of,
        squared_error=((shown[1:] - shown[0]) ** 2).sum(axis=(2, 3, 4)),
        drift=np.linalg.norm(np.diff(means_of, axis=0), axis=-1),
    )


def fit_pictures(pictures: Sequence[Image.Image], config: VAEConfig) -> np.ndarray:
    """Photos of any size as a model takes them: (images, height, width, channels) uint8, cut square, grey if need be.

    Raises:
        ConfigError: the model has neither one channel nor three.
    """
    if config.channels not in (1, 3):
        raise ConfigError(
            f"This VAE takes {config.channels} channels; photos have three, or one in grey.",
            "Choose a model of one or three channels.",
        )
    square = Preprocessing(size=config.image_size, normalisation=HALF_NORMALISATION)
    mode = "L" if config.channels == 1 else "RGB"
    found = [np.asarray(crop_to_square(picture, square).convert(mode)) for picture in pictures]
    return np.stack(found).reshape(len(found), config.image_size, config.image_size, config.channels)


def _array(pixels: torch.Tensor) -> np.ndarray:
    return pixels.permute(0, 2, 3, 1).float().cpu().numpy()
