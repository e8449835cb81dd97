"""A classifier's outputs are matched with a data set's classes by name, whatever their order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from core.data.transforms import HALF_NORMALISATION, Preprocessing
from core.methods.accuracy.same_images import BATCH_SIZE, answers
from core.models.catalogue import find_model
from core.models.spec import LoadedModel, Network

CLASSES = ("night_sky", "Red thing", "sea")


class Brightest(nn.Module):
    """The class of the brightest channel; its outputs are red, green, blue."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


@pytest.fixture
def model() -> LoadedModel:
    # Red is "red thing", green "sea", blue "night sky".
    network = SimpleNamespace(
        module=Brightest(),
        classes=("red  Thing", "Sea", "night sky"),
        preprocessing=Preprocessing(size=4, normalisation=HALF_NORMALISATION),
    )
    return LoadedModel(spec=find_model("cnn_small"), network=cast(Network, network))


def test_every_image_is_answered_in_its_place_also_in_the_last_short_batch(model: LoadedModel) -> None:
    count = BATCH_SIZE + 3
    channels = np.arange(count) % 3
    pictures = np.zeros((count, 4, 4, 3), dtype=np.uint8)
    pictures[np.arange(count), :, :, channels] = 200
    work, steps = answers(model, pictures, CLASSES, CLASSES, "{}"), []
    while True:
        try:
            steps.append(next(work).step)
        except StopIteration as end:
            found = end.value
            break
    assert steps == [BATCH_SIZE, count]
    np.testing.assert_array_equal(found, np.array([1, 2, 0])[channels])
