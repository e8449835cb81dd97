"""A vision transformer at another input size than its own, by its name: `dino_s16;size=480`.

More patches of the same size, whose positions are interpolated as the model's authors do: models of `transformers` by
their own `interpolate_pos_encoding`, timm's by `resample_abs_pos_embed`, this project's as DINO does, bicubically.

Source: Caron et al. 2021, arXiv:2104.14294, whose `visualize_attention.py` shows 480-pixel photos.
"""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from core.errors import ConfigError, IncompatibleError

if TYPE_CHECKING:  # the catalogue splits names without paying for torch
    from torch import Tensor, nn

    from core.models.spec import Network

Module = TypeVar("Module", bound="nn.Module")
_ENDING = re.compile(r";size=([1-9]\d{0,3})$")
# Of the attention of all layers and heads, in fp32: a laptop keeps several of them.
MOST_BYTES = 512 * 2**20


def split_size(name: str) -> tuple[str, int | None]:
    """A model's name without its ending, and the input size in pixels that the ending says; None: the model's own."""
    found = _ENDING.search(name)
    return (name[: found.start()], int(found[1])) if found else (name, None)


def with_size(name: str, size: int | None) -> str:
    """The name of the model at `size` pixels; None: at its own."""
    return name if size is None else f"{name};size={size}"


def resized(network: Network, size: int, title: str) -> Network:
    """The same weights for inputs of `size` × `size` pixels; `title` is what people call the model.

    Raises:
        IncompatibleError: the model has no positions that can be interpolated.
        ConfigError: `size` is no multiple of the patch, or its attention would not fit into `MOST_BYTES`.
    """
    step = patch_of(network)
    if not step:
        own = network.preprocessing.size
        raise IncompatibleError(
            f"{title} takes {own} pixels alone: its code does not interpolate positions.", "Leave the size as it is."
        )
    if size % step:
        below = max(step, size // step * step)
        raise ConfigError(
            f"{size} pixels do not divide into patches of {step}.", f"Choose {below} or {below + step} pixels."
        )
    largest = largest_size(network)
    if size > largest:
        raise ConfigError(
            f"At {size} pixels {title} has {(size // step) ** 2:,} patches, whose attention takes more than "
            f"{MOST_BYTES // 2**20} MiB.",
            f"Choose at most {largest} pixels.",
        )
    module = network.module.at_input_size(size)  # type: ignore[operator]
    return replace(network, module=module, preprocessing=replace(network.preprocessing, size=size))


def patch_of(network: Network) -> int:
    """The side of a patch, of which input sizes are multiples; 0 for a network that takes its own size alone."""
    return int(getattr(network.module, "input_step", 0))


def largest_size(network: Network) -> int:
    """The largest input in pixels whose attention fits into `MOST_BYTES`, or the model's own if that is larger."""
    step, module = patch_of(network), network.module
    tokens = (MOST_BYTES / (4 * module.depth * module.num_heads)) ** 0.5  # type: ignore[operator]
    # A few of the tokens come before the patches.
    return max(network.preprocessing.size, int((tokens - 8) ** 0.5) * step)


def with_own_parts(module: Module) -> Module:
    """Another module of the same parts, some of which can then be replaced without touching the first."""
    found = copy.copy(module)
    for parts in ("_modules", "_parameters", "_buffers"):
        found.__dict__[parts] = dict(module.__dict__[parts])
    return found


def interpolate_positions(table: Tensor, grid: tuple[int, int], to: tuple[int, int], prefix_tokens: int) -> Tensor:
    """Positions (tokens, dim) of a grid of patches for another grid: (prefix_tokens + rows · columns, dim).

    Bicubic, corners not aligned; tokens before the patches keep theirs.
    Source: `interpolate_pos_encoding` of facebookresearch/dino.
    Differs from it: the grid is given as a size, as in transformers, instead of a scale with 0.1 added.
    """
    from torch import cat
    from torch.nn.functional import interpolate

    patches = table[prefix_tokens:].T.reshape(1, -1, *grid)
    moved = interpolate(patches, size=to, mode="bicubic", align_corners=False)
    return cat([table[:prefix_tokens], moved[0].flatten(1).T])
