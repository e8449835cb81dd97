"""The names of ImageNet's 1000 classes, in logit order, without a network."""

from __future__ import annotations


def imagenet_classes() -> tuple[str, ...]:
    """The 1000 class names as torchvision ships them beside its weights."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
