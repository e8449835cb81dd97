"""A text-to-image latent diffusion model small enough to train on a CPU, stored as a `diffusers` pipeline.

`StableDiffusionPipeline.from_pretrained(FOLDER)` loads it and samples from it.

Source: Rombach et al. 2022, arXiv:2112.10752.
Differs from the paper: the autoencoder's encoder is not learned. It is the principal components of square patches,
partly whitened, written into the weights of diffusers' `AutoencoderKL`: latents of unit mean variance that keep a known
share of the pixels' variance, at no training. Its decoder is learned.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.configs import check_options, option
from core.errors import ConfigError
from core.seeding import stream_seed, torch_generator

# What makes the group norm and SiLU before the encoder's last convolution linear: feature maps that carry nothing but
# ±_ANCHOR, so large that every image is divided by the same number; one map that is minus the sum of the image's own,
# so that their mean is zero; and a shift into the range where SiLU is a line.
_EXTRA, _ANCHOR, _SHIFT = 16, 2048.0, 12.0


@dataclass(frozen=True, kw_only=True)
class SmallDiffusionConfig:
    """Autoencoder, text encoder and denoising network."""

    image_size: int = option(32, "Image size", minimum=8, maximum=512, unit="px")
    halvings: int = option(2, "Halvings", "A latent's side is the image's, halved so often.", minimum=1, maximum=4)
    latent_channels: int = option(16, "Latent channels", "Principal components of a patch.", minimum=1, maximum=768)
    whitening: float = option(
        0.5,
        "Whitening",
        "0: components keep their variances, so that coarse ones come out of the noise first. 1: all get the same.",
        minimum=0,
        maximum=1,
    )
    width: int = option(96, "Width", "Channels of the network at the latent's own size.", minimum=16, maximum=1280)
    inner_width: int = option(160, "Inner width", "Channels at half its size.", minimum=16, maximum=1280)
    blocks: int = option(1, "Blocks", "Residual blocks of each level.", minimum=1, maximum=4)
    num_heads: int = option(4, "Heads", minimum=1, maximum=32)
    text_width: int = option(96, "Text width", minimum=16, maximum=1024)
    text_depth: int = option(2, "Text depth", minimum=1, maximum=24)
    text_length: int = option(16, "Text length", "Longest prompt, in tokens.", minimum=8, maximum=77)

    def __post_init__(self) -> None:
        check_options(self)
        if self.image_size % 2 ** (self.halvings + 1):
            raise ConfigError(
                f"Images of {self.image_size} pixels cannot be halved {self.halvings + 1} times.", "Set image_size=32."
            )
        if self.latent_channels > 3 * 4**self.halvings:
            raise ConfigError(
                f"latent_channels is {self.latent_channels}; a patch has {3 * 4**self.halvings} numbers.",
                "Set it no larger.",
            )
        for name, heads in (("width", self.num_heads), ("inner_width", self.num_heads), ("text_width", 4)):
            if getattr(self, name) % (heads * 8):
                raise ConfigError(f"{name} is {getattr(self, name)}; expected a multiple of {heads * 8}.")


@dataclass(frozen=True, kw_only=True)
class PatchComponents:
    """Principal components of square patches, partly whitened.

    Attributes:
        mean: (3 · side²,) of the patches, pixels in [−1, 1], in the order (row, column, channel).
        transform: (components, 3 · side²): latent = transform · (patch − mean), of unit mean variance.
        kept: share of the variance that the components hold.
    """

    mean: np.ndarray
    transform: np.ndarray
    kept: float

    @property
    def side(self) -> int:
        return round((self.transform.shape[1] / 3) ** 0.5)


def fit_components(images: np.ndarray, side: int, components: int, whitening: float = 1.0) -> PatchComponents:
    """Components of the patches of (images, height, width, 3) uint8; a few thousand images are enough.

    `whitening`: a component of variance v gets the variance v^(1 − whitening), times what makes their mean 1.
    """
    count, height, width, _ = images.shape
    pixels = images.astype(np.float64) / 127.5 - 1
    patches = pixels.reshape(count, height // side, side, width // side, side, 3).transpose(0, 1, 3, 2, 4, 5)
    rows = patches.reshape(-1, 3 * side * side)
    mean = rows.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False))
    largest = np.argsort(values)[::-1][:components]
    # A component's sign is arbitrary; fixed, so that the same images give the same latents on every machine.
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))])
    kept = np.maximum(values[largest], 1e-8)
    scale = kept ** (-whitening / 2) / np.sqrt((kept ** (1 - whitening)).mean())
    transform = (vectors * signs)[:, largest] * scale
    return PatchComponents(mean=mean, transform=transform.T, kept=float(values[largest].sum() / values.sum()))


class TextToImage(nn.Module):
    """What is trained: the denoising network with its text encoder, and the autoencoder's decoder."""

    alphas_cumprod: Tensor
    patch_mean: Tensor
    patch_transform: Tensor

    def __init__(
        self, config: SmallDiffusionConfig, components: PatchComponents, *, pieces: int, ends: tuple[int, int, int]
    ) -> None:
        """`pieces` of the tokenizer, and its (padding, start, end) ids."""
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPTextConfig, CLIPTextModel

        super().__init__()
        levels = config.halvings + 1
        self.vae: Any = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=_encoder_widths(config.halvings),
            layers_per_block=1,
            latent_channels=config.latent_channels,
            norm_num_groups=1,
            sample_size=config.image_size,
            scaling_factor=1.0,
            mid_block_add_attention=False,
            use_quant_conv=False,
            use_post_quant_conv=False,
        )
        self.unet: Any = UNet2DConditionModel(
            sample_size=config.image_size // 2**config.halvings,
            in_channels=config.latent_channels,
            out_channels=config.latent_channels,
            block_out_channels=(config.width, config.inner_width),
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            mid_block_type=None,
            layers_per_block=config.blocks,
            cross_attention_dim=config.text_width,
            # In diffusers this argument is the number of heads.
            attention_head_dim=config.num_heads,
            norm_num_groups=16,
            # The prompt also reaches every block with the time, pooled: cross-attention alone learns late to use it.
            addition_embed_type="text",
            addition_embed_type_num_heads=4,
        )
        padding, start, end = ends
        self.text_encoder: Any = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=pieces,
                hidden_size=config.text_width,
                intermediate_size=2 * config.text_width,
                num_hidden_layers=config.text_depth,
                num_attention_heads=4,
                max_position_embeddings=config.text_length,
                pad_token_id=padding,
                bos_token_id=start,
                eos_token_id=end,
                projection_dim=config.text_width,
            )
        )
        self.prediction = "v_prediction"
        self.register_buffer("patch_mean", torch.from_numpy(components.mean).float())
        self.register_buffer("patch_transform", torch.from_numpy(components.transform).float())
        self.register_buffer("alphas_cumprod", torch.from_numpy(cosine_schedule()).float(), persistent=False)
        write_encoder(self.vae, components)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        side = int(self.unet.config.sample_size)
        return int(self.unet.config.in_channels), side, side

    def forward(self, images: Tensor, noise: Tensor, steps: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One step of training.

        Args:
            images: (batch, 3, side, side) in [−1, 1].
            noise: (batch, channels, height, width), standard normal.
            steps: (batch,) int64.
            ids: (batch, length) of the prompts.

        Returns:
            The predicted velocity, what it should be, and the decoded latents of the first images (an eighth of them:
            the decoder sees large maps, and learns in less time than the rest).
        """
        latents = self.encode(images)
        kept = self.alphas_cumprod[steps][:, None, None, None]
        signal, noise_scale = kept.sqrt(), (1 - kept).sqrt()
        states = self.text_encoder(ids)[0]
        predicted = self.unet(signal * latents + noise_scale * noise, steps, encoder_hidden_states=states).sample
        decoded = self.vae.decode(latents[: max(1, len(latents) // 8)]).sample
        return predicted, signal * noise - noise_scale * latents, decoded

    def encode(self, images: Tensor) -> Tensor:
        """What the autoencoder's encoder gives, as the one convolution that it amounts to; always in fp32."""
        side = round((len(self.patch_mean) / 3) ** 0.5)
        kernel = self.patch_transform.unflatten(1, (side, side, 3)).permute(0, 3, 1, 2)
        with torch.autocast(images.device.type, enabled=False):
            return nn.functional.conv2d(
                images.float(), kernel, bias=-(self.patch_transform @ self.patch_mean), stride=side
            )


def cosine_schedule(steps: int = 1000) -> np.ndarray:
    """(steps,) float64 ᾱ of diffusers' `squaredcos_cap_v2` (Nichol & Dhariwal 2021, arXiv:2102.09672)."""
    from diffusers import DDPMScheduler

    scheduler: Any = DDPMScheduler(steps, beta_schedule="squaredcos_cap_v2")
    return np.asarray(scheduler.alphas_cumprod.double())


def _encoder_widths(halvings: int) -> tuple[int, ...]:
    """Channels of each level: enough for all pixels of a square of what the level's strided convolution sorts."""
    widths = [3 * 4 ** (level + 1) + 4 for level in range(halvings)]
    widths[-1] += _EXTRA - 4
    return (*widths, widths[-1])


def write_encoder(vae: Any, components: PatchComponents) -> None:
    """Make the encoder of `vae` the linear map of `components`, and freeze it.

    Residual blocks are made identities, the strided convolutions sort the pixels of a patch into channels, and the last
    convolution is the transform.
    """
    encoder = vae.encoder
    for parameter in encoder.parameters():
        nn.init.zeros_(parameter)
        parameter.requires_grad_(False)
    nn.init.ones_(encoder.conv_norm_out.weight)
    total = encoder.conv_out.in_channels
    first = total - _EXTRA
    anchors = torch.tensor([1.0, -1.0]).repeat(_EXTRA // 2 - 1)
    with torch.no_grad():
        for channel in range(3):
            encoder.conv_in.weight[channel, channel, 1, 1] = 1
        for block in encoder.down_blocks:
            shortcut = block.resnets[0].conv_shortcut
            if shortcut is not None:
                nn.init.dirac_(shortcut.weight)
        channels = 3
        for block in encoder.down_blocks[:-1]:
            convolution = block.downsamplers[0].conv
            # Padded at the right and at the bottom, the kernel's first two rows and columns cover a square of four.
            for row in range(2):
                for column in range(2):
                    for channel in range(channels):
                        convolution.weight[(row * 2 + column) * channels + channel, channel, row, column] = 1
            channels *= 4
        # After the last of them: `convolution` and all zeros from here on would leave these alone.
        convolution.weight[first] = -convolution.weight[:first].sum(dim=0)
        convolution.bias[first + 2 :] = _ANCHOR * anchors
        deviation = _ANCHOR * (len(anchors) / total) ** 0.5
        encoder.conv_norm_out.weight[:first] = deviation
        encoder.conv_norm_out.bias[:first] = _SHIFT
        transform = torch.from_numpy(components.transform[:, _patch_order(components.side)]).float()
        mean = torch.from_numpy(components.mean[_patch_order(components.side)]).float()
        latents = len(transform)
        encoder.conv_out.weight[:latents, :first, 1, 1] = transform
        encoder.conv_out.bias[:latents] = -(transform @ (mean + _SHIFT))
        # The second half of the outputs is the log-variance: no spread.
        encoder.conv_out.bias[latents:] = -30.0


def _patch_order(side: int) -> np.ndarray:
    """For each channel after the strided convolutions: its place in a patch flattened as (row, column, channel)."""
    places = np.arange(3)  # of a single pixel
    reach = 1
    for _ in range(side.bit_length() - 1):
        # The later convolution sorts coarse squares: its offset is the larger one.
        rows, columns, channels = np.unravel_index(places, (reach, reach, 3))
        parts = [
            np.ravel_multi_index((rows + row * reach, columns + column * reach, channels), (2 * reach, 2 * reach, 3))
            for row in range(2)
            for column in range(2)
        ]
        places, reach = np.concatenate(parts), 2 * reach
    return places


@torch.inference_mode()
def sample_images(
    model: TextToImage,
    prompts: Tensor,
    empty: Tensor,
    *,
    each: int,
    steps: int = 25,
    guidance: float = 3.0,
    seed: int = 0,
) -> np.ndarray:
    """Images drawn by the deterministic sampler (Song et al. 2021, arXiv:2010.02502) with classifier-free guidance.

    `prompts`: (prompts, length) ids, `empty`: (length,) → (prompts · each, side, side, 3) uint8, prompt by prompt.
    """
    model.eval()
    device = model.alphas_cumprod.device
    ids = torch.cat([prompts.repeat_interleave(each, dim=0), empty.expand(len(prompts) * each, -1)]).to(device)
    states = model.text_encoder(ids)[0]
    generator = torch_generator(stream_seed("sampled noise", seed))
    latents = torch.randn((len(prompts) * each, *model.latent_shape), generator=generator).to(device)
    places = np.linspace(len(model.alphas_cumprod) - 1, 0, steps).round().astype(int)
    for place, following in zip(places, [*places[1:], -1], strict=True):
        kept = model.alphas_cumprod[place]
        after = model.alphas_cumprod[following] if following >= 0 else torch.ones_like(kept)
        times = torch.full((len(ids),), int(place), device=device)
        velocity = model.unet(latents.repeat(2, 1, 1, 1), times, encoder_hidden_states=states).sample
        prompted, free = velocity.chunk(2)
        velocity = free + guidance * (prompted - free)
        clean = kept.sqrt() * latents - (1 - kept).sqrt() * velocity
        noise = kept.sqrt() * velocity + (1 - kept).sqrt() * latents
        latents = after.sqrt() * clean + (1 - after).sqrt() * noise
    pixels = model.vae.decode(latents).sample.clamp(-1, 1)
    return ((pixels + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def save_pipeline(folder: Path, model: TextToImage, tokenizer: Path, card: Mapping[str, Any]) -> None:
    """Write `model` in fp16 as a pipeline folder with `card.json`; `tokenizer` is a folder of a fast tokenizer."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline
    from transformers import PreTrainedTokenizerFast

    scheduler = DDIMScheduler(
        num_train_timesteps=len(model.alphas_cumprod),
        beta_schedule="squaredcos_cap_v2",
        prediction_type=model.prediction,
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
        # "trailing" does not use it; StableDiffusionPipeline warns of anything else.
        steps_offset=1,
    )
    length = model.text_encoder.config.max_position_embeddings
    # Copies: the model stays where and what it is.
    vae, unet, text_encoder = (copy.deepcopy(part).cpu().half() for part in (model.vae, model.unet, model.text_encoder))
    pipeline: Any = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=PreTrainedTokenizerFast.from_pretrained(tokenizer, model_max_length=length),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    # transformers loads in the precision that this file names, diffusers in fp32; unequal parts do not work together.
    settings = folder / "text_encoder" / "config.json"
    settings.write_text(
        json.dumps({**json.loads(settings.read_text(encoding="utf-8")), "dtype": "float32"}, indent=2) + "\n",
        encoding="utf-8",
    )
    (folder / "card.json").write_text(json.dumps(dict(card), indent=1) + "\n", encoding="utf-8")
