"""Which adapter fits a vision model of `transformers`: a trial pass of a tiny picture tells, not its type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from core.errors import CoreError, IncompatibleError
from core.models.trace import reader_name
from core.models.transformers_vision import TransformersModel, TransformersVision, TransformersViT
from core.seeding import stream_seed, torch_generator


def adapt(model: Any) -> TransformersModel:
    """The adapter that fits a module of transformers in eval mode.

    Found out by a trial pass of a picture of 2 × 3 patches, or of the model's own size if it takes no other.
    """
    try:
        vit = TransformersViT(model)
    except (CoreError, TypeError, ValueError):
        return _without_attention(model)
    assert vit.patch_size is not None
    assert vit.image_size is not None
    tiny = (2 * vit.patch_size[0], 3 * vit.patch_size[1])
    for size in (tiny, vit.image_size):
        try:
            with _unchanged(model):
                _try(vit, size)
        except Exception:  # whatever a library's module of another build does with such a picture
            continue
        vit.trial_size = size
        return vit
    return _without_attention(model)


@torch.no_grad()
def _try(vit: TransformersViT, size: tuple[int, int]) -> None:
    """Trace a picture of `size`, and see that each patch has its own token, in order.

    Raises:
        CoreError: it is not so; and whatever the module raises.
    """
    generator = torch_generator(stream_seed("picture of a trial"))
    weight = next(vit.parameters())
    picture = torch.randn(1, vit.image_channels, *size, generator=generator).to(weight)
    trace = vit.trace(picture)
    assert vit.patch_size is not None
    rows, columns = trace.grid
    changed, expected = [], []
    for row, column in {(0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1)}:
        other = picture.clone()
        top, left = row * vit.patch_size[0], column * vit.patch_size[1]
        other[..., top : top + vit.patch_size[0], left : left + vit.patch_size[1]] += 1.0
        changed.append(other)
        expected.append(trace.prefix_tokens + row * columns + column)
    tokens = vit.first_tokens(torch.cat([picture, *changed]))
    moved = (tokens[1:] - tokens[:1]).float().norm(dim=-1).argmax(dim=1)
    if moved.tolist() != expected:
        raise IncompatibleError("Its tokens do not follow the patches of the image in order.")
    vit.last_tokens(picture)
    vit.reads = reader_name(trace.pooling)


def _without_attention(model: Any) -> TransformersVision:
    network = TransformersVision(model)
    if any(re.search("attention|attn", type(part).__name__.lower()) for part in model.modules()):
        network.lacks_attention = "its attention is not one map over all patches in every layer"
    return network


@contextmanager
def _unchanged(model: nn.Module) -> Iterator[None]:
    """Plain attributes are afterwards what they were: Swin cuts its windows for good to the first small picture."""
    before = [
        (part, {name: value for name, value in vars(part).items() if isinstance(value, int | float | tuple)})
        for part in model.modules()
    ]
    try:
        yield
    finally:
        for part, values in before:
            vars(part).update(values)
