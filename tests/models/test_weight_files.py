"""Files of weights as trainings leave them are opened; what is no file of weights is named for what it is."""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from core.errors import IncompatibleError, MissingWeightsError
from core.models.catalogue import find_model
from core.models.cnn import load_torchvision
from core.models.state_dict import read_state_dict
from core.models.weights import load


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return models.resnet18(weights=None, num_classes=4).eval()


def prefixed(weights: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {f"{prefix}{name}": tensor for name, tensor in weights.items()}


# file name: what is saved of a state dict
CHECKPOINTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "model_state_dict.pth": lambda weights: {"epoch": 3, "model_state_dict": weights, "optimizer": {"state": {}}},
    "net.pth": lambda weights: {"net": weights, "acc": np.float64(91.2), "epoch": 7},
    "options.pth": lambda weights: {"model": weights, "args": argparse.Namespace(lr=0.1)},
    "any_key.pth": lambda weights: {"student": weights, "step": 12},
    "compiled.pth": lambda weights: prefixed(weights, "_orig_mod."),
    "compiled_and_parallel.pt": lambda weights: {"model": prefixed(weights, "_orig_mod.module.")},
    "averaged.pth": lambda weights: {"n_averaged": torch.tensor(5), **prefixed(weights, "module.")},
    "lightning.ckpt": lambda weights: {
        "state_dict": {**prefixed(weights, "model."), "criterion.weight": torch.ones(4)},
        "hyper_parameters": {"lr": 0.1}, "loops": {}, "pytorch-lightning_version": "2.0",
    },
    "attribute.ckpt": lambda weights: {"state_dict": prefixed(weights, "backbone_of_mine.")},
    "best.pth.tar": lambda weights: {"state_dict": prefixed(weights, "module."), "best_acc1": torch.tensor(70.0)},
    "nested.bin": lambda weights: {"checkpoint": {"state_dict": weights}, "epoch": 1},
    "with_epoch.pth": lambda weights: {**weights, "epoch": 3},
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_weights_are_found_in_what_trainings_save(network: nn.Module, tmp_path: Path, name: str) -> None:
    torch.save(CHECKPOINTS[name](network.state_dict()), tmp_path / name)
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    model = load(f"folder:{tmp_path / name}")
    torch.testing.assert_close(model.module(images), network(images))
    assert model.spec.capabilities == {"classifier", "convolution"}


def test_several_networks_in_a_file_are_not_guessed_among(network: nn.Module, tmp_path: Path) -> None:
    weights = network.state_dict()
    torch.save({"generator": weights, "critic": weights}, tmp_path / "two.pth")
    with pytest.raises(MissingWeightsError, match="several networks: critic, generator"):
        load_torchvision(tmp_path / "two.pth")


def test_a_part_called_model_is_no_wrapper(tmp_path: Path) -> None:
    weights = {"model.weight": torch.zeros(2), "head.weight": torch.zeros(2)}
    torch.save(weights, tmp_path / "a.pth")
    assert set(read_state_dict(tmp_path / "a.pth")) == set(weights)


class Program:
    """What a checkpoint must not be able to do."""

    def __reduce__(self) -> Any:
        return (print, ("run",))


def test_code_beside_the_weights_is_never_run(
    network: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": network.state_dict(), "callbacks": Program()}, tmp_path / "last.ckpt")
    with pytest.raises(MissingWeightsError, match="more than tensors"):
        load_torchvision(tmp_path / "last.ckpt")
    assert capsys.readouterr().out == ""


def scripted(path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(path))


def as_text(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, encoding="utf-8")


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n"
# file name: (how it is written, what is said, what is to be done)
NO_WEIGHTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "script.pt": (scripted, "TorchScript", "state_dict"),
    "pointer.pth": (as_text(POINTER), "pointer of Git LFS", "git lfs pull"),
    "page.pth": (as_text("\n<!DOCTYPE html><html>404</html>"), "web page", "/resolve/"),
    "page.safetensors": (as_text("<html>Sign in</html>"), "web page", "/resolve/"),
    "answer.ckpt": (as_text('{"error": "Repository not found"}'), "JSON", "/resolve/"),
    "notes.pth": (as_text("Entry not found"), "a text", "Download"),
    "nothing.bin": (lambda path: path.write_bytes(b""), "empty", "again"),
    "keras.pth": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64)), "HDF5", "export"),
    "packed.tar": (lambda path: path.write_bytes(gzip.compress(b"weights")), "gzip", "Unpack"),
    "half.pth": (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(200)), "damaged", "again"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_WEIGHTS)
def test_what_is_no_file_of_weights_is_named(tmp_path: Path, name: str) -> None:
    write, what, remedy = NO_WEIGHTS[name]
    write(tmp_path / name)
    with pytest.raises(MissingWeightsError, match=what) as caught:
        load_torchvision(tmp_path / name)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("layout", ["transformers", "timm", "open_clip", "diffusers"])
def test_pointers_in_folders_are_named_too(tmp_path: Path, layout: str) -> None:
    from tests.clip_toy import save_tiny_clip
    from tests.diffusion_toy import save_tiny_pipeline
    from tests.models.test_timm_vit import MODELS as TIMM
    from tests.models.test_timm_vit import saved as save_timm
    from tests.models.test_transformers_vit import saved as save_transformers

    folder = tmp_path / "model"
    folder.mkdir()
    name = "model.safetensors"
    if layout == "transformers":
        save_transformers("vit", folder)
    elif layout == "timm":
        save_timm(folder, *TIMM["classifier"][:3])
    elif layout == "open_clip":
        save_tiny_clip(folder)
    else:
        save_tiny_pipeline(folder)
        name = "unet/diffusion_pytorch_model.safetensors"
    (folder / name).write_text(POINTER, encoding="utf-8")
    with pytest.raises(MissingWeightsError, match="Git LFS"):
        load(f"folder:{folder}")


def test_an_adapter_says_which_model_it_needs(tmp_path: Path) -> None:
    folder = tmp_path / "lora"
    folder.mkdir()
    weights = {"base_model.model.vit.layer.0.lora_A.weight": torch.zeros(2, 2)}
    save_file(weights, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "base_model_name_or_path": "google/vit-base-patch16-224"}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(IncompatibleError, match="LoRA adapter: it changes google/vit-base-patch16-224"):
        find_model(f"folder:{folder}")
    with pytest.raises(IncompatibleError, match="LoRA adapter"):
        load(f"folder:{folder / 'adapter_model.safetensors'}")
