"""Random weights: what is shuffled and what is not, and that a map which asks no network is found out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import ConfigError
from core.methods.accuracy.targets import Target
from core.methods.attention.explanations import find_explanation
from core.methods.attention.randomisation import (
    map_similarity,
    randomised,
    sanity_similarities,
    summarise_sanity,
)
from core.models.small_cnn import SmallCNN, SmallCNNConfig
from core.models.vit import ViT, ViTConfig


def vit() -> ViT:
    torch.manual_seed(0)
    model = ViT(ViTConfig(image_size=16, patch_size=2, embed_dim=32, depth=4, num_heads=2, classes=5)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def changed(before: nn.Module, after: nn.Module) -> list[str]:
    pairs = zip(before.named_parameters(), after.parameters(), strict=True)
    return [name for (name, first), second in pairs if not torch.equal(first, second)]


def test_the_head_goes_first_and_all_of_it_last() -> None:
    model, images = vit(), torch.randn(2, 3, 16, 16)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    quarter, whole = (randomised(model, images, share) for share in (0.25, 1.0))
    some = changed(model, quarter)
    assert {name.split(".")[0] for name in some} == {"blocks", "norm", "head"}
    assert any(name.startswith("blocks.3") for name in some)
    assert not any(name.startswith(("blocks.0", "blocks.1")) for name in some)
    assert len(changed(model, whole)) == len(list(model.parameters()))
    # A larger share goes on where the smaller one ended, and nothing happens to the model that was given.
    assert torch.equal(quarter.head.weight, whole.head.weight)  # type: ignore[union-attr]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_shuffling_keeps_every_number() -> None:
    model = vit()
    other = randomised(model, torch.randn(2, 3, 16, 16), 1.0)
    for first, second in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(first.flatten().sort().values, second.flatten().sort().values)


def test_batch_norm_is_measured_on_the_pictures() -> None:
    model = SmallCNN(SmallCNNConfig(image_size=16, classes=3, width=4)).eval()
    images = 100 * torch.randn(8, 3, 16, 16)
    seen: list[Tensor] = []
    other = randomised(model, images, 1.0)
    first = next(layer for layer in other.modules() if isinstance(layer, nn.BatchNorm2d))
    first.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        other(images)
    assert not other.training
    assert not any(layer.training for layer in other.modules())
    assert float(seen[0].std()) == pytest.approx(1, abs=0.1)


def test_map_similarity_is_of_the_order_alone() -> None:
    ramp = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert map_similarity(ramp, ramp**3) == pytest.approx(1)
    assert map_similarity(ramp, -ramp) == pytest.approx(1)
    assert map_similarity(ramp, np.ones((4, 4))) == 0
    assert map_similarity(ramp, np.array([[1, -1, -1, 1]] * 4)) == pytest.approx(0, abs=1e-6)
    assert map_similarity(ramp, np.kron(ramp, np.ones((2, 2))).astype(np.float32)) > 0.99


def brightness(module: nn.Module, image: Tensor, target: Target) -> np.ndarray:
    """A map that never asks the network."""
    return image.mean(dim=1)[0].numpy()


def test_a_map_of_the_picture_alone_is_found_out() -> None:
    images = torch.randn(8, 3, 16, 16)
    methods = {"relevance": find_explanation("relevance").explain, "brightness": brightness}
    found = sanity_similarities(vit(), images, methods)
    checks = summarise_sanity(found)
    assert checks["brightness"].similarity[0].mean == pytest.approx(1)
    assert checks["brightness"].outcome == "hardly changes"
    assert checks["relevance"].outcome == "changes"
    assert checks["relevance"].count == 8
    assert "not the network" in checks["brightness"].sentence("Brightness")
    said = checks["relevance"].sentence("Relevance")
    assert said.startswith("Relevance changes with the weights: with all layers random 0.")


def test_a_backbone_is_explained_by_its_own_embedding() -> None:
    found = sanity_similarities(
        vit(), torch.randn(2, 3, 16, 16), {"a": find_explanation("relevance").explain}, classifier=False, shares=(1.0,)
    )
    assert found["a"].shape == (2, 1)
    assert summarise_sanity(found, (1.0,))["a"].outcome == "too few images"


def test_a_share_is_a_share() -> None:
    with pytest.raises(ConfigError, match="share"):
        randomised(vit(), torch.randn(1, 3, 16, 16), 0)
