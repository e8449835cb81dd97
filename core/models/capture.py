"""Reading intermediates out of third-party models: context managers that leave them as they were."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


@contextmanager
def captured(modules: Iterable[nn.Module], what: Literal["input", "output"] = "output") -> Iterator[list[Tensor]]:
    """Collect what the `modules` receive or give, in call order, while the context is open.

    Tensors are the very ones of the computation, so gradients flow through them. Models are shared between sessions:
    hooks of one thread ignore the passes of all others.
    """
    collected: list[Tensor] = []
    owner = threading.get_ident()

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if threading.get_ident() == owner:
            collected.append(inputs[0] if what == "input" else output)

    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield collected
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def eager_attention(model: Any) -> Iterator[None]:
    """Switch a transformers model to the attention that returns its weights; fused kernels hand over none, silently."""
    with _attention(model, "eager"):
        yield


def can_fuse(model: Any) -> bool:
    """Whether a transformers model has a path through PyTorch's fused kernel that can be taken now."""
    fused = model.config._attn_implementation == "sdpa"
    return fused or (getattr(model, "_supports_sdpa", False) and model._can_set_attn_implementation())


@contextmanager
def fused_attention(model: Any) -> Iterator[None]:
    """Switch a transformers model that `can_fuse` to PyTorch's fused kernel."""
    with _attention(model, "sdpa"):
        yield


@contextmanager
def _attention(model: Any, implementation: str) -> Iterator[None]:
    before = model.config._attn_implementation
    if before == implementation:
        yield
        return
    model.set_attn_implementation(implementation)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def head_means() -> Iterator[list[Tensor]]:
    """Collect the head mean of every fused attention of this thread, (batch, 1, queries, keys) fp32, in call order.

    The values still go through the fused kernel, which hands over no weights: queries and keys are multiplied once
    more, for a few images at a time, so that no layer's heads are ever in memory for the whole batch. A CPU computes
    an image's weights once, in buffers that stay in its cache, and multiplies the values by them: half the time more.
    """
    collected: list[Tensor] = []
    with _Watching(collected):
        yield collected


class _Watching(TorchFunctionMode):
    """Sees the calls of fused attention, whichever library makes them; modes belong to a thread."""

    def __init__(self, collected: list[Tensor]) -> None:
        super().__init__()
        self.collected = collected

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            given = dict(zip(_NAMES, args, strict=False)) | kwargs
            if _is_plain(given):
                mean, values = _attend(given["query"], given["key"], given["value"], given.get("scale"))
                self.collected.append(mean)
                return values
            self.collected.append(_head_mean(**{name: given[name] for name in _SHAPING if name in given}))
        return func(*args, **kwargs)


_NAMES = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")


def _is_plain(given: dict[str, Any]) -> bool:
    """Whether attention is asked for on a CPU in fp32, without mask, dropout, fewer heads of keys, or gradient."""
    query = given["query"]
    if torch.is_grad_enabled() or query.device.type != "cpu" or query.dtype != torch.float32 or query.ndim != 4:
        return False
    shaped = given.get("attn_mask") is not None or given.get("is_causal") or given.get("enable_gqa")
    alike = query.shape[:2] == given["key"].shape[:2] == given["value"].shape[:2]
    return alike and not shaped and not given.get("dropout_p") and not torch.is_autocast_enabled("cpu")


def _attend(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> tuple[Tensor, Tensor]:
    """The head mean of the weights, (batch, 1, queries, keys), and the values, (batch, heads, queries, head_dim)."""
    batch, heads, queries, head_dim = query.shape
    query = query * (head_dim**-0.5 if scale is None else scale)
    mean = torch.empty(batch, 1, queries, key.shape[-2])
    values = torch.empty(batch, heads, queries, value.shape[-1])
    logits, weights = (torch.empty(heads, queries, key.shape[-2]) for _ in range(2))
    for image in range(batch):
        torch.bmm(query[image], key[image].transpose(-2, -1), out=logits)
        torch.softmax(logits, dim=-1, out=weights)
        torch.mean(weights, dim=0, keepdim=True, out=mean[image])
        torch.bmm(weights, value[image], out=values[image])
    return mean, values


_SHAPING = ("query", "key", "attn_mask", "is_causal", "scale")


def _head_mean(
    query: Tensor,
    key: Tensor,
    *,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """(batch, 1, queries, keys): the softmax weights of (batch, heads, tokens, head_dim), averaged over the heads."""
    batch, heads, queries, head_dim = query.shape
    query = query * (head_dim**-0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(queries, key.shape[-2], dtype=torch.bool, device=query.device).tril()
    mean = torch.empty(batch, 1, queries, key.shape[-2], device=query.device)
    # On a CPU one image at a time, whose heads then stay in its cache; a GPU wants more at once.
    chunk = 1 if query.device.type == "cpu" else max(1, 2**26 // (heads * queries * key.shape[-2]))
    for start in range(0, batch, chunk):
        some = slice(start, start + chunk)
        logits = query[some] @ key[some].transpose(-2, -1)
        if attn_mask is not None:
            mask = attn_mask[some] if attn_mask.ndim == 4 and len(attn_mask) == batch else attn_mask
            logits = logits.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else logits + mask
        torch.mean(logits.softmax(dim=-1, dtype=torch.float32), dim=1, keepdim=True, out=mean[some])
    return mean
