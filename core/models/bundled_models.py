"""Rows of the catalogue: small models trained by this project, whose weights come with it."""

from __future__ import annotations

from core.models.capabilities import CNN, IMAGE_TEXT_VIT, LATENT, OWN, TEXT_TO_IMAGE, VIT
from core.models.loading import load_any
from core.models.spec import ModelSpec, Source

_VASWANI = "Vaswani et al. 2017, arXiv:1706.03762"
_DOSOVITSKIY = "Dosovitskiy et al. 2021, arXiv:2010.11929"
_RADFORD = "Radford et al. 2021, arXiv:2103.00020"
_ROMBACH = "Rombach et al. 2022, arXiv:2112.10752"

BUNDLED_SPECS = (
    ModelSpec(
        name="vit_p4",
        title="ViT on CIFAR-10",
        family="vit",
        capabilities=VIT,
        licence="trained by this project",
        paper=_DOSOVITSKIY,
        sources=(Source(kind="bundled", location="vit_p4"),),
        load=load_any,
        note="It sees 32 × 32 pixels in patches of 4 and knows ten classes, from airplane to truck. Trained for 30 "
        "epochs with RandAugment.",
    ),
    ModelSpec(
        name="differential_vit_p4",
        title="Differential ViT on CIFAR-10",
        family="differential_vit",
        capabilities=OWN["differential_vit"],
        licence="trained by this project",
        paper="Ye et al. 2024, arXiv:2410.05258",
        sources=(Source(kind="bundled", location="differential_vit_p4"),),
        load=load_any,
        note="It sees 32 × 32 pixels and knows ten classes. Its attention is signed: rows sum to 1 − λ. "
        "Trained like the ViT: 30 epochs with RandAugment, the same seed.",
    ),
    ModelSpec(
        name="cnn_small",
        title="Small CNN on CIFAR-10",
        family="small_cnn",
        capabilities=CNN,
        licence="trained by this project",
        paper="after Jordan 2024, arXiv:2404.00498",
        sources=(Source(kind="bundled", location="cnn_small"),),
        load=load_any,
        note="It sees 32 × 32 pixels and knows ten classes, from airplane to truck.",
    ),
)


def _small_vit(name: str, title: str, note: str, *, positions: bool = True) -> ModelSpec:
    """One row of `SMALL_SPECS`."""
    return ModelSpec(
        name=name,
        title=title,
        family="vit",
        capabilities=VIT if positions else VIT - {"positions"},
        licence="trained by this project",
        paper=_DOSOVITSKIY,
        sources=(Source(kind="bundled", location=name),),
        load=load_any,
        note=f"{note} 96 channels and 8 epochs: one of a row that differ in one thing each, to be compared.",
    )


SMALL_SPECS = (
    _small_vit(
        "vit_small_p4", "Small ViT, patch 4", "Patches of 4 pixels, learned positions: the one to compare with."
    ),
    _small_vit("vit_small_p2", "Small ViT, patch 2", "Patches of 2 pixels: 256 of them instead of 64."),
    _small_vit("vit_small_p8", "Small ViT, patch 8", "Patches of 8 pixels: 16 of them instead of 64."),
    _small_vit(
        "vit_small_learned_2d",
        "Small ViT, positions in rows and columns",
        "Each position is a learned vector of its row beside one of its column.",
    ),
    _small_vit(
        "vit_small_sinusoidal",
        "Small ViT, sinusoidal positions",
        "Positions are fixed waves, not learned.",
    ),
    _small_vit(
        "vit_small_no_positions",
        "Small ViT without positions",
        "It does not know where a patch was: a picture is a bag of patches.",
        positions=False,
    ),
)


def _mixer(name: str, mixes: str, paper: str, note: str) -> ModelSpec:
    """One row of `MIXER_SPECS`."""
    return ModelSpec(
        name=name,
        title=f"Mixer: {mixes}",
        family="mixer",
        capabilities=CNN,
        licence="trained by this project",
        paper=paper,
        sources=(Source(kind="bundled", location=name),),
        load=load_any,
        note=f"{note} One of six networks that differ only in what mixes their 8 × 8 patches, to be compared.",
    )


_DAI = "Dai et al. 2021, arXiv:2106.04803"

MIXER_SPECS = (
    _mixer("mixer_conv", "convolution", _DAI, "Patches read their neighbours by fixed weights."),
    _mixer("mixer_attention", "self-attention", _VASWANI, "Patches read those that resemble what they ask for."),
    _mixer("mixer_post", "post-normalisation", _DAI, "Attention plus a convolution, added after the softmax."),
    _mixer("mixer_pre", "pre-normalisation", _DAI, "Attention with a weight for each offset inside the softmax."),
    _mixer(
        "mixer_modulated_conv",
        "attention-modulated convolution",
        "this project, after Dai et al. 2021, arXiv:2106.04803",
        "A convolution whose taps attention turns up and down.",
    ),
    _mixer(
        "mixer_modulated_attention",
        "convolution-modulated attention",
        "Hou et al. 2022, arXiv:2211.11943",
        "Values are multiplied by a convolution; there is no attention matrix.",
    ),
)


CLIP_SPECS = (
    ModelSpec(
        name="clip_small",
        title="Small CLIP",
        family="open_clip",
        capabilities=IMAGE_TEXT_VIT,
        licence="trained by this project",
        paper=_RADFORD,
        sources=(Source(kind="bundled", location="clip_small"),),
        load=load_any,
        note="It sees 64 × 64 pixels and has met few words: the names of 210 kinds of things, from Tiny-ImageNet and "
        "CIFAR-10, and what WordNet calls their kin. Other labels it can only guess.",
    ),
)


DIFFUSION_SMALL_SPECS = (
    ModelSpec(
        name="diffusion_small",
        title="Small text-to-image diffusion",
        family="diffusers",
        capabilities=TEXT_TO_IMAGE,
        licence="trained by this project",
        paper=f"after {_ROMBACH}",
        sources=(Source(kind="bundled", location="diffusion_small"),),
        load=load_any,
        note="It draws 32 × 32 pixels and knows the ten words of CIFAR-10, from airplane to truck. Other labels mean "
        "little to it.",
    ),
)


def _vae(name: str, title: str, note: str) -> ModelSpec:
    """One row of `VAE_SPECS`."""
    return ModelSpec(
        name=name,
        title=title,
        family="vae",
        capabilities=LATENT,
        licence="trained by this project",
        paper="Kingma & Welling 2014, arXiv:1312.6114",
        sources=(Source(kind="bundled", location=name),),
        load=load_any,
        note=f"{note} It sees and draws grey digits of 28 × 28 pixels.",
    )


VAE_SPECS = (
    _vae("vae_collapsed", "VAE, collapsed", "20 latents and a Gaussian decoder: some of the latents say nothing."),
    _vae("vae_warmup", "VAE with warm-up", "The same, with a KL that begins at nothing, and free bits of 0.05 nats."),
    _vae("vae_bernoulli", "VAE, Bernoulli decoder", "20 latents; pixels are black or white, each with its chance."),
    _vae("vae_2d", "VAE, two latents", "Two latents, to be drawn as a map; a Bernoulli decoder."),
)
