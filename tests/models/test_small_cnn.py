"""The small CNN: its maps belong to its logits, and its shape follows its config."""

from __future__ import annotations

import pytest
import torch

from core.errors import ConfigError, ShapeError
from core.methods.accuracy.targets import pick_target
from core.methods.anatomy.anatomy import anatomy
from core.methods.attention.gradcam import grad_cam
from core.models.small_cnn import SmallCNN, SmallCNNConfig


def _build(**changes: int) -> SmallCNN:
    torch.manual_seed(0)
    return SmallCNN(SmallCNNConfig(**{"width": 8, **changes})).eval()


def test_maps_logits_and_embedding_belong_together():
    network, images = _build(), torch.randn(2, 3, 32, 32)
    maps, logits = network.trace_maps(images)
    assert maps.shape == (2, 32, 4, 4)
    torch.testing.assert_close(network(images), logits)
    torch.testing.assert_close(network.embed(images), maps.mean(dim=(2, 3)))
    torch.testing.assert_close(network.head(network.embed(images)), logits)


@pytest.mark.parametrize(("stages", "blocks", "side"), [(1, 0, 16), (2, 2, 8), (4, 1, 2)])
def test_stages_halve_and_double(stages, blocks, side):
    maps, _ = _build(stages=stages, blocks=blocks).trace_maps(torch.randn(1, 3, 32, 32))
    assert maps.shape == (1, 8 * 2 ** (stages - 1), side, side)


def test_the_default_is_small_enough_to_bundle():
    count = sum(parameter.numel() for parameter in SmallCNN(SmallCNNConfig()).parameters())
    assert 1_000_000 < count < 1_500_000


def test_grad_cam_finds_evidence():
    network, image = _build(), torch.randn(1, 3, 32, 32)
    cam = grad_cam(network, image, pick_target(network, image))
    assert cam.shape == (4, 4)
    assert cam.max() > 0


def test_a_batch_equals_its_images_in_eval_mode():
    network, images = _build(), torch.randn(3, 3, 32, 32)
    single = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), single)


def test_it_learns_two_colours():
    network = _build(image_size=8, stages=2, classes=2).train()
    labels = torch.arange(32) % 2
    images = torch.randn(32, 3, 8, 8) * 0.3 + labels[:, None, None, None]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert (network(images).argmax(dim=1) == labels).all()


def test_anatomy_reads_it():
    network = _build()
    found = anatomy(network)
    assert found.total == sum(parameter.numel() for parameter in network.parameters())
    assert set(found.by_role()) == {"convolution", "norm", "bias", "head"}


def test_impossible_shapes():
    with pytest.raises(ConfigError, match="even number"):
        SmallCNNConfig(width=9)
    with pytest.raises(ConfigError, match="stages leave nothing"):
        SmallCNNConfig(image_size=8, stages=4)
    with pytest.raises(ShapeError, match="32, 32"):
        _build()(torch.zeros(1, 3, 16, 16))
