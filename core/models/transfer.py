"""The architecture of another network, rebuilt for other classes; `core.models.backbones` fills it.

The result is the ordinary adapter of its architecture, so that every view that works with the original works with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from core.configs import check_options, option
from core.errors import IncompatibleError, UnknownNameError

TransferLayout = Literal["own", "torchvision", "timm", "transformers"]


@dataclass(frozen=True, kw_only=True)
class TransferConfig:
    """How to build the network again without the original's files.

    Attributes:
        layout: which library builds it.
        architecture: what that library needs to know: family and config of ours, a builder's name, or the library's
            own configuration.
        classes: of the new head.
        image_size: side of the square input, in pixels.
        capabilities: what the network can be asked (`core.models.spec.Capability`).
        backbone: the name under which the original was opened.
    """

    layout: TransferLayout
    architecture: dict[str, Any]
    classes: int = option(10, "Classes", minimum=1)
    image_size: int = option(224, "Image size", minimum=1)
    capabilities: tuple[str, ...]
    backbone: str = ""

    def __post_init__(self) -> None:
        check_options(self)


def build_transfer(config: TransferConfig) -> nn.Module:
    """A freshly initialised network of the architecture, in the adapter of its library.

    Raises:
        IncompatibleError: the library no longer builds it.
    """
    return _BUILDERS[config.layout](config)


def head_parameters(module: nn.Module) -> set[str]:
    """Names of the parameters of the classifier itself, the last linear layer.

    Raises:
        IncompatibleError: there is none.
    """
    heads = [each for each in (_find_heads(module)) if isinstance(each, nn.Linear)]
    if not heads:
        raise IncompatibleError(f"{type(module).__name__} has no linear head to replace.", "Choose another backbone.")
    ids = {id(parameter) for head in heads for parameter in head.parameters()}
    return {name for name, parameter in module.named_parameters() if id(parameter) in ids}


def head_of(module: nn.Module) -> nn.Linear:
    """The classifier itself."""
    head_parameters(module)
    return _find_heads(module)[0]  # type: ignore[return-value]


def _find_heads(module: Any) -> list[nn.Module]:
    inner: Any = getattr(module, "model", None)
    if hasattr(module, "heads"):  # transformers
        return list(module.heads)
    if hasattr(inner, "get_classifier"):  # timm
        return [inner.get_classifier()]
    if isinstance(getattr(module, "head", None), nn.Linear):  # ours
        return [module.head]
    linears: list[nn.Module] = [each for each in module.modules() if isinstance(each, nn.Linear)]
    return linears[-1:]


def _build_own(config: TransferConfig) -> nn.Module:
    from core.models.families import OWN_FAMILIES, build_family

    changes = {"classes": config.classes, "image_size": config.image_size}
    return build_family(OWN_FAMILIES, config.architecture["family"], {**config.architecture["config"], **changes})


def _build_torchvision(config: TransferConfig) -> nn.Module:
    from torchvision import models

    from core.models.cnn import ConvolutionalClassifier
    from core.models.torchvision_weights import convolutional_builders

    builder = config.architecture["builder"]
    if builder not in convolutional_builders():
        raise UnknownNameError("convolutional torchvision model", builder, convolutional_builders())
    options: dict[str, Any] = {}
    if builder in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": False}
    return ConvolutionalClassifier(models.get_model(builder, weights=None, num_classes=config.classes, **options))


def _build_timm(config: TransferConfig) -> nn.Module:
    from core.models.timm_folder import adapt, build_timm

    arguments = {**(config.architecture.get("model_args") or {}), "num_classes": config.classes}
    return adapt(build_timm({**config.architecture, "model_args": arguments}))


def _build_transformers(config: TransferConfig) -> nn.Module:
    from transformers import AutoConfig, AutoModelForImageClassification

    from core.models.transformers_trial import adapt

    values = dict(config.architecture)
    settings = AutoConfig.for_model(values.pop("model_type"), **values)
    settings.num_labels = config.classes
    try:
        return adapt(AutoModelForImageClassification.from_config(settings).eval())
    except ValueError as error:
        raise IncompatibleError(
            f"transformers has no classifier of this kind: {error}", "Choose another backbone."
        ) from error


_BUILDERS = {
    "own": _build_own,
    "torchvision": _build_torchvision,
    "timm": _build_timm,
    "transformers": _build_transformers,
}
