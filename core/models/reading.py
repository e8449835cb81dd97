"""What a head reads of the last tokens, found out by asking it instead of assumed from the model's name.

The question is a gradient: how much does each token, after the last norm, move what the head is given? A class token, a
mean, a distilled DeiT's two tokens or DINOv2's class token beside the mean patch all answer the same for every picture.
Attention pooling and maxima do not, and are read picture by picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import IncompatibleError
from core.models.layers import first_tensor
from core.models.trace import Mixture, Reading
from core.seeding import stream_seed, torch_generator

# Gradients of sums over thousands of numbers agree to about six digits.
_TOLERANCE = 1e-3
_ATTENTION_POOLING = "the mix of tokens that attention pooling makes"
_DEPENDS = "the mix of tokens that the head makes of this picture"


def gradient_shares(embedding: Tensor, tokens: Tensor) -> Tensor:
    """How much each of the final `tokens` (batch, tokens, dim) moves the `embedding` (batch, dim'): (batch, tokens).

    The gradient of a random ±1 sum over the embedding, its magnitudes summed over a token's dimensions; each row sums
    to 1. For a mean, a sum or a concatenation of tokens these are exactly their weights, for a maximum the share of
    dimensions in which a token is the largest.

    Raises:
        IncompatibleError: the embedding does not depend on these tokens.
    """
    generator = torch_generator(stream_seed("signs of a reading"))
    signs = torch.randint(0, 2, embedding.shape[1:], generator=generator).to(embedding) * 2 - 1
    (gradient,) = torch.autograd.grad((embedding * signs).sum(), tokens, allow_unused=True)
    size = torch.zeros(tokens.shape[:2]) if gradient is None else gradient.float().abs().sum(dim=-1)
    total = size.sum(dim=-1, keepdim=True)
    if not bool((total > 0).all()):
        raise IncompatibleError(
            "What the head reads cannot be told: it does not depend on the last tokens.", "Choose a plain ViT."
        )
    return (size / total).detach()


@contextmanager
def asking() -> Iterator[None]:
    """A gradient can be asked for inside, whatever the caller has switched off; in full precision."""
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
    ):
        yield


def shares_of(read: Callable[[Tensor], Tensor], tokens: Tensor) -> Tensor:
    """`gradient_shares` of a head that can be called by itself: `read` gives the embedding of `tokens`."""
    with asking():
        leaf = tokens.detach().clone().requires_grad_()
        return gradient_shares(read(leaf), leaf)


def find_reading(shares: Tensor, prefix_tokens: int, prefix_names: Sequence[str] = ()) -> Reading | None:
    """What a head reads, given its `shares` (2 or more, tokens) of unlike tokens; None if the tokens decide.

    Args:
        prefix_names: of the tokens before the patches, as "class token".
    """
    share, others = shares[0], shares[1:]
    if not torch.allclose(others, share.expand_as(others), rtol=_TOLERANCE, atol=_TOLERANCE / len(share)):
        return None
    share = share.cpu()
    patches = share[prefix_tokens:]
    names = [*prefix_names[:prefix_tokens], *("register" for _ in range(prefix_tokens - len(prefix_names)))]
    read = [index for index in range(prefix_tokens) if float(share[index]) > _TOLERANCE / len(share)]
    if _even(share) and prefix_tokens:
        return _mixture(torch.ones_like(share), f"the mean of all tokens, the {names[0]} among them")
    if not read and _even(patches):
        return "mean"
    if read == [0] and names[0] == "class token" and float(patches.sum()) < _TOLERANCE:
        return "class_token"
    parts = [(f"the {names[index]}", float(share[index])) for index in read]
    if float(patches.sum()) > _TOLERANCE:
        parts.append(("the mean of all patches" if _even(patches) else _of_patches(patches), float(patches.sum())))
    return _mixture(share, _listed(parts))


def attention_pooling(weights: Tensor, before: int = 0) -> Mixture:
    """The reading of attention pooling: `weights` (batch, tokens) after `before` tokens that it leaves out."""
    weights = nn.functional.pad(weights.detach().float(), (before, 0))
    return Mixture(weights=weights, name=_ATTENTION_POOLING, fixed=False)


def by_gradient(shares: Tensor) -> Mixture:
    """The reading of any other head whose `shares` (batch, tokens) depend on the picture."""
    return Mixture(weights=shares, name=_DEPENDS, fixed=False)


def pooling_weights(pool: Any, tokens: Tensor) -> Tensor | None:
    """(batch, tokens): the attention of a pooling head's own query, mean of its heads; None if it is of no known kind.

    `pool`: timm's `AttentionPoolLatent`, or the head of transformers' SigLIP.
    """
    if isinstance(getattr(pool, "attention", None), nn.MultiheadAttention) and hasattr(pool, "probe"):
        probe = pool.probe.expand(len(tokens), -1, -1).to(tokens.dtype)
        return pool.attention(probe, tokens, tokens, need_weights=True)[1].mean(dim=1)
    if not all(hasattr(pool, name) for name in ("latent", "q", "kv", "q_norm", "k_norm", "num_heads", "scale")):
        return None
    if getattr(pool, "pos_embed", None) is not None:
        tokens = tokens + pool.pos_embed[None].to(tokens.dtype)
    split = (len(tokens), -1, pool.num_heads, pool.head_dim)
    query = pool.q_norm(pool.q(pool.latent.expand(len(tokens), -1, -1)).reshape(split).transpose(1, 2))
    key = pool.k_norm(pool.kv(tokens).chunk(2, dim=-1)[0].reshape(split).transpose(1, 2))
    weights = (query * pool.scale @ key.transpose(-2, -1)).softmax(dim=-1).mean(dim=1)
    return weights[:, 0] if pool.pool == "token" else weights.mean(dim=1)


@contextmanager
def cut_after(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """The tokens that leave each block become leaves, so that no block's graph is kept for a gradient to the last."""

    def cut(module: nn.Module, inputs: Any, output: Any) -> Any:
        leaf = first_tensor(output).detach().requires_grad_()
        return (leaf, *output[1:]) if isinstance(output, tuple) else leaf

    handles = [block.register_forward_hook(cut) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _even(shares: Tensor) -> bool:
    return torch.allclose(shares, shares.mean().expand_as(shares), rtol=_TOLERANCE, atol=1e-7)


def _of_patches(shares: Tensor) -> str:
    read = int((shares > _TOLERANCE / len(shares)).sum())
    return "one patch" if read == 1 else f"{read} of the patches, unevenly"


def _mixture(weights: Tensor, name: str) -> Mixture:
    weights = weights.float()[None]
    return Mixture(weights=weights / weights.sum(), name=name, fixed=True)


def _listed(parts: list[tuple[str, float]]) -> str:
    """ "the class token and the distillation token, half each"."""
    names = " and ".join(name for name, _ in parts)
    if len(parts) < 2:
        return names
    if max(share for _, share in parts) - min(share for _, share in parts) < 0.01:
        return f"{names}, {'half each' if len(parts) == 2 else 'in equal parts'}"
    return f"{names} ({', '.join(f'{share:.0%}' for _, share in parts)})"
