"""Which part of a pretrained network learns: nothing but the head, the last block too, everything, or all from nothing.

A part that does not learn stays in eval mode while the rest trains. Without that, the running statistics of its batch
norms would drift to the new images, and a frozen network would not be frozen.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from torch import Tensor, nn

from core.data.transforms import resize
from core.errors import IncompatibleError

Mode = Literal["linear_probe", "last_block", "full", "random"]

# Where the last block of an architecture begins, by the names of its parameters; the first that occurs counts.
_LAST_BLOCKS = (
    r"\blayer4\.",
    r"denseblock4\.",
    r"trunk_output\.block4\.",
    r"\bstage4\.",
    r"inception5[ab]\.",
    r"Mixed_7c\.",
)
_NUMBERED = re.compile(r"(?:^|\.)(?:blocks|stages|layers|layer|features)\.(\d+)\.")


class PartlyFrozen(nn.Module):
    """A network of which only some parameters learn; its images are resized on the device first.

    Attributes:
        network: what is kept afterwards.
    """

    def __init__(self, network: nn.Module, learning: set[str], image_size: int) -> None:
        """learning: names of the parameters of `network` that learn."""
        super().__init__()
        self.network = network
        self.image_size = image_size
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name in learning)
        self.train(self.training)

    def forward(self, images: Tensor) -> Tensor:
        """`images`: (batch, channels, height, width), normalised, of any size → logits (batch, classes)."""
        return self.network(resize(images, self.image_size))

    def train(self, mode: bool = True) -> PartlyFrozen:
        """Training mode for what learns and for what only passes on; eval mode for frozen parts."""
        super().train(mode)
        for module in self.network.modules():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()
        return self


def learning_parameters(network: nn.Module, mode: Mode, head: set[str]) -> set[str]:
    """Names of the parameters that learn in `mode`; `head` are those of the new classifier.

    Raises:
        IncompatibleError: we do not know where this network's last block begins.
    """
    names = [name for name, _ in network.named_parameters()]
    if mode == "linear_probe":
        return set(head)
    if mode == "last_block":
        return set(names[names.index(last_block(network)) :]) | head
    return set(names)


def rate_shares(
    learning: set[str], head: set[str], mode: Mode, *, backbone: float, new_head: float
) -> dict[str, float]:
    """Factors of the learning rate: `new_head` for the classifier, `backbone` for what was trained before."""
    known = 1.0 if mode == "random" else backbone
    return {name: 1.0 if mode == "random" else new_head if name in head else known for name in learning}


def last_block(network: nn.Module) -> str:
    """Name of the first parameter of the last block; everything registered after it belongs to it.

    Blocks are what the architecture's paper repeats: the last stage of a ResNet, DenseNet, EfficientNet or small CNN,
    the convolutions after the last but one pooling of a VGG, one layer of a vision transformer.
    """
    names = [name for name, _ in network.named_parameters()]
    for pattern in _LAST_BLOCKS:
        if found := next((name for name in names if re.search(pattern, name)), None):
            return found
    if start := _after_pooling(network):
        return start
    groups: dict[int, list[str]] = {}
    for name in names:
        if number := _NUMBERED.search(name):
            groups.setdefault(int(number[1]), []).append(name)
    if not groups:
        raise IncompatibleError(f"{type(network).__name__} has no blocks that we know.", "Choose mode=full.")
    last = max(groups)
    # A lone convolution before the pooling is no block yet.
    matrices = [name for name in groups[last] if dict(network.named_parameters())[name].ndim >= 2]
    return groups[last - 1 if len(matrices) < 2 and last - 1 in groups else last][0]


def _after_pooling(network: Any) -> str | None:
    """VGG and AlexNet are one sequence of convolutions and poolings; what follows the last but one pooling."""
    features = getattr(getattr(network, "model", None), "features", None)
    if not isinstance(features, nn.Sequential):
        return None
    poolings = [number for number, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)]
    if len(poolings) < 2:
        return None
    following = (number for number in range(poolings[-2], len(features)) if hasattr(features[number], "weight"))
    return f"model.features.{next(following)}.weight"
