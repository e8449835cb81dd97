"""The explanation methods that can be ranked against each other: one verb, one (rows, columns) map each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.errors import UnknownNameError
from core.models.spec import Capability, ModelSpec

# What computes is imported by who computes: a list of methods must not load PyTorch.
if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.methods.accuracy.targets import Target


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One method: what it is called, what it needs, how to compute it for one image (1, channels, height, width)."""

    name: str
    title: str
    summary: str
    needs: Capability | None
    explain: Callable[[nn.Module, Tensor, Target], np.ndarray]


def _last_attention(module: nn.Module, image: Tensor, target: Target) -> np.ndarray:
    from core.methods.attention.attention import attention_maps, readout_maps

    return np.abs(readout_maps(attention_maps(module, image))[-1]).mean(axis=0)


def _rollout(module: nn.Module, image: Tensor, target: Target) -> np.ndarray:
    from core.methods.attention.attention import attention_maps
    from core.methods.attention.rollout import rollout_maps

    return rollout_maps(attention_maps(module, image))[-1]


def _relevance(module: nn.Module, image: Tensor, target: Target) -> np.ndarray:
    from core.methods.attention.relevance import gradient_relevance

    return gradient_relevance(module, image, target)[-1]


def _grad_cam(module: nn.Module, image: Tensor, target: Target) -> np.ndarray:
    from core.methods.attention.gradcam import grad_cam

    return grad_cam(module, image, target)


def _integrated_gradients(module: nn.Module, image: Tensor, target: Target) -> np.ndarray:
    from core.methods.attention.integrated_gradients import integrated_gradients

    return integrated_gradients(module, image, target).patches


EXPLANATIONS: dict[str, Explanation] = {
    explanation.name: explanation
    for explanation in (
        Explanation(
            name="attention",
            title="Last-layer attention",
            summary="What the head of the model reads attends to in the last block, mean of the attention heads.",
            needs="attention",
            explain=_last_attention,
        ),
        Explanation(
            name="rollout",
            title="Attention rollout",
            summary="Attention followed through all layers and skip connections; the same for every class.",
            needs="attention",
            explain=_rollout,
        ),
        Explanation(
            name="relevance",
            title="Gradient relevance",
            summary="Attention weighted by its gradient: what speaks for this one class.",
            needs="attention",
            explain=_relevance,
        ),
        Explanation(
            name="gradcam",
            title="Grad-CAM",
            summary="The last feature maps, weighted by their gradient: what speaks for this one class.",
            needs="convolution",
            explain=_grad_cam,
        ),
        Explanation(
            name="integrated_gradients",
            title="Integrated gradients",
            summary="Gradients summed on the way from the mean colour to the picture: what each patch adds.",
            needs=None,
            explain=_integrated_gradients,
        ),
    )
}


def explanations_for(spec: ModelSpec) -> list[Explanation]:
    """The methods that work with a model, in order of presentation; Grad-CAM needs a class too.

    Those that need nothing of the network but gradients go with the others, where a model can be looked into at all.
    """
    if spec.lacks("attention") and (spec.lacks("convolution") or spec.lacks("classifier")):
        return []
    usable = [each for each in EXPLANATIONS.values() if each.needs is None or not spec.lacks(each.needs)]
    return [each for each in usable if each.name != "gradcam" or not spec.lacks("classifier")]


def find_explanation(name: str) -> Explanation:
    """The method called `name`."""
    if name not in EXPLANATIONS:
        raise UnknownNameError("explanation", name, EXPLANATIONS)
    return EXPLANATIONS[name]
