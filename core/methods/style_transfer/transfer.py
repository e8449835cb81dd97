"""Style transfer by optimising pixels: what is where from one picture, how it is painted from another.

Gatys, Ecker & Bethge 2016 (arXiv:1508.06576): α · ½Σ(F − P)² of one layer plus β · Σ w_l E_l of several is minimised
over the pixels of a picture, by L-BFGS or Adam. Many pictures are made at once, each as if it were alone.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from core.configs import check_options, option
from core.errors import ConfigError, ShapeError
from core.finite import require_finite
from core.methods.style_transfer.losses import (
    content_losses,
    gram_matrices,
    style_layer_losses,
    total_variations,
)
from core.methods.style_transfer.networks import FeatureNetwork, Pooling
from core.methods.style_transfer.optimisers import Memory, Step, adam_step, lbfgs_step
from core.seeding import stream

_REMEDY = "Lower the style's weight or the step size."
# Of a pixel from black to white, in one step of L-BFGS.
LARGEST_MOVE = 0.2
STEPPERS: dict[str, Step] = {"lbfgs": partial(lbfgs_step, largest=LARGEST_MOVE), "adam": adam_step}


@dataclass(frozen=True, kw_only=True)
class StyleSettings:
    """How a picture is transferred; the defaults are the paper's but for the number of steps."""

    content_weight: float = option(1.0, "Content weight α", minimum=0)
    style_weight: float | None = option(
        None, "Style weight β", "Of the sum over layers; empty: the network's usual one.", minimum=0
    )
    tv_weight: float | None = option(
        None,
        "Total variation",
        "Weight of the squared differences between neighbours, against grain; empty: the network's usual one.",
        minimum=0,
    )
    content_layer: str = option("", "Content layer", "Empty: the network's usual one.")
    style_layers: tuple[str, ...] = option((), "Style layers", "Empty: the network's usual ones.")
    layer_weights: tuple[float, ...] = option((), "Layer weights", "One a style layer; empty: as usual, summing to 1.")
    start: Literal["content", "noise"] = option("content", "Start from")
    optimiser: Literal["lbfgs", "adam"] = option("lbfgs", "Optimiser")
    rate: float | None = option(
        None, "Step size", "Empty: 1 for L-BFGS, 0.02 (of black to white) for Adam.", minimum=1e-6, maximum=10
    )
    pooling: Pooling = option("max", "Pooling", "average: as in the paper.")
    steps: int = option(100, "Steps", minimum=1, maximum=5000)
    seed: int = option(0, "Seed", "Of the noise to start from.", minimum=0, maximum=2**31)

    def __post_init__(self) -> None:
        check_options(self)
        numbers = (self.content_weight, self.style_weight, self.tv_weight, self.rate, *self.layer_weights)
        if (
            not all(math.isfinite(number) for number in numbers if number is not None)
            or min(self.layer_weights, default=0) < 0
        ):
            raise ConfigError(f"The weights are {numbers}.", "Choose numbers from 0 up.")
        if self.content_weight == 0 and self.style_weight == 0:
            raise ConfigError("Neither content nor style has a weight.", "Give one of them a weight above 0.")
        if self.layer_weights and len(self.layer_weights) != len(self.style_layers):
            raise ConfigError(
                f"There are {len(self.layer_weights)} weights for {len(self.style_layers)} style layers.",
                "Give one for each.",
            )


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Pictures after some steps.

    Attributes:
        step, steps: done, and in all.
        images: (batch, 3, height, width), of no bounds; `pictures` are what people see.
        content: (step + 1, batch), the content losses ½Σ(F − P)² at the start and after every step, without α.
        style: (step + 1, layers, batch), E of each layer, without weights.
        total: (step + 1, batch), what is minimised.
        gradient: (batch, numbers of a picture), of what is minimised, at `images`.
        content_of_style: (batch,), the content loss of the style's own picture: as far from the content as that.
        style_of_content: (layers, batch), E of the contents themselves.
        memory: of the optimiser, to go on with.
        seconds: of the steps.
    """

    step: int
    steps: int
    images: Tensor
    content: np.ndarray
    style: np.ndarray
    total: np.ndarray
    content_of_style: np.ndarray
    style_of_content: np.ndarray
    gradient: Tensor = field(repr=False)
    memory: Memory = field(repr=False)
    seconds: float

    @property
    def finished(self) -> bool:
        return self.step >= self.steps

    @property
    def content_share(self) -> np.ndarray:
        """(step + 1, batch), the content losses as shares of that of the style's own picture."""
        return self.content / np.maximum(self.content_of_style, 1e-30)

    def style_share(self, weights: Sequence[float]) -> np.ndarray:
        """(step + 1, batch), Σ w_l E_l as shares of those of the content's own picture."""
        losses = np.einsum("l,slb->sb", weights, self.style)
        return losses / np.maximum(np.einsum("l,lb->b", weights, self.style_of_content), 1e-30)

    @property
    def pictures(self) -> np.ndarray:
        """(batch, height, width, 3) uint8."""
        bytes_ = (self.images.clamp(0, 1) * 255).round().to(torch.uint8)
        return bytes_.permute(0, 2, 3, 1).cpu().numpy()


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What the layers of the pictures should be."""

    content_layer: str
    content: Tensor
    grams: dict[str, Tensor]
    content_of_style: np.ndarray
    style_of_content: np.ndarray

    @property
    def layers(self) -> set[str]:
        return {self.content_layer, *self.grams}


def settled(network: FeatureNetwork, settings: StyleSettings) -> StyleSettings:
    """The same settings with everything said that was left to the network."""
    row = network.row
    layers = settings.style_layers or row.style
    usual = dict(zip(row.style, row.layer_weights, strict=True))
    weights = np.array([usual.get(name, 1 / len(row.style)) for name in layers])
    return dataclasses.replace(
        settings,
        content_layer=settings.content_layer or row.content,
        style_layers=tuple(layers),
        layer_weights=settings.layer_weights or tuple((weights / weights.sum()).tolist()),
        style_weight=row.style_weight if settings.style_weight is None else settings.style_weight,
        tv_weight=row.tv_weight if settings.tv_weight is None else settings.tv_weight,
        rate=settings.rate or (1.0 if settings.optimiser == "lbfgs" else 0.02),
    )


def transfer_style(
    network: FeatureNetwork,
    content: np.ndarray,
    style: np.ndarray,
    settings: StyleSettings,
    *,
    begin: Transfer | None = None,
    numbers: Sequence[int] = (),
) -> Generator[Transfer, None, Transfer]:
    """The pictures after every step, from the start (step 0) on; close the generator to stop.

    Args:
        content: (batch, height, width, 3) uint8.
        style: (height, width, 3) uint8, of the same height and width.
        begin: a transfer of the same pictures to go on with, as if it had not been left.
        numbers: of the pictures, which with the seed tell their noise; by default from 0 on.

    Raises:
        ShapeError: the sizes differ, or are too small for the layers.
        UnknownNameError: the network has no such layer.
        NotFiniteError: the network, or the optimisation, gives values that are not numbers.
    """
    settings = settled(network, settings)
    pictures, paint = _as_images(network, content), _as_images(network, style[None])
    wanted = _wanted(network, pictures, paint, settings)
    now = begin or _started(network, pictures, wanted, settings, numbers or range(len(pictures)))
    now = dataclasses.replace(now, steps=settings.steps)
    yield now
    while not now.finished:
        now = _next(network, wanted, settings, now)
        yield now
    return now


def _next(network: FeatureNetwork, wanted: _Wanted, settings: StyleSettings, now: Transfer) -> Transfer:
    """One step further."""
    began, rate = time.perf_counter(), settings.rate
    assert rate is not None
    with torch.no_grad():
        points, memory = STEPPERS[settings.optimiser](now.images.flatten(1), now.gradient, now.memory, rate)
    require_finite("The pixels", points, _REMEDY)
    images = points.view_as(now.images)
    content, style, total, gradient = _evaluated(network, wanted, settings, images)
    return dataclasses.replace(
        now,
        step=now.step + 1,
        images=images,
        content=np.concatenate([now.content, content]),
        style=np.concatenate([now.style, style]),
        total=np.concatenate([now.total, total]),
        gradient=gradient,
        memory=memory,
        seconds=now.seconds + time.perf_counter() - began,
    )


def _evaluated(
    network: FeatureNetwork, wanted: _Wanted, settings: StyleSettings, images: Tensor
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Tensor]:
    """Content losses (1, batch), style losses (1, layers, batch), what is minimised (1, batch), and its gradient."""
    # Whatever mode the caller is in, a gradient is taken here.
    with torch.inference_mode(False), torch.enable_grad():
        images = images.detach().clone().requires_grad_()
        found = network.features(images, wanted.layers)
        content = content_losses(found[wanted.content_layer], wanted.content)
        layers = torch.stack([style_layer_losses(found[name], gram) for name, gram in wanted.grams.items()])
        weights = layers.new_tensor(settings.layer_weights)[:, None]
        total = settings.content_weight * content + (settings.style_weight or 0) * (weights * layers).sum(dim=0)
        if settings.tv_weight:
            total = total + settings.tv_weight * total_variations(images)
        [gradient] = torch.autograd.grad(total.sum(), images)
    require_finite("The gradients", gradient, _REMEDY)
    losses = [each.detach().double().cpu().numpy()[None] for each in (content, layers, total)]
    return losses[0], losses[1], losses[2], gradient.flatten(1)


@torch.no_grad()
def _wanted(network: FeatureNetwork, content: Tensor, style: Tensor, settings: StyleSettings) -> _Wanted:
    """The content's maps and the style's Gram matrices."""
    content_layer, layers = settings.content_layer, settings.style_layers
    if content.shape[2:] != style.shape[2:]:
        raise ShapeError(
            f"The content has {tuple(content.shape[2:])} pixels, the style {tuple(style.shape[2:])}.",
            "Bring both to one size: core.methods.style_transfer.pictures.fit_pictures.",
        )
    least = network.least_side({content_layer, *layers})
    if min(content.shape[2:]) < least:
        raise ShapeError(
            f"A side of {min(content.shape[2:])} pixels leaves too little of the deepest layer; it needs {least}.",
            "Choose a larger size, or leave the deepest layer out.",
        )
    every = {content_layer, *layers}
    paint, what = network.features(style, every), network.features(content, every)
    grams = {name: gram_matrices(paint[name]) for name in layers}
    losses = [style_layer_losses(what[name], gram) for name, gram in grams.items()]
    return _Wanted(
        content_layer=content_layer,
        content=what[content_layer],
        grams=grams,
        content_of_style=content_losses(what[content_layer], paint[content_layer]).double().cpu().numpy(),
        style_of_content=torch.stack(losses).double().cpu().numpy(),
    )


def _started(
    network: FeatureNetwork, content: Tensor, wanted: _Wanted, settings: StyleSettings, numbers: Sequence[int]
) -> Transfer:
    """Before the first step."""
    images = content.clone()
    if settings.start == "noise":
        shape = content.shape[1:]
        noise = [stream("start of a style transfer", settings.seed, number).random(shape) for number in numbers]
        images = torch.from_numpy(np.stack(noise)).to(content)
    began = time.perf_counter()
    losses = _evaluated(network, wanted, settings, images)
    return Transfer(
        step=0,
        steps=settings.steps,
        images=images,
        content=losses[0],
        style=losses[1],
        total=losses[2],
        content_of_style=wanted.content_of_style,
        style_of_content=wanted.style_of_content,
        gradient=losses[3],
        memory=Memory(),
        seconds=time.perf_counter() - began,
    )


def _as_images(network: FeatureNetwork, pictures: np.ndarray) -> Tensor:
    """(batch, height, width, 3) uint8 → (batch, 3, height, width) in [0, 1] on the network's device."""
    if pictures.ndim != 4 or pictures.shape[3] != 3 or pictures.dtype != np.uint8:
        raise ShapeError(f"Got pictures of shape {pictures.shape} and type {pictures.dtype}; expected RGB bytes.")
    return torch.from_numpy(pictures.copy()).to(network.device).permute(0, 3, 1, 2).float() / 255
