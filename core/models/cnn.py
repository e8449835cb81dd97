"""Convolutional classifiers of torchvision and timm behind our contract, for Grad-CAM and comparisons with ViTs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.data.transforms import IMAGENET_NORMALISATION, Normalisation, Preprocessing
from core.errors import IncompatibleError, MissingWeightsError, ShapeError
from core.models.capture import captured
from core.models.imagenet import class_names
from core.models.model_folder import WEIGHT_FILES
from core.models.spec import Network
from core.models.state_dict import fill, read_state_dict, without_root
from core.models.torchvision_weights import cached_weights, convolutional_builders, fetch_weights, find_weights
from core.models.untraceable import Untraceable

# What torchvision's families call their last convolutional stage.
_STAGES = ("layer4", "features", "trunk_output", "conv5", "layers", "inception5b", "Mixed_7c")
_POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Dropout)
# Attention models among torchvision's classifiers.


class ConvolutionalClassifier(Untraceable):
    """A convolutional network whose last feature maps can be read with the computation graph attached."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        # timm's networks come with the cut that torchvision's have to be given.
        self.cuts_itself = hasattr(model, "forward_features") and hasattr(model, "forward_head")
        linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
        # In a tuple, a module stays out of this module's own children and state dict.
        self.stage = () if self.cuts_itself else (_last_stage(model),)
        self.head = tuple(linears[-1:])
        first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
        self.image_channels = first.in_channels if first is not None else 3
        attends = any(re.search("attention|attn", type(module).__name__.lower()) for module in model.modules())
        # As the end of a sentence.
        self.lacks_attention = (
            "its attention is of a build that is not read here" if attends else "it has no attention layers"
        )

    def forward(self, images: Tensor) -> Tensor:
        """`images`: (batch, channels, height, width), normalised → logits (batch, classes).

        Raises:
            ShapeError: pictures of other channels or another size than the network takes.
        """
        with self._checked(images):
            return self.model(images)

    def embed(self, images: Tensor) -> Tensor:
        """The image as one vector, (batch, dim): what the last linear layer reads, or the mean of the maps."""
        return self._run(images)[2]

    def trace_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The last convolutional feature maps (batch, channels, height, width), and the logits computed from them.

        For VGG and AlexNet the maps before the last pooling, as in the Grad-CAM paper; gradients of the logits with
        respect to the maps exist wherever gradients are enabled.

        Raises:
            IncompatibleError: the network has no such maps.
        """
        maps, logits, _ = self._run(images)
        channels_last = self.cuts_itself and maps.shape[1] != self.model.num_features
        if maps.ndim != 4 or channels_last:
            raise IncompatibleError(
                f"The last stage gives {tuple(maps.shape)}, not (batch, channels, height, width).",
                "Choose a convolutional network.",
            )
        return maps, logits

    def _run(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps, logits and embedding of one pass."""
        with self._checked(images):
            return self._pass(images)

    @contextmanager
    def _checked(self, images: Tensor) -> Iterator[None]:
        """What a library asserts of the shape of its input, as a sentence."""
        if images.shape[1] != self.image_channels:
            raise ShapeError(
                f"The model takes pictures of {self.image_channels} channels, got shape {tuple(images.shape)}.",
                "Use the preprocessing that comes with it.",
            )
        try:
            yield
        except AssertionError as error:
            raise ShapeError(f"The model refuses images of shape {tuple(images.shape)}: {error}") from error

    def _pass(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.cuts_itself:
            maps = self.model.forward_features(images)
            return maps, self.model.forward_head(maps), self.model.forward_head(maps, pre_logits=True)
        with captured(self.stage) as stages, captured(self.head, "input") as read:
            logits = self.model(images)
        return stages[-1], logits, read[-1] if read else stages[-1].mean(dim=(2, 3))


def load_torchvision(location: str | Path) -> Network:
    """A torchvision classifier: `BUILDER.WEIGHTS` (downloaded if need be), or a local file of weights.

    Raises:
        UnknownNameError: torchvision has no such model or weights.
        OfflineError: the weights have to be downloaded and the network does not answer.
        MissingWeightsError: a local file is no state dict that we can identify.
        IncompatibleError: the model is not convolutional.
    """
    if isinstance(location, Path) or Path(location).suffix in WEIGHT_FILES:
        return _load_file(Path(location))
    weights = find_weights(location)
    path = cached_weights(location) or fetch_weights(location)
    model = _builder(location.partition(".")[0])(weights=None)
    fill(model, _modern_names(read_state_dict(path)), location)
    return Network(
        module=ConvolutionalClassifier(model.eval()),
        preprocessing=_preprocessing(weights),
        classes=tuple(weights.meta["categories"]),
    )


def _builder(name: str, *, published: bool = True) -> Any:
    """The function that builds the bare network; `published` weights of Inception expect its input shift."""
    from torchvision import models

    builder = models.get_model_builder(name)
    if name not in ("googlenet", "inception_v3"):
        return builder
    # These two otherwise draw initial weights through scipy, for many seconds, to be overwritten.
    return partial(builder, init_weights=False, transform_input=published)


def _modern_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """DenseNet files from before 2018 write `norm.1` where modules now are called `norm1`."""
    return {
        re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name): tensor for name, tensor in weights.items()
    }


