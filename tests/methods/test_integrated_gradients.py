"""Integrated gradients: completeness, a network whose answer is known, and no trace left on the model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import ConfigError, ShapeError
from core.methods.accuracy.targets import Target, pick_target
from core.methods.attention.explanations import explanations_for, find_explanation
from core.methods.attention.integrated_gradients import integrated_gradients
from core.models.catalogue import find_model
from core.models.differential import DifferentialViT
from core.models.small_cnn import SmallCNN, SmallCNNConfig
from core.models.vit import ViT, ViTConfig

SIZE = {"image_size": 16, "classes": 5}


def vit() -> nn.Module:
    return ViT(ViTConfig(**SIZE, patch_size=4, embed_dim=32, depth=2, num_heads=2)).eval()


def differential() -> nn.Module:
    return DifferentialViT(ViTConfig(**SIZE, patch_size=4, embed_dim=32, depth=2, num_heads=2)).eval()


def cnn() -> nn.Module:
    return SmallCNN(SmallCNNConfig(**SIZE, width=4)).eval()


class Products(nn.Module):
    """Class 0 is the sum of squares; class 1 of products of the first two channels."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([images.square().sum((1, 2, 3)), (images[:, 0] * images[:, 1]).sum((1, 2))], dim=1)


def test_of_a_sum_of_squares_each_pixel_gets_its_own() -> None:
    """∫ 2(b + a(x − b))(x − b) da = x² − b², exact for two steps already."""
    image = torch.randn(1, 3, 8, 8)
    base = image.mean(dim=(2, 3), keepdim=True)
    expected = (image**2 - base**2).sum(dim=1)[0].reshape(4, 2, 4, 2).sum(dim=(1, 3))
    found = integrated_gradients(Products(), image, Target(class_index=0), grid=(4, 4), steps=2)
    np.testing.assert_allclose(found.patches, expected.numpy(), atol=1e-4)
    assert found.added == pytest.approx(float((image**2).sum() - base.square().sum() * 64), abs=1e-3)


def test_patches_that_do_not_divide_the_picture_lose_nothing() -> None:
    image = torch.randn(1, 3, 10, 7)
    found = integrated_gradients(Products(), image, Target(class_index=1), grid=(3, 4), steps=2)
    assert found.patches.shape == (3, 4)
    assert abs(found.gap) < 1e-4


@pytest.mark.parametrize("build", [vit, differential, cnn])
@pytest.mark.parametrize("class_index", [3, None])
def test_the_shares_sum_to_what_the_picture_adds(build: Callable[[], nn.Module], class_index: int | None) -> None:
    torch.manual_seed(0)
    module, image = build(), torch.randn(1, 3, 16, 16)
    target = pick_target(module, image, class_index, classifier=class_index is not None)
    found = integrated_gradients(module, image, target, steps=64)
    assert abs(found.added) > 1e-3
    assert abs(found.gap) < 0.02 * np.abs(found.patches).sum()
    assert found.patches.shape == ((8, 8) if build is cnn else (4, 4))
    with torch.no_grad():
        ends = torch.cat([image, image.mean(dim=(2, 3), keepdim=True).expand_as(image)])
        if class_index is not None:
            scores = module(ends)[:, class_index]
        else:
            embedded = module.embed(ends)  # type: ignore[operator]
            scores = embedded @ embedded[0] / embedded[0].norm()
    assert found.added == pytest.approx(float(scores[0] - scores[1]), abs=1e-4)


def test_steps_are_taken_together_or_alone_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    module, image = vit(), torch.randn(1, 3, 16, 16)
    together = integrated_gradients(module, image, Target(class_index=1), steps=6).patches
    monkeypatch.setattr("core.methods.attention.integrated_gradients.BATCH", 1)
    np.testing.assert_allclose(
        together, integrated_gradients(module, image, Target(class_index=1), steps=6).patches, atol=1e-6
    )


def test_leaves_no_gradients() -> None:
    module = vit()
    integrated_gradients(module, torch.randn(1, 3, 16, 16), Target(class_index=0), steps=2)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in module.parameters())


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="step"):
        integrated_gradients(Products(), torch.randn(1, 3, 8, 8), Target(class_index=0), steps=0)
    with pytest.raises(ShapeError, match="2"):
        integrated_gradients(Products(), torch.randn(2, 3, 8, 8), Target(class_index=0))


def test_vits_and_cnns_alike_are_offered_it() -> None:
    for name in ("vit_p4", "differential_vit_p4", "cnn_small", "vit_s14_saliency"):
        assert find_explanation("integrated_gradients") in explanations_for(find_model(name)), name
    assert explanations_for(find_model("vae_2d")) == []
