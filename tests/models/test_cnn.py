"""Convolutional networks: the maps belong to the logits, and files of weights find their architecture."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from core.errors import IncompatibleError, MissingWeightsError, OfflineError, UnknownNameError
from core.models.cnn import ConvolutionalClassifier, load_torchvision
from core.models.imagenet import imagenet_classes
from core.models.torchvision_weights import BASE, FILES, cached_weights, find_weights

# builder: (channels, side of the maps at 64 pixels, embedding)
NETWORKS = {
    "resnet18": (512, 2, 512),
    "vgg11": (512, 4, 4096),
    "densenet121": (1024, 2, 1024),
    "efficientnet_b0": (1280, 2, 1280),
    "mobilenet_v3_small": (576, 2, 1024),
    "convnext_tiny": (768, 2, 768),
    "shufflenet_v2_x0_5": (1024, 2, 1024),
}


@pytest.mark.parametrize("builder", NETWORKS)
def test_maps_logits_and_embedding_belong_together(builder):
    torch.manual_seed(0)
    network = ConvolutionalClassifier(models.get_model(builder, weights=None, num_classes=5).eval())
    images = torch.randn(2, 3, 64, 64)
    maps, logits = network.trace_maps(images)
    channels, side, dim = NETWORKS[builder]
    assert maps.shape == (2, channels, side, side)
    torch.testing.assert_close(logits, network(images))
    assert network.embed(images).shape == (2, dim)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), maps)
    assert gradient.abs().max() > 0
    assert not any(part._forward_hooks for part in network.modules())


def test_maps_of_a_resnet_are_those_that_its_pooling_reads():
    network = ConvolutionalClassifier(models.resnet18(weights=None).eval())
    images = torch.randn(1, 3, 64, 64)
    maps, logits = network.trace_maps(images)
    torch.testing.assert_close(network.model.fc(maps.mean(dim=(2, 3))), logits)
    torch.testing.assert_close(network.embed(images), maps.mean(dim=(2, 3)))


def test_timm_networks_cut_themselves():
    import timm

    network = ConvolutionalClassifier(timm.create_model("tf_efficientnet_lite0", pretrained=False).eval())
    images = torch.randn(1, 3, 64, 64)
    maps, logits = network.trace_maps(images)
    assert maps.shape == (1, 1280, 2, 2)
    torch.testing.assert_close(network.model.classifier(network.embed(images)), logits)
    assert torch.autograd.grad(logits[0, 0], maps)[0].abs().max() > 0


def test_attention_models_are_refused():
    with pytest.raises(IncompatibleError):
        ConvolutionalClassifier(models.vit_b_16(weights=None, image_size=32))
    with pytest.raises(UnknownNameError):
        find_weights("vit_b_16.IMAGENET1K_V1")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_of_weights_finds_its_architecture(tmp_path, suffix):
    torch.manual_seed(0)
    model = models.resnet18(weights=None, num_classes=4).eval()
    path = tmp_path / f"mine{suffix}"
    torch.save({"state_dict": model.state_dict()}, path) if suffix == ".pth" else save_file(model.state_dict(), path)
    network = load_torchvision(path)
    assert network.classes == ("class 0", "class 1", "class 2", "class 3")
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(network.module(images), model(images))


def test_old_densenet_names(tmp_path):
    weights = models.densenet121(weights=None, num_classes=2).state_dict()
    old = {}
    for name, tensor in weights.items():
        if "denselayer" in name:
            for part in ("norm", "conv"):
                for number in "12":
                    name = name.replace(f".{part}{number}.", f".{part}.{number}.")
        if not name.endswith("num_batches_tracked"):
            old[name] = tensor
    torch.save(old, tmp_path / "densenet121-a639ec97.pth")
    assert len(load_torchvision(tmp_path / "densenet121-a639ec97.pth").classes) == 2


def test_files_that_are_refused(tmp_path):
    with pytest.raises(MissingWeightsError, match="no file"):
        load_torchvision(tmp_path / "none.pth")
    path = tmp_path / "model.pth"
    torch.save(models.resnet18(weights=None), path)
    with pytest.raises(MissingWeightsError, match="more than tensors"):
        load_torchvision(path)
    path.write_bytes(pickle.dumps(Path("x")))
    with pytest.raises(MissingWeightsError):
        load_torchvision(path)
    torch.save([1, 2], path)
    with pytest.raises(MissingWeightsError, match="not a state dict"):
        load_torchvision(path)
    torch.save({"a": torch.zeros(2, 2)}, path)
    with pytest.raises(MissingWeightsError, match="no torchvision network"):
        load_torchvision(path)
    path.write_bytes(b"garbage")
    with pytest.raises(MissingWeightsError):
        load_torchvision(path)


def test_the_catalogue_files_are_those_of_torchvision():
    for location, file in FILES.items():
        assert find_weights(location).url == BASE + file


def test_published_weights_are_read_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("core.models.torchvision_weights.BASE", "http://127.0.0.1:9/")
    with pytest.raises(OfflineError, match=r"127\.0\.0\.1"):
        load_torchvision("efficientnet_b0.IMAGENET1K_V1")
    folder = tmp_path / "hub" / "checkpoints"
    assert list(folder.iterdir()) == []
    torch.save(models.efficientnet_b0(weights=None).state_dict(), folder / FILES["efficientnet_b0.IMAGENET1K_V1"])
    assert cached_weights("efficientnet_b0.IMAGENET1K_V1") is not None
    network = load_torchvision("efficientnet_b0.IMAGENET1K_V1")
    assert network.classes == imagenet_classes()
    assert (network.preprocessing.size, network.preprocessing.crop_share) == (224, 0.875)
    assert network.preprocessing.resample == "bicubic"


def test_unknown_names():
    with pytest.raises(UnknownNameError, match="resnet50"):
        load_torchvision("resnet5.IMAGENET1K_V1")
    with pytest.raises(UnknownNameError, match="IMAGENET1K_V2"):
        load_torchvision("resnet50.IMAGENET1K_V9")


def test_imagenet_names():
    names = imagenet_classes()
    assert len(names) == 1000
    assert (names[0], names[285], names[967]) == ("tench", "Egyptian cat", "espresso")
