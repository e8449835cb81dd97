"""Layers: found in order, in every family, without the other tower of an image-text model."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torchvision import models
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

from core.models.cnn import ConvolutionalClassifier
from core.models.layers import Layer, find_layers, layer_at
from core.models.open_clip_folder import load_open_clip
from core.models.small_cnn import SmallCNN, SmallCNNConfig
from core.models.timm_vit import TimmViT
from core.models.transformers_vision import TransformersViT
from core.models.vae import VAE, VAEConfig
from core.models.vit import ViT, ViTConfig
from tests.clip_toy import save_tiny_clip

HUB = {"image_size": 16, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}


def paths(layers: tuple[Layer, ...]) -> list[str]:
    assert [layer.number for layer in layers] == list(range(1, len(layers) + 1))
    return [layer.path for layer in layers]


def test_blocks_of_transformers() -> None:
    own = ViT(ViTConfig(image_size=16, patch_size=8, embed_dim=16, depth=3, num_heads=2)).eval()
    assert paths(find_layers(own, 16)) == [f"blocks.{index}" for index in range(3)]
    hub = TransformersViT(Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**HUB))).eval()
    found = find_layers(hub, 16)
    assert len(found) == 3
    assert {layer.shape for layer in found} == {(1 + 4 + 4, 16)}
    wightman = TimmViT(timm.create_model("test_vit", img_size=16, patch_size=8)).eval()
    assert len(find_layers(wightman, 16)) == wightman.depth


def test_stages_end_where_the_resolution_changes_and_no_branch_is_one() -> None:
    small = SmallCNN(SmallCNNConfig(image_size=16, width=4, stages=2)).eval()
    assert paths(find_layers(small, 16)) == ["stem", "stages.0", "stages.1"]
    resnet = ConvolutionalClassifier(models.resnet18(num_classes=3)).eval()
    assert paths(find_layers(resnet, 64))[1:] == [f"model.layer{number}" for number in range(1, 5)]
    vgg = ConvolutionalClassifier(models.vgg11(num_classes=3)).eval()
    assert [layer.shape[1] for layer in find_layers(vgg, 64)] == [64, 32, 16, 8, 7, 4, 2]


def test_only_the_image_tower_of_an_image_text_model(tmp_path: Path) -> None:
    # Both towers have two blocks.
    network = load_open_clip(save_tiny_clip(tmp_path / "clip"))
    assert all(".visual." in path for path in paths(find_layers(network.module, 32)))


@pytest.mark.parametrize(("depth", "expected"), [(1, (1, 1, 1)), (3, (1, 2, 3)), (6, (2, 3, 6)), (12, (3, 6, 12))])
def test_a_share_of_the_depth(depth: int, expected: tuple[int, ...]) -> None:
    layers = tuple(Layer(path=str(n), kind="block", number=n, shape=(1, 1)) for n in range(1, depth + 1))
    assert tuple(layer_at(layers, share).number for share in (0.25, 0.5, 1)) == expected


def test_no_hook_is_left_and_nothing_learns() -> None:
    module = ViT(ViTConfig(image_size=16, patch_size=8, embed_dim=16, depth=2, num_heads=2)).eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    find_layers(module, 16)
    assert not any(part._forward_hooks for part in module.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_a_network_of_grey_pictures_is_shown_grey() -> None:
    model = VAE(VAEConfig(image_size=8, network="conv", width=2, hidden_dim=4)).eval()
    assert [layer.shape[1:] for layer in find_layers(model, 8)] == [(4, 4), (2, 2)]
    assert find_layers(VAE(VAEConfig(image_size=8, hidden_dim=4)).eval(), 8) == ()
