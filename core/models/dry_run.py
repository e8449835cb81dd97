"""What a network can be asked, found by asking it once: a trial of every ability on one small picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import torch

from core.errors import CoreError, IncompatibleError
from core.models.spec import Capability, Network
from core.seeding import stream_seed, torch_generator

_METHODS: dict[Capability, str] = {
    "attention": "trace",
    "convolution": "trace_maps",
    "positions": "positions",
    "image_text": "embed_texts",
    "text_to_image": "embed_prompts",
}


def find_abilities(network: Network) -> tuple[frozenset[Capability], dict[Capability, str]]:
    """What a network in eval mode, in nobody else's use, can be asked; and of the rest, where more can be said than
    that it is not so, why not, as the end of a sentence.

    Raises:
        IncompatibleError: it cannot even make a vector or classes of a picture.
    """
    module: Any = network.module
    rows, columns = getattr(module, "trial_size", None) or (network.preprocessing.size,) * 2
    weight = next(each for each in module.parameters() if each.is_floating_point())
    generator = torch_generator(stream_seed("trial picture"))
    picture = torch.randn(1, getattr(module, "image_channels", 3), rows, columns, generator=generator).to(weight)
    found: set[Capability] = set()
    reasons: dict[Capability, str] = {}
    trials: dict[str, Callable[[], object]] = {
        "positions": lambda: _has_table(module),
        "image_text": lambda: module.embed_texts(["a cat", "a dog"]),
    }
    with torch.no_grad():
        try:
            embedding = module.embed(picture)
            logits = module(picture) if network.classes else None
        except CoreError:
            raise
        except Exception as error:  # a library's module of a build that nobody foresaw
            raise IncompatibleError(
                f"A trial picture cannot be put through it: {_first_line(error)}",
                "Choose a classifier of images, or a model that embeds them.",
            ) from error
        if embedding.ndim != 2 or not bool(torch.isfinite(embedding).all()):
            raise IncompatibleError(
                f"It gives no vector of numbers for a picture, but {tuple(embedding.shape)}.", "Choose another model."
            )
        if logits is not None and tuple(logits.shape) == (1, len(network.classes)):
            found.add("classifier")
        for capability, method in _METHODS.items():
            if not hasattr(module, method):
                continue
            try:
                trials[capability]() if capability in trials else getattr(module, method)(picture)
            except Exception as error:  # the same
                reasons[capability] = _reason(capability, error)
            else:
                found.add(capability)
    if "attention" not in found:
        reasons.setdefault("attention", getattr(module, "lacks_attention", "") or "it has no attention layers")
    if "convolution" in reasons and "classifier" not in found:
        reasons["convolution"] = "it has no classification head"
    return frozenset(found), reasons


def _has_table(module: Any) -> None:
    if module.positions()[0] is None:
        raise IncompatibleError("it has no table of positional embeddings")


def _reason(capability: Capability, error: Exception) -> str:
    """The end of the sentence "it cannot be used here: …"."""
    assert capability in get_args(Capability)
    known = {
        "convolution": "its last stage gives no feature maps",
        "positions": "it has no table of positional embeddings",
    }
    cause = error.cause if isinstance(error, CoreError) else _first_line(error)
    return known.get(capability) or f"a trial failed ({cause.rstrip('.')})"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
