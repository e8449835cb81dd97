"""Gradient relevance: order of layers, dependence on the class, and no trace left on the model."""

from __future__ import annotations

import numpy as np
import torch

from core.methods.accuracy.targets import Target
from core.methods.attention.relevance import gradient_relevance
from core.models.differential import DifferentialViT
from core.models.vit import ViT, ViTConfig

TINY = {"image_size": 16, "patch_size": 4, "embed_dim": 32, "depth": 3, "num_heads": 2, "classes": 5}


def model_of(family: type[ViT], seed: int = 0) -> ViT:
    torch.manual_seed(seed)
    model = family(ViTConfig(**TINY)).eval()
    with torch.no_grad():
        for block in model.blocks:
            block.attention.qkv.weight.mul_(10)  # type: ignore[union-attr, operator]
    return model


def test_equals_the_formula_written_out() -> None:
    """R ← R + mean_h relu(∇A ⊙ A) R from the first layer to the last, each gradient with its own layer."""
    model, image = model_of(ViT), torch.randn(1, 3, 16, 16)
    trace = model.trace(image)
    for weights in trace.attention:
        weights.retain_grad()
    assert trace.logits is not None
    trace.logits[0, 3].backward()
    expected = torch.eye(17)
    for weights in trace.attention:
        assert weights.grad is not None
        expected = expected + (weights.grad * weights).clamp(min=0)[0].mean(dim=0) @ expected
    ours = gradient_relevance(model, image, Target(class_index=3))
    np.testing.assert_allclose(ours[-1].ravel(), expected[0, 1:].detach().numpy(), atol=1e-6)
    assert ours.shape == (3, 4, 4)


def test_depends_on_the_class() -> None:
    model, image = model_of(ViT), torch.randn(1, 3, 16, 16)
    first = gradient_relevance(model, image, Target(class_index=0))[-1]
    second = gradient_relevance(model, image, Target(class_index=1))[-1]
    assert not np.allclose(first, second)


def test_works_on_signed_maps_and_on_embeddings() -> None:
    image = torch.randn(1, 3, 16, 16)
    for family in (ViT, DifferentialViT):
        for target in (Target(class_index=2), Target()):
            values = gradient_relevance(model_of(family), image, target)[-1]
            assert np.isfinite(values).all()
            assert (values >= 0).all()
            assert values.max() > 0


def test_leaves_no_gradients_and_restores_the_parameters() -> None:
    model, image = model_of(ViT), torch.randn(1, 3, 16, 16)
    model.head.weight.requires_grad_(False)
    gradient_relevance(model, image, Target(class_index=0))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.head.weight.requires_grad
    assert model.norm.weight.requires_grad
