"""Where a network can be cut: the blocks of a transformer, the stages of a convolutional network, in order.

What a stage is differs from family to family. Here it is where the feature maps of one resolution end, which every
convolutional network has and which for ResNets and VGGs are the stages of their papers. Inside of blocks nothing is
cut: a branch is not what the network knows at that depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from core.models.capture import captured


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One place to cut.

    Attributes:
        path: of the module inside the adapter whose output is read, as `nn.Module.get_submodule` takes it.
        kind: a transformer's block gives tokens (batch, tokens, dim), a stage maps (batch, channels, height, width).
        number: counted from 1.
        shape: of the output for one image, without the batch axis.
    """

    path: str
    kind: Literal["block", "stage"]
    number: int
    shape: tuple[int, ...]

    @property
    def title(self) -> str:
        """What people read: "block 3", "stage 2 (16 × 16)"."""
        size = f" ({self.shape[1]} × {self.shape[2]})" if self.kind == "stage" else ""
        return f"{self.kind} {self.number}{size}"

    def shape_words(self, images: int) -> str:
        """The output for so many images, as papers write it: "128×256×56×56" maps, or "128×197×768" tokens."""
        return "×".join(map(str, (images, *self.shape)))


@torch.inference_mode()
def find_layers(module: nn.Module, size: int) -> tuple[Layer, ...]:
    """The layers that an image passes, found by sending a black one of `size` pixels through `module.embed`.

    Only what runs counts, so that of an image-text model the image tower alone is listed. The module must be in eval
    mode and in nobody else's use. Empty where the network has neither blocks nor square feature maps.
    """
    parts = list(_parts(module))
    with ExitStack() as stack:
        seen = {path: stack.enter_context(captured([part])) for path, part in parts}
        device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
        channels = getattr(module, "image_channels", 3)
        module.embed(torch.zeros(1, channels, size, size, device=device))  # type: ignore[operator]
    ran = {path: tuple(first_tensor(outputs[-1]).shape[1:]) for path, outputs in seen.items() if outputs}
    depth = getattr(module, "depth", None)
    if depth:
        blocks = next((paths for paths in _sequences(parts, depth) if all(path in ran for path in paths)), ())
        return tuple(
            Layer(path=path, kind="block", number=number, shape=ran[path]) for number, path in enumerate(blocks, 1)
        )
    stages: dict[int, str] = {}
    for path, shape in ran.items():
        # Of the modules of one resolution the outermost, which is no part of a block; of several the last.
        if _is_map(shape) and path.count(".") <= stages.get(shape[1], path).count("."):
            stages[shape[1]] = path
    return tuple(
        Layer(path=stages[side], kind="stage", number=number, shape=ran[stages[side]])
        for number, side in enumerate(sorted(stages, reverse=True), 1)
    )


def layer_at(layers: tuple[Layer, ...], share: float) -> Layer:
    """The layer at this share of the depth, from above 0 to 1, which is the last."""
    return layers[min(len(layers), max(1, -int(-share * len(layers) // 1))) - 1]


def first_tensor(output: object) -> Tensor:
    """What a module gave; some give it as the first of several."""
    while isinstance(output, tuple | list):
        output = output[0]
    return output if isinstance(output, Tensor) else torch.empty(0)


def _parts(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Every submodule with its path, children before their parent: in the order in which their outputs are complete."""
    for name, child in module.named_children():
        path = f"{prefix}.{name}" if prefix else name
        yield from _parts(child, path)
        yield path, child


def _sequences(parts: list[tuple[str, nn.Module]], depth: int) -> Iterator[tuple[str, ...]]:
    """Paths of the members of every list of `depth` modules."""
    for path, part in parts:
        if isinstance(part, nn.ModuleList | nn.Sequential) and len(part) == depth:
            yield tuple(f"{path}.{name}" for name, _ in part.named_children())


def _is_map(shape: tuple[int, ...]) -> bool:
    """Whether this is (channels, height, width) of a square map of more than one pixel."""
    return len(shape) == 3 and shape[1] == shape[2] > 1
