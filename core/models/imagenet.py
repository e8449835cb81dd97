"""The names of ImageNet's 1000 classes, in logit order, without a network."""

from __future__ import annotations


def imagenet_classes() -> tuple[str, ...]:
    """The 1000 class names as torchvision ships them beside its weights."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def class_names(count: int) -> tuple[str, ...]:
    """Names for a checkpoint that does not say: ImageNet's if there are 1000 classes, else numbers."""
    return imagenet_classes() if count == 1000 else tuple(f"class {index}" for index in range(count))
