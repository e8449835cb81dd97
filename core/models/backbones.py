"""A network with another network's weights and a new head: the architecture rebuilt for other classes, then filled.

The result is the ordinary adapter of its architecture, so that every view that works with the original works with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.data.transforms import IMAGENET_NORMALISATION, Normalisation
from core.errors import ConfigError, IncompatibleError, UnknownNameError
from core.models.catalogue import MODELS, find_model
from core.models.model_folder import find_layout, read_config
from core.models.transfer import TransferConfig, TransferLayout, build_transfer, head_parameters
from core.models.weights import load, resolve


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """An original and how to build it for other classes.

    Attributes:
        module: the original with its weights; None where only its architecture was asked for.
        config: for its own number of classes and image size.
    """

    title: str
    module: nn.Module | None
    normalisation: Normalisation
    config: TransferConfig


def open_backbone(name: str, *, pretrained: bool = True) -> Backbone:
    """The backbone called `name`: a model of the catalogue, `run:`, `folder:` or `hub:`, or a builder of torchvision.

    Without `pretrained`, builders of torchvision need no weights on this machine.

    Raises:
        UnknownNameError: nothing has this name.
        OfflineError: torchvision's weights have to be downloaded and the network does not answer.
        MissingWeightsError: the weights are not here; the remedy says how to get them.
        IncompatibleError: the architecture cannot get another head.
    """
    from core.models.cnn import load_torchvision
    from core.models.torchvision_weights import convolutional_builders

    builder = name if ":" not in name and name in convolutional_builders() else None
    if builder is None and ":" not in name and name not in MODELS:
        raise UnknownNameError("backbone", name, [*MODELS, *convolutional_builders()])
    if builder is not None:
        title = MODELS[name].title if name in MODELS else name
        config = TransferConfig(
            layout="torchvision", architecture={"builder": builder}, classes=1000, image_size=224,
            capabilities=("classifier", "convolution"), backbone=name,
        )  # fmt: skip
        if not pretrained:
            return Backbone(title=title, module=None, normalisation=IMAGENET_NORMALISATION, config=config)
        network = load(name, "cpu").network if name in MODELS else load_torchvision(f"{name}.IMAGENET1K_V1")
        config = replace(config, image_size=network.preprocessing.size)
    else:
        model = load(name, "cpu")  # in full precision: it is to be trained
        network, title = model.network, model.spec.title
        layout, architecture = _describe(name, network.module)
        config = TransferConfig(
            layout=layout, architecture=architecture, classes=max(1, len(network.classes)),
            image_size=network.preprocessing.size, backbone=name,
            capabilities=tuple(sorted({*model.spec.capabilities, "classifier"})),
        )  # fmt: skip
    return Backbone(
        title=title,
        module=network.module if pretrained else None,
        normalisation=network.preprocessing.normalisation,
        config=config,
    )


def for_classes(backbone: Backbone, classes: int, image_size: int) -> tuple[nn.Module, TransferConfig]:
    """A network for `classes` with the backbone's weights, if it has any, everywhere but in the new head.

    Raises:
        ConfigError: this architecture takes images of one size only.
        IncompatibleError: weights other than the head's do not fit.
    """
    fixed = backbone.config.layout == "timm" and "attention" in backbone.config.capabilities
    fixed = fixed or (backbone.config.layout == "own" and "attention" in backbone.config.capabilities)
    if fixed and image_size != backbone.config.image_size:
        raise ConfigError(
            f"{backbone.title} takes images of {backbone.config.image_size} pixels only.",
            f"Set image_size={backbone.config.image_size} or 0.",
        )
    config = replace(backbone.config, classes=classes, image_size=image_size)
    module = build_transfer(config)
    if backbone.module is not None:
        _transplant(backbone.module, module, backbone.title)
    return module, config


def _describe(name: str, module: Any) -> tuple[TransferLayout, dict[str, Any]]:
    """Layout and architecture of a loaded model."""
    location = resolve(find_model(name))
    layout = find_layout(Path(location)) if not isinstance(location, str) or Path(location).exists() else "torchvision"
    if layout == "own":
        card = read_config(Path(location), "card.json")
        if card["family"] == "transfer":
            return card["config"]["layout"], card["config"]["architecture"]
        return "own", {"family": card["family"], "config": card["config"]}
    if layout == "timm":
        config = read_config(Path(location))
        return "timm", {key: config[key] for key in ("architecture", "model_args", "global_pool") if key in config}
    if layout == "transformers":
        names = ("id2label", "label2id")
        return "transformers", {key: value for key, value in module.config.to_diff_dict().items() if key not in names}
    if isinstance(location, str):
        return "torchvision", {"builder": location.partition(".")[0]}
    from core.models.cnn import identify
    from core.models.state_dict import read_state_dict

    return "torchvision", {"builder": identify(read_state_dict(Path(location)), hint=Path(location).stem)[0]}


@torch.no_grad()
def _transplant(source: nn.Module, target: nn.Module, title: str) -> None:
    """Copy all that is not head from `source`; classifiers of transformers keep their backbone under another name."""
    head = head_parameters(target)
    given = source.state_dict()
    if (inner := getattr(source, "model", None)) is not None and hasattr(inner, "base_model"):
        given = {f"{_base_prefix(target)}{name}": tensor for name, tensor in inner.base_model.state_dict().items()}
    missing = []
    for name, tensor in target.state_dict().items():
        if name in head:
            continue
        if name not in given or given[name].shape != tensor.shape:
            missing.append(name)
        else:
            tensor.copy_(given[name])
    if missing:
        raise IncompatibleError(
            f"{title} has no weights for {missing[0]}" + (f" and {len(missing) - 1} more." if missing[1:] else "."),
            "Choose another backbone.",
        )


def _base_prefix(module: Any) -> str:
    """Where a classifier of transformers keeps its backbone."""
    model = module.model
    return next((f"model.{name}." for name, part in model.named_children() if part is model.base_model), "model.")
