"""timm's vision transformers from local folders keep the contract."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from core.errors import IncompatibleError, MissingWeightsError, ShapeError
from core.models.timm_folder import load_timm
from core.models.timm_vit import TimmViT

SHAPE = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
# name: (architecture, arguments, classes, tokens before the patches, of which positioned)
MODELS = {
    "classifier": ("vit_tiny_patch16_224", SHAPE, 3, 1, 1),
    "headless": ("vit_tiny_patch16_224", SHAPE, 0, 1, 1),
    "registers": ("vit_tiny_patch16_224", {**SHAPE, "reg_tokens": 4, "no_embed_class": True}, 3, 5, 0),
    "mean": ("vit_tiny_patch16_224", {**SHAPE, "class_token": False, "global_pool": "avg"}, 3, 0, 0),
    "distilled": ("deit_tiny_distilled_patch16_224", SHAPE, 3, 2, 2),
}


def saved(folder: Path, architecture: str, arguments: dict, classes: int, **config: object) -> Path:
    torch.manual_seed(0)
    model = timm.create_model(architecture, pretrained=False, num_classes=classes, **arguments)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    save_file(model.state_dict(), folder / "model.safetensors")
    settings = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.9}
    content = {"architecture": architecture, "num_classes": classes, "model_args": arguments}
    (folder / "config.json").write_text(json.dumps({**content, "pretrained_cfg": settings, **config}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_contract(tmp_path, name):
    architecture, arguments, classes, prefix, positioned = MODELS[name]
    network = load_timm(saved(tmp_path, architecture, arguments, classes))
    module = network.module
    assert isinstance(module, TimmViT)
    images = torch.randn(2, 3, 32, 32)
    trace = module.trace(images)
    assert len(trace.attention) == len(trace.tokens) == module.depth == 2
    assert (trace.grid, trace.prefix_tokens) == ((4, 4), prefix)
    torch.testing.assert_close(trace.embedding, module.embed(images), atol=1e-4, rtol=1e-4)
    if classes:
        torch.testing.assert_close(trace.logits, module(images), atol=1e-4, rtol=1e-4)
    else:
        with pytest.raises(IncompatibleError):
            module(images)
    assert len(network.classes) == classes
    score = trace.logits[:, 0] if classes else trace.embedding.norm(dim=1)
    assert all(gradient.abs().max() > 0 for gradient in torch.autograd.grad(score.sum(), trace.attention))
    table, grid, before = module.positions()
    assert table.shape == (positioned + 16, 32)
    assert (grid, before) == ((4, 4), positioned)


def test_nothing_stays_behind_after_a_trace(tmp_path):
    module = load_timm(saved(tmp_path, *MODELS["classifier"][:3])).module
    fused = [block.attn.fused_attn for block in module.model.blocks]
    with pytest.raises(ShapeError):
        module.trace(torch.zeros(1, 3, 24, 24))
    module.trace(torch.zeros(1, 3, 32, 32))
    assert [block.attn.fused_attn for block in module.model.blocks] == fused
    assert not any(part._forward_hooks for part in module.modules())


def test_preprocessing_and_labels(tmp_path):
    folder = saved(tmp_path, *MODELS["classifier"][:3], label_names=["a", "b", "c"])
    network = load_timm(folder)
    assert network.classes == ("a", "b", "c")
    assert (network.preprocessing.size, network.preprocessing.resized) == (32, 35)  # 32 / 0.9, rounded down
    assert network.preprocessing.normalisation.mean == (0.5, 0.5, 0.5)


def test_what_is_refused(tmp_path):
    folder = saved(tmp_path, *MODELS["classifier"][:3])
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for architecture in ("hf-hub:timm/vit_tiny_patch16_224", "local-dir:/tmp", "nope", None):
        (folder / "config.json").write_text(json.dumps({**config, "architecture": architecture}), encoding="utf-8")
        with pytest.raises(IncompatibleError):
            load_timm(folder)
    (folder / "config.json").write_text(json.dumps({**config, "model_args": {**SHAPE, "depth": 3}}), encoding="utf-8")
    with pytest.raises(MissingWeightsError, match="do not fit"):
        load_timm(folder)
    (folder / "config.json").write_text(json.dumps({**config, "model_args": {"no_such_option": 1}}), encoding="utf-8")
    with pytest.raises(IncompatibleError, match="cannot build"):
        load_timm(folder)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Path}))
    with pytest.raises(MissingWeightsError):
        load_timm(folder)


def test_a_checkpoint_path_in_the_configuration_is_not_followed(tmp_path):
    folder = saved(tmp_path, *MODELS["classifier"][:3])
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["model_args"]["checkpoint_path"] = str(tmp_path / "evil.pth")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    load_timm(folder)