def _published_weights(name: str) -> Any:
    """All published weights of a builder, oldest first."""
    from torchvision import models

    return models.get_model_weights(name)


def _load_file(path: Path) -> Network:
    """A torchvision state dict on disk; the architecture is the one that all names and shapes fit."""
    if not path.is_file():
        raise MissingWeightsError(f"There is no file {path}.")
    weights = _modern_names(read_state_dict(path))
    try:
        name, classes = identify(weights, hint=path.stem)
    except MissingWeightsError:
        inner = without_root(weights)
        if inner is weights:
            raise
        weights = inner
        name, classes = identify(weights, hint=path.stem)
    model = _builder(name, published=classes == 1000)(weights=None, num_classes=classes)
    fill(model, weights, path.name)
    return Network(
        module=ConvolutionalClassifier(model.eval()),
        preprocessing=_preprocessing(next(iter(_published_weights(name)), None)),
        classes=class_names(classes),
    )


def identify(weights: dict[str, Tensor], hint: str = "") -> tuple[str, int]:
    """Builder and number of classes of the torchvision network that `weights` belong to.

    Args:
        weights: a state dict.
        hint: a file name; torchvision's begin with the builder, which is then tried first.

    RegNets and SqueezeNets are not told apart, since the first cannot be built without memory for their weights and
    the second have no linear head.

    Raises:
        MissingWeightsError: no other torchvision classifier has these names and shapes.
    """
    shapes = _shapes(weights)
    matrices = [shape for shape in shapes.values() if len(shape) == 2]
    if matrices:
        classes = matrices[-1][0]
        plausible = [name for name in convolutional_builders() if _has_stage_like(name, shapes)]
        for name in sorted(plausible, key=lambda name: not hint.startswith(name)):
            with torch.device("meta"):
                candidate = _builder(name)(weights=None, num_classes=classes)
            if _shapes(candidate.state_dict()) == shapes:
                return name, classes
    raise MissingWeightsError(
        "The file holds tensors, but of no torchvision network that we know.",
        "Open a folder with config.json and model.safetensors (transformers or timm format) instead.",
    )


def _shapes(weights: dict[str, Tensor]) -> dict[str, torch.Size]:
    """Shapes by name, without the counters that old files lack."""
    return {name: tensor.shape for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}


def _has_stage_like(name: str, shapes: dict[str, Any]) -> bool:
    """Whether the builder's family uses the parameter names found, so that not all 60 networks must be built."""
    families = {
        "layer4.": ("resnet", "resnext", "wide_resnet"),
        "conv5.": ("shufflenet",),
        "layers.": ("mnasnet",),
        "inception5b.": ("googlenet",),
        "Mixed_7c.": ("inception_v3",),
        "features.denseblock1.": ("densenet",),
        "classifier.6.": ("vgg", "alexnet"),
        "features.": ("efficientnet", "mobilenet", "convnext"),
    }
    for prefix, names in families.items():
        if any(key.startswith(prefix) for key in shapes):
            return name.startswith(names)
    return False


def _last_stage(model: nn.Module) -> nn.Module:
    """The module whose output is the last stack of feature maps."""
    name = next((name for name in _STAGES if isinstance(getattr(model, name, None), nn.Module)), None)
    if name is None or any(isinstance(module, nn.MultiheadAttention) for module in model.modules()):
        raise IncompatibleError(
            f"{type(model).__name__} has no last convolutional stage that we know.",
            "Choose a ResNet, VGG, DenseNet, EfficientNet, MobileNet or ConvNeXt.",
        )
    stage = getattr(model, name)
    if not isinstance(stage, nn.Sequential) or name == "layer4":
        return stage
    children = list(stage)
    while len(children) > 1 and isinstance(children[-1], _POOLING):
        children.pop()
    return stage if len(children) == len(stage) else children[-1]


def _preprocessing(weights: Any) -> Preprocessing:
    """What torchvision's own transform for these weights does."""
    if weights is None:
        return Preprocessing(size=224, crop_share=0.875, resample="bilinear", normalisation=IMAGENET_NORMALISATION)
    transform = weights.transforms()
    size, resized = transform.crop_size[0], transform.resize_size[0]
    return Preprocessing(
        size=size,
        crop_share=size / resized,
        resample=transform.interpolation.value,
        normalisation=Normalisation(mean=tuple(transform.mean), std=tuple(transform.std)),
    )
