"""Reading intermediates out of third-party models: context managers that leave them as they were."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor, nn


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
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
