"""The networks whose feature maps say what content and style are: a chain of modules, each read where it has a name."""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from core.data.transforms import Normalisation, standardise
from core.device import device_of
from core.errors import IncompatibleError, UnknownNameError
from core.finite import require_finite
from core.models.cnn import ConvolutionalClassifier
from core.models.small_cnn import SmallCNN
from core.models.spec import LoadedModel

Pooling = Literal["max", "average"]


@dataclass(frozen=True, kw_only=True)
class StyleRow:
    """A model of the catalogue as a network of features.

    Attributes:
        content: the layer that says what is where.
        style: the layers whose Gram matrices say how it is painted.
        layer_weights: of these, to begin with, summing to 1.
        style_weight: β for α = 1 to begin with.
        tv_weight: of the total variation to begin with.
        note: what a viewer must know.
    """

    content: str
    style: tuple[str, ...]
    layer_weights: tuple[float, ...]
    style_weight: float
    tv_weight: float
    note: str


# In the order in which a page prefers them.
STYLE_ROWS: dict[str, StyleRow] = {
    "vgg19": StyleRow(
        content="conv4_2",
        style=("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"),
        layer_weights=(0.2,) * 5,
        # The paper's 10³, for inputs that here are smaller by 255 · 0.225: E goes with their fourth power, the
        # content's loss with their square.
        style_weight=3e6,
        tv_weight=0.0,
        note="The network of the paper.",
    ),
    "efficientnet_lite0": StyleRow(
        # Weights by eye, on the bundled photos: E of the first layers, which know the colours, is small here.
        content="block4",
        style=("stem", "block1", "block2", "block3"),
        layer_weights=(0.9, 0.05, 0.02, 0.03),
        style_weight=2e4,
        tv_weight=200.0,
        note="In place of the paper's VGG-19: an ImageNet network, but of another design.",
    ),
    "cnn_small": StyleRow(
        content="stage2",
        style=("stem", "stage1", "stage2", "stage3"),
        layer_weights=(0.25,) * 4,
        style_weight=5e6,
        tv_weight=10.0,
        note="In place of the paper's VGG-19: a small CNN that has seen nothing but CIFAR-10, 32 × 32 pixels.",
    ),
}


