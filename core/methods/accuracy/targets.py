"""The one number that an explanation explains: a class's logit or probability, or how alike the embedding stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.device import as_input_of, inference
from core.finite import require_finite

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.models.trace import Trace


@dataclass(frozen=True)
class Target:
    """What is being explained.

    Attributes:
        class_index: a class of the model; None for a backbone without a head, or to explain the embedding.
        reference: (dim,) embedding of the unchanged image, for the embedding target.
    """

    class_index: int | None = None
    reference: Tensor | None = None


@inference
def pick_target(module: nn.Module, image: Tensor, class_index: int | None = None, *, classifier: bool = True) -> Target:
    """What to explain about `image` (1, channels, height, width): the given class, the predicted one, its embedding."""
    image = as_input_of(module, image)
    if not classifier:
        reference = module.embed(image)[0].clone()  # type: ignore[operator]
        require_finite("The embedding", reference)
        return Target(reference=reference)
    if class_index is None:
        logits = module(image)[0]
        require_finite("The logits", logits)
        class_index = int(logits.argmax())
    return Target(class_index=class_index)


@inference
def target_confidence(module: nn.Module, images: Tensor, target: Target) -> Tensor:
    """(batch,) in [0, 1] (or [-1, 1]): the class's probability, or the cosine with the reference embedding."""
    import torch

    images = as_input_of(module, images)
    if target.class_index is not None:
        logits = module(images).float()
        require_finite("The logits", logits)
        return logits.softmax(dim=1)[:, target.class_index]
    assert target.reference is not None
    embedded = module.embed(images).float()  # type: ignore[operator]
    require_finite("The embeddings", embedded)
    return torch.cosine_similarity(embedded, target.reference[None].to(images.device, torch.float32))


def trace_score(trace: Trace, target: Target) -> Tensor:
    """(batch,), differentiable: the class logit, or the embedding's length along its own direction.

    The cosine with itself is at its maximum and has no gradient, hence the length for backbones without a head.
    """
    if target.class_index is not None:
        assert trace.logits is not None
        return trace.logits[:, target.class_index]
    from torch.nn.functional import normalize

    direction = normalize(trace.embedding.detach(), dim=1)
    return (trace.embedding * direction).sum(dim=1)
