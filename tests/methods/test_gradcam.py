"""Grad-CAM against its formula on a network whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import IncompatibleError
from core.methods.accuracy.targets import Target
from core.methods.attention.gradcam import grad_cam


class TwoChannels(nn.Module):
    """Class k is the mean of channel k; the channels are the first two of the image."""

    def trace_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = images[:, :2] * 1.0
        return maps, maps.mean(dim=(2, 3))


def test_shows_the_channel_of_the_class() -> None:
    image = torch.rand(1, 3, 6, 8)
    for index in (0, 1):
        # d mean / d map is 1 / 48 everywhere, so the weighted sum is the channel itself, scaled.
        np.testing.assert_allclose(
            grad_cam(TwoChannels(), image, Target(class_index=index)), image[0, index].numpy() / 48, rtol=1e-5
        )


def test_negative_evidence_is_cut_off() -> None:
    assert grad_cam(TwoChannels(), -torch.rand(1, 3, 4, 4), Target(class_index=0)).max() == 0


def test_needs_a_class() -> None:
    with pytest.raises(IncompatibleError, match="class"):
        grad_cam(TwoChannels(), torch.rand(1, 3, 4, 4), Target())