class Chain(nn.Module):
    """Modules one after the other, some of which have a name; the first outputs are read at the first modules."""

    def __init__(self, parts: list[tuple[str, nn.Module]]) -> None:
        super().__init__()
        self.names = tuple(name for name, _ in parts)
        self.parts = nn.ModuleList(part for _, part in parts)

    def forward(self, maps: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """What the `wanted` modules give; nothing is computed beyond the last of them."""
        found: dict[str, Tensor] = {}
        for name, part in zip(self.names, self.parts, strict=True):
            if len(found) == len(set(wanted)):
                break
            maps = part(maps)
            if name in wanted:
                found[name] = maps
        return found


@dataclass(frozen=True, kw_only=True)
class FeatureNetwork:
    """A network on one device, read at layers that have names.

    Attributes:
        name, title: of the model.
        chain: its modules in order.
        halvings: how often the side was halved when a layer is reached, by name.
        pools: whether it has pooling layers at all.
    """

    name: str
    title: str
    row: StyleRow
    normalisation: Normalisation
    chain: Chain
    halvings: dict[str, int]
    pools: bool

    @property
    def layers(self) -> tuple[str, ...]:
        """All that can be chosen, from the pixels up."""
        return tuple(self.halvings)

    @property
    def device(self) -> torch.device:
        return device_of(self.chain)

    def features(self, images: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """Maps (batch, N, height, width) of the `wanted` layers for images (batch, 3, height, width) in [0, 1].

        Nothing is computed beyond the last of them. Differentiable with respect to the images.

        Raises:
            UnknownNameError: there is no such layer.
            NotFiniteError: the network gives values that are not numbers.
        """
        self._check(wanted)
        found = self.chain(standardise(images, self.normalisation), wanted)
        for name, maps in found.items():
            require_finite(f"The feature maps of {name}", maps)
        return found

    def least_side(self, wanted: Collection[str]) -> int:
        """Pixels that a side must have, so that 2 × 2 positions or more are left in every one of the layers."""
        self._check(wanted)
        return int(2 ** (max(self.halvings[name] for name in wanted) + 1))

    def _check(self, wanted: Collection[str]) -> None:
        for name in wanted:
            if name not in self.halvings:
                raise UnknownNameError(f"layer of {self.title}", name, self.halvings)


def feature_network(model: LoadedModel, pooling: Pooling = "max") -> FeatureNetwork:
    """A loaded model as a network of features; its weights stay where they are and are shared.

    Args:
        pooling: "average" has every maximum pooling replaced, as the paper prefers for the gradient's sake.

    Raises:
        IncompatibleError: it is none of `STYLE_ROWS`, or has no pooling to replace.
    """
    name, title = model.spec.name, model.spec.title
    if name not in STYLE_ROWS:
        raise IncompatibleError(
            f"{title} is not set up for style transfer.", f"Choose one of: {', '.join(STYLE_ROWS)}."
        )
    parts = _parts(model.module)
    pools = any(isinstance(each, nn.MaxPool2d) for _, part in parts for each in part.modules())
    if pooling == "average":
        if not pools:
            raise IncompatibleError(
                f"{title} has no pooling layers: its convolutions themselves skip positions.", "Set pooling=max."
            )
        parts = [(layer, averaging(part)) for layer, part in parts]
    chain = Chain(parts).eval()
    return FeatureNetwork(
        name=name,
        title=title,
        row=STYLE_ROWS[name],
        normalisation=model.network.preprocessing.normalisation,
        chain=chain,
        halvings=_halvings(chain),
        pools=pools,
    )


def averaging(module: nn.Module) -> nn.Module:
    """A copy with average in place of maximum pooling, on the same weights."""
    twin = copy.deepcopy(module, {id(each): each for each in (*module.parameters(), *module.buffers())})
    if isinstance(twin, nn.MaxPool2d):
        return _average(twin)
    for parent in list(twin.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MaxPool2d):
                setattr(parent, name, _average(child))
    return twin


def _average(pool: nn.MaxPool2d) -> nn.AvgPool2d:
    return nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode)


def _parts(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules that a picture goes through, named as the field names them."""
    if isinstance(module, SmallCNN):
        return [("stem", module.stem), *((f"stage{place}", part) for place, part in enumerate(module.stages, 1))]
    if isinstance(module, ConvolutionalClassifier):
        inner = module.model
        if hasattr(inner, "conv_stem"):
            stem = nn.Sequential(inner.conv_stem, inner.bn1)
            return [("stem", stem), *((f"block{place}", part) for place, part in enumerate(inner.blocks, 1))]
        if type(inner).__name__ == "VGG":
            return _vgg_parts(inner.features)
    raise IncompatibleError(
        f"{type(module).__name__} has no feature maps that style transfer knows by name.", "Choose another network."
    )


def _vgg_parts(features: nn.Module) -> list[tuple[str, nn.Module]]:
    """convI_J names what the J-th convolution of the I-th stage gives, rectified, as in Gatys' own code."""
    parts: list[tuple[str, nn.Module]] = []
    stage, place = 1, 0
    for part in features.children():
        name = ""
        if isinstance(part, nn.ReLU):
            place += 1
            name, part = f"conv{stage}_{place}", nn.ReLU()  # not in place: nothing may change what was read
        elif isinstance(part, nn.MaxPool2d):
            stage, place = stage + 1, 0
        parts.append((name, part))
    return parts


@torch.no_grad()
def _halvings(chain: Chain) -> dict[str, int]:
    """Of every named layer, measured on a small picture."""
    side = 64
    blank = torch.zeros(1, 3, side, side, device=device_of(chain))
    found = chain(blank, [name for name in chain.names if name])
    return {name: (side // maps.shape[-1]).bit_length() - 1 for name, maps in found.items()}
