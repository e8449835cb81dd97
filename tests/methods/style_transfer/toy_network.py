"""A network of features that takes milliseconds: the bundled CNN's design, narrow and with random weights."""

from __future__ import annotations

import torch

from core.data.transforms import CIFAR10_NORMALISATION, Preprocessing
from core.methods.style_transfer.networks import FeatureNetwork, Pooling, feature_network
from core.models.catalogue import MODELS
from core.models.small_cnn import SmallCNN, SmallCNNConfig
from core.models.spec import LoadedModel, Network


def toy_model() -> LoadedModel:
    torch.manual_seed(0)
    module = SmallCNN(SmallCNNConfig(width=8)).eval()
    preprocessing = Preprocessing(size=32, normalisation=CIFAR10_NORMALISATION)
    return LoadedModel(spec=MODELS["cnn_small"], network=Network(module=module, preprocessing=preprocessing))


def toy_network(pooling: Pooling = "max") -> FeatureNetwork:
    return feature_network(toy_model(), pooling)
