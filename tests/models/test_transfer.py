"""A backbone for other classes: every weight but the head's is the original's, in every library's layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision import models
from transformers import ViTConfig as HubViTConfig
from transformers import ViTForImageClassification, ViTModel

from core.errors import ConfigError, IncompatibleError, UnknownNameError
from core.methods.accuracy.targets import pick_target
from core.methods.attention.gradcam import grad_cam
from core.models.backbones import for_classes, open_backbone
from core.models.checkpoint import ModelCard, build, save_model
from core.models.transfer import head_of, head_parameters
from core.models.weights import load

VIT = {"image_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "classes": 3}
HUB = {"image_size": 16, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    torch.manual_seed(0)


def card(family: str, config: dict[str, object]) -> ModelCard:
    return ModelCard(
        family=family, title=family, config=config, classes=("a", "b", "c"), mean=(0.5,) * 3, std=(0.2,) * 3,
        dataset="none", recipe="", command="", date="",
    )  # fmt: skip


def save_own(folder: Path, family: str, config: dict[str, object]) -> None:
    save_model(folder, build(family, config), card(family, config))


def save_timm(folder: Path) -> None:
    folder.mkdir()
    save_file(timm.create_model("test_efficientnet", num_classes=4).state_dict(), folder / "model.safetensors")
    settings = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3}
    config = {"architecture": "test_efficientnet", "num_classes": 4, "pretrained_cfg": settings}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def save_all(folder: Path) -> dict[str, Path]:
    save_own(folder / "vit", "vit", VIT)
    save_own(folder / "small_cnn", "small_cnn", {"image_size": 16, "width": 8, "stages": 2, "classes": 3})
    save_timm(folder / "timm")
    ViTForImageClassification(HubViTConfig(**HUB, intermediate_size=32)).save_pretrained(folder / "classifier")
    ViTModel(HubViTConfig(**HUB, intermediate_size=32), add_pooling_layer=False).save_pretrained(folder / "headless")
    torch.save(models.resnet18(num_classes=4).state_dict(), folder / "resnet18.pth")
    return {path.stem: path for path in folder.iterdir() if path.name not in ("home", "torch")}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> dict[str, Path]:
    return save_all(tmp_path_factory.mktemp("saved"))


@pytest.mark.parametrize("kind", ["vit", "small_cnn", "timm", "classifier", "headless", "resnet18"])
def test_all_but_the_head_is_the_originals_and_survives_the_disk(tmp_path, saved, kind):
    path = saved[kind]
    backbone = open_backbone(f"folder:{path}")
    size = backbone.config.image_size
    module, config = for_classes(backbone, 5, size)
    images = torch.randn(2, 3, size, size)
    module.eval()
    with torch.no_grad():
        assert module(images).shape == (2, 5)
        torch.testing.assert_close(module.embed(images), backbone.module.embed(images))
        torch.testing.assert_close(head_of(module)(module.embed(images)), module(images))
    assert {name.rpartition(".")[2] for name in head_parameters(module)} == {"weight", "bias"}

    stored = ModelCard(**{**vars(card("transfer", vars(config))), "classes": tuple("abcde")})
    save_model(tmp_path / "finished", module, stored)
    loaded = load(f"folder:{tmp_path / 'finished'}")
    assert loaded.network.preprocessing.size == size
    assert "classifier" in loaded.spec.capabilities
    with torch.no_grad():
        torch.testing.assert_close(loaded.module(images), module(images), atol=2e-3, rtol=2e-2)
    if "convolution" in loaded.spec.capabilities:
        assert grad_cam(loaded.module, images[:1], pick_target(loaded.module, images[:1])).ndim == 2
    else:
        assert len(loaded.module.trace(images).attention) == 2
    again, _ = for_classes(open_backbone(f"folder:{tmp_path / 'finished'}"), 7, size)
    assert again(images).shape == (2, 7)


def test_random_weights_need_no_file():
    backbone = open_backbone("resnet18", pretrained=False)
    module, config = for_classes(backbone, 3, 32)
    assert (backbone.module, config.layout, config.image_size) == (None, "torchvision", 32)
    assert module(torch.randn(2, 3, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize("builder", ["googlenet", "inception_v3"])
def test_auxiliary_heads_are_left_out(builder):
    module, _ = for_classes(open_backbone(builder, pretrained=False), 3, 96)
    assert module.train()(torch.randn(2, 3, 96, 96)).shape == (2, 3)


def test_what_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="resnet18"):
        open_backbone("resnet8")
    save_own(tmp_path / "vit", "vit", VIT)
    with pytest.raises(ConfigError, match="16 pixels only"):
        for_classes(open_backbone(f"folder:{tmp_path / 'vit'}"), 3, 32)
    squeezenet, _ = for_classes(open_backbone("squeezenet1_1", pretrained=False), 3, 64)
    with pytest.raises(IncompatibleError, match="no linear head"):
        head_parameters(squeezenet)
