"""What is frozen stays what it was, running statistics included; what learns is what the mode says."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torchvision import models

from core.data.arrays import ArrayDataset
from core.data.transforms import HALF_NORMALISATION
from core.errors import IncompatibleError
from core.models.cnn import ConvolutionalClassifier
from core.models.small_cnn import SmallCNN, SmallCNNConfig
from core.models.transfer import head_parameters
from core.models.vit import ViT, ViTConfig
from core.training.config import TrainingConfig
from core.training.freezing import PartlyFrozen, last_block, learning_parameters, rate_shares
from core.training.head import fit_head
from core.training.loop import EpochReport, Fit


def small_cnn() -> SmallCNN:
    torch.manual_seed(0)
    return SmallCNN(SmallCNNConfig(image_size=16, width=4, stages=2, classes=2))


def colours(count: int = 32) -> ArrayDataset:
    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    images = random.integers(0, 80, (count, 8, 8, 3), dtype=np.uint8)
    images[labels == 1] += 150
    return ArrayDataset(name="toy", split="train", images=images, labels=labels, classes=("dark", "light"))


def changed(mode) -> set[str]:
    """Names of everything in the state dict that a training in `mode` changes."""
    network = small_cnn()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    head = head_parameters(network)
    learning = learning_parameters(network, mode, head)
    training = TrainingConfig(epochs=2, batch_size=8, precision="fp32", learning_rate=0.01)
    shares = {
        f"network.{name}": share
        for name, share in rate_shares(learning, head, mode, backbone=0.5, new_head=2.0).items()
    }
    fit = Fit(
        PartlyFrozen(network, learning, 16),
        colours(),
        colours(),
        HALF_NORMALISATION,
        training,
        "cpu",
        rate_shares=shares,
    )
    reports = [each for each in fit.run() if isinstance(each, EpochReport)]
    assert reports[-1].train_loss < reports[0].train_loss
    return {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}


def test_a_frozen_backbone_keeps_its_running_statistics():
    assert changed("linear_probe") == {"head.weight", "head.bias"}


def test_the_last_block_learns_with_its_statistics_and_the_rest_does_not():
    names = changed("last_block")
    assert {name.split(".")[0] for name in names} == {"stages", "head"}
    assert all(name.startswith(("stages.1.", "head.")) for name in names)
    assert "stages.1.widen.norm.running_mean" in names


@pytest.mark.parametrize("mode", ["full", "random"])
def test_everything_learns(mode):
    assert changed(mode) == set(small_cnn().state_dict())


LAST_BLOCKS = {
    "resnet18": "model.layer4.0.conv1.weight",
    "vgg11": "model.features.16.weight",
    "alexnet": "model.features.6.weight",
    "densenet121": "model.features.denseblock4.denselayer1.norm1.weight",
    "efficientnet_b0": "model.features.7.0.block.0.0.weight",
    "mobilenet_v3_small": "model.features.11.block.0.0.weight",
    "convnext_tiny": "model.features.7.0.layer_scale",
    "regnet_y_400mf": "model.trunk_output.block4.block4-0.proj.0.weight",
}


@pytest.mark.parametrize("builder", LAST_BLOCKS)
def test_the_last_block_of_torchvisions_networks(builder):
    # RegNets need memory to be built.
    with torch.device("cpu" if "regnet" in builder else "meta"):
        network = ConvolutionalClassifier(models.get_model(builder, weights=None))
    assert last_block(network) == LAST_BLOCKS[builder]


def test_the_last_block_of_others():
    assert last_block(ViT(ViTConfig(depth=3))) == "blocks.2.norm1.weight"
    lite = ConvolutionalClassifier(timm.create_model("tf_efficientnet_lite0"))
    assert last_block(lite).startswith("model.blocks.6.")
    learning = learning_parameters(lite, "last_block", head_parameters(lite))
    assert "model.conv_head.weight" in learning
    with pytest.raises(IncompatibleError, match="no blocks"):
        last_block(nn.Linear(2, 2))


def test_rates_by_part():
    network = small_cnn()
    head = head_parameters(network)
    learning = learning_parameters(network, "full", head)
    shares = rate_shares(learning, head, "full", backbone=0.1, new_head=10.0)
    training = TrainingConfig(epochs=1, batch_size=8, precision="fp32", learning_rate=0.01, warmup_share=0.5)
    fit = Fit(network, colours(), colours(), HALF_NORMALISATION, training, "cpu", rate_shares=shares)
    network.config = SmallCNNConfig(image_size=8, width=4, stages=2, classes=2)
    fit.average.config = network.config
    next(fit.run())
    rates = {id(p): group["lr"] for group in fit.optimizer.param_groups for p in group["params"]}
    named = dict(network.named_parameters())
    assert rates[id(named["head.weight"])] == pytest.approx(100 * rates[id(named["stem.conv.weight"])])
    assert rates[id(named["head.bias"])] == pytest.approx(10 * 0.01 / 2)
    assert len(rates) == len(named)
    assert set(rate_shares(learning, head, "random", backbone=0.1, new_head=10.0).values()) == {1.0}


def test_a_head_learns_from_vectors():
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    vectors = (random.normal(size=(60, 4)) + 4 * np.eye(4)[labels]).astype(np.float32)
    training = TrainingConfig(epochs=4, batch_size=16, learning_rate=0.01)

    def train() -> tuple[nn.Linear, list[EpochReport]]:
        torch.manual_seed(0)
        head = nn.Linear(4, 3)
        reports = list(fit_head(head, (vectors, labels), (vectors, labels), training, rate_share=5.0))
        return head, [each for each in reports if isinstance(each, EpochReport)]

    head, reports = train()
    assert [each.step for each in reports] == [4, 8, 12, 16]
    assert reports[-1].val_accuracy > 0.95
    assert reports[-1].val_loss < reports[0].val_loss
    assert torch.equal(train()[0].weight, head.weight)
