"""What a forward pass leaves behind: every analysis of attention starts from a `Trace`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np

from core.errors import IncompatibleError, ShapeError
from core.finite import require_finite

if TYPE_CHECKING:
    from torch import Tensor

Pooling = Literal["class_token", "mean"]
Array = TypeVar("Array", np.ndarray, "Tensor")


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """What a head reads that takes neither the class token alone nor the mean of the patches.

    Attributes:
        weights: (batch, tokens), or (1, tokens) for all images, or (tokens,) for one: each token's share, not negative,
            of sum 1.
        name: in words, as they follow "attention of".
        fixed: the shares are the same for every image; else they are those of this one.
    """

    weights: np.ndarray | Tensor
    name: str
    fixed: bool


# What the embedding is made of: core/models/reading.py finds it out for models of others.
Reading = Pooling | Mixture


def readout(matrix: Array, reading: Reading, prefix_tokens: int) -> Array:
    """The rows of `matrix` (..., tokens, tokens) that the embedding is made of, as one: (..., tokens).

    The class token's row; the mean of the patches' rows for models that pool by mean, whose class token, if there is
    one, is read by nobody; the weighted rows of a mixture, whose weights may have a batch axis in front.
    """
    if isinstance(reading, Mixture):
        weights: Array = reading.weights  # type: ignore[assignment]
        if not isinstance(weights, np.ndarray):
            weights = weights.to(matrix)
        return (weights[..., None, :] @ matrix)[..., 0, :]
    return matrix[..., 0, :] if reading == "class_token" else matrix[..., prefix_tokens:, :].mean(-2)


def reading_of(reading: Reading, image: int) -> Reading:
    """The reading of one image of a batch."""
    if not isinstance(reading, Mixture):
        return reading
    weights = reading.weights if reading.weights.ndim == 1 else reading.weights[image % len(reading.weights)]
    return Mixture(weights=weights, name=reading.name, fixed=reading.fixed)


def reader_name(reading: Reading) -> str:
    """Whose attention the head's is, in words: "the class token"."""
    if isinstance(reading, Mixture):
        return reading.name
    return "the class token" if reading == "class_token" else "the mean of all patches"


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Intermediates of one forward pass, still attached to the autograd graph if there was one.

    Attributes:
        attention: one tensor per layer, (batch, heads, tokens, tokens); a row is what that query
            token attends to. Rows sum to 1, or to 1 - lambda where `signed`.
        tokens: the output of each block, (batch, tokens, dim).
        embedding: (batch, dim), what the head reads.
        logits: (batch, classes), or None for a backbone without a classifier.
        grid: rows and columns of patches.
        pooling: what the embedding is made of.
        prefix_tokens: tokens before the patches (class token, distillation token, registers).
        signed: the maps come from differential attention and may be negative.
    """

    attention: tuple[Tensor, ...]
    tokens: tuple[Tensor, ...]
    embedding: Tensor
    logits: Tensor | None
    grid: tuple[int, int]
    prefix_tokens: int = 1
    pooling: Reading = "class_token"
    signed: bool = False


@runtime_checkable
class Traceable(Protocol):
    """A model whose attention can be looked at."""

    depth: int

    def __call__(self, images: Tensor) -> Tensor: ...

    def trace(self, images: Tensor) -> Trace: ...


def check_trace(trace: Trace, depth: int) -> Trace:
    """Return `trace` if it holds `depth` proper attention maps.

    Fused attention returns no weights, and libraries then hand over an empty tuple without an error;
    every adapter passes through here so that no view is silently empty.

    Raises:
        IncompatibleError: fewer or more maps than layers.
        NotFiniteError: a map holds values that are not numbers.
        ShapeError: a map is not square over the tokens, or unsigned rows do not sum to 1.
    """
    import torch

    given = sum(weights is not None for weights in trace.attention)
    if given != depth or len(trace.attention) != depth:
        raise IncompatibleError(
            f"The model has {depth} attention layers but gave {given} maps.",
            "Load it with attn_implementation='eager'.",
        )
    expected = trace.prefix_tokens + trace.grid[0] * trace.grid[1]
    for layer, weights in enumerate(trace.attention, 1):
        if weights.shape[-2:] != (expected, expected):
            raise ShapeError(
                f"Layer {layer} attends over {tuple(weights.shape[-2:])} tokens; "
                f"expected {expected} ({trace.prefix_tokens} before a {trace.grid[0]}×{trace.grid[1]} grid)."
            )
        require_finite(f"The attention of layer {layer}", weights)
        if not trace.signed:
            sums = weights.detach().float().sum(dim=-1)
            tolerance = 1e-3 if weights.dtype == torch.float32 else 2e-2
            if not torch.allclose(sums, torch.ones_like(sums), atol=tolerance):
                raise ShapeError(f"Rows of layer {layer} sum to {sums.min():.3f} to {sums.max():.3f}; expected 1.")
    return trace
