"""Layers by the names of the field: of VGG-19 against torchvision's own numbers, and pooling by averages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models.vgg import VGG, cfgs, make_layers

from core.data.transforms import IMAGENET_NORMALISATION, Preprocessing, standardise
from core.errors import IncompatibleError, NotFiniteError, UnknownNameError
from core.methods.style_transfer.networks import STYLE_ROWS, FeatureNetwork, Pooling, averaging, feature_network
from core.models.catalogue import MODELS
from core.models.cnn import ConvolutionalClassifier, load_torchvision
from core.models.spec import LoadedModel, Network
from tests.methods.style_transfer.toy_network import toy_model, toy_network

# Where torchvision has them: the ReLU after the convolution of that name.
PLACES = {"conv1_1": 1, "conv1_2": 3, "conv2_1": 6, "conv3_1": 11, "conv4_1": 20, "conv4_2": 22, "conv5_1": 29}


def vgg19(features: nn.Module, pooling: Pooling = "max") -> FeatureNetwork:
    with torch.device("meta"):  # 124 million weights that nothing here reads
        model = VGG(nn.Identity(), init_weights=False)
    model.features, model.classifier = features, nn.Sequential(nn.Linear(2, 2))
    network = Network(
        module=ConvolutionalClassifier(model.eval()),
        preprocessing=Preprocessing(size=224, normalisation=IMAGENET_NORMALISATION),
    )
    return feature_network(LoadedModel(spec=MODELS["vgg19"], network=network), pooling)


@pytest.fixture(scope="module")
def features() -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = make_layers(cfgs["E"]).eval()
    return made


def test_vgg_is_read_where_torchvision_has_its_layers(features: nn.Sequential) -> None:
    network, images = vgg19(features), torch.rand(2, 3, 32, 32)
    found = network.features(images, PLACES)
    for name, place in PLACES.items():
        wanted = features[: place + 1](standardise(images, IMAGENET_NORMALISATION))
        torch.testing.assert_close(found[name], wanted)
        assert float(found[name].min()) == 0  # rectified
    assert len(network.layers) == 16
    assert network.row.style == ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
    assert (network.halvings["conv5_1"], network.least_side(["conv5_1", "conv1_1"])) == (4, 32)


def test_average_pooling_replaces_every_maximum_and_shares_the_weights(features: nn.Sequential) -> None:
    images = torch.rand(1, 3, 32, 32)
    found = vgg19(features, "average").features(images, ["conv2_1"])["conv2_1"]
    maps: Tensor = standardise(images, IMAGENET_NORMALISATION)
    for place in range(7):
        maps = nn.functional.avg_pool2d(maps, 2) if place == 4 else features[place](maps)
    torch.testing.assert_close(found, maps)
    twin = averaging(features)
    assert not any(isinstance(each, nn.MaxPool2d) for each in twin.modules())
    assert sum(isinstance(each, nn.MaxPool2d) for each in features.modules()) == 5  # the model itself is as it was
    assert {each.data_ptr() for each in twin.parameters()} == {each.data_ptr() for each in features.parameters()}


@pytest.mark.slow
def test_a_file_of_vgg19_on_this_machine_is_read_the_same_way(features: nn.Sequential, tmp_path: Path) -> None:
    weights = {f"features.{name}": tensor for name, tensor in features.state_dict().items()}
    shapes = {"0": (4096, 25088), "3": (4096, 4096), "6": (1000, 4096)}
    for name, shape in shapes.items():  # one stored number each
        weights[f"classifier.{name}.weight"] = torch.zeros(1, 1).expand(shape)
        weights[f"classifier.{name}.bias"] = torch.zeros(1).expand(shape[0])
    torch.save(weights, tmp_path / "vgg19-local.pth")
    model = LoadedModel(spec=MODELS["vgg19"], network=load_torchvision(tmp_path / "vgg19-local.pth"))
    images = torch.rand(1, 3, 32, 32)
    found = feature_network(model).features(images, ["conv4_2"])["conv4_2"]
    torch.testing.assert_close(found, vgg19(features).features(images, ["conv4_2"])["conv4_2"])


def test_of_the_bundled_cnn_the_stages_have_names() -> None:
    model, network, images = toy_model(), toy_network(), torch.rand(2, 3, 32, 32)
    found = network.features(images, network.layers)
    assert [tuple(maps.shape[1:]) for maps in found.values()] == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)]
    last, _ = model.module.trace_maps(standardise(images, network.normalisation))  # type: ignore[operator]
    torch.testing.assert_close(found["stage3"], last)
    # Of any size, where the classifier takes one.
    assert network.features(torch.rand(1, 3, 48, 20), ["stage1"])["stage1"].shape == (1, 8, 24, 10)


def test_nothing_is_computed_beyond_the_last_layer() -> None:
    network, asked = toy_network(), []
    for name, part in zip(network.chain.names, network.chain.parts, strict=True):
        part.register_forward_hook(lambda *_, name=name: asked.append(name))
    network.features(torch.rand(1, 3, 16, 16), ["stage1", "stem"])
    assert asked == ["stem", "stage1"]


def test_what_is_missing_is_a_sentence() -> None:
    with pytest.raises(UnknownNameError, match=r"layer of .* named 'stage9'.*stage"):
        toy_network().features(torch.rand(1, 3, 16, 16), ["stage9"])
    with pytest.raises(UnknownNameError, match="stage9"):
        toy_network().least_side(["stage9"])
    model = toy_model()
    other = LoadedModel(spec=MODELS["vit_p4"], network=model.network)
    with pytest.raises(IncompatibleError, match="not set up for style transfer"):
        feature_network(other)
    without = LoadedModel(
        spec=MODELS["cnn_small"], network=Network(module=nn.Linear(2, 2), preprocessing=model.network.preprocessing)
    )
    with pytest.raises(IncompatibleError, match="no feature maps"):
        feature_network(without)


def test_weights_that_are_no_numbers_are_named() -> None:
    model = toy_model()
    network = feature_network(model)
    with torch.no_grad():
        next(network.chain.parts[1].parameters()).fill_(np.nan)
    with pytest.raises(NotFiniteError, match="feature maps of stage1"):
        network.features(torch.rand(1, 3, 16, 16), ["stage1"])


def test_every_row_is_a_model_with_layers_of_these_names() -> None:
    assert set(STYLE_ROWS) <= set(MODELS)
    for row in STYLE_ROWS.values():
        assert len(row.style) == len(row.layer_weights)
        assert sum(row.layer_weights) == pytest.approx(1)
