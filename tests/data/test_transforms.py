"""The crop that every model sees is torchvision's, to the pixel: published models were trained and measured with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from core.data.examples import EXAMPLES, load_example
from core.data.transforms import HALF_NORMALISATION, Normalisation, Preprocessing, crop_to_square, standardise

MODES = {"bicubic": InterpolationMode.BICUBIC, "bilinear": InterpolationMode.BILINEAR}


def check(image: Image.Image, size: int, share: float, resample: str) -> None:
    preprocessing = Preprocessing(size=size, crop_share=share, resample=resample, normalisation=HALF_NORMALISATION)
    expected = CenterCrop(size)(Resize(round(size / share), MODES[resample])(image))
    np.testing.assert_array_equal(np.asarray(crop_to_square(image, preprocessing)), np.asarray(expected))


@settings(deadline=None, max_examples=40)
@given(
    width=st.integers(8, 90),
    height=st.integers(8, 90),
    size=st.sampled_from([8, 15, 32, 64]),
    share=st.sampled_from([1.0, 0.875, 0.95]),
    resample=st.sampled_from(["bicubic", "bilinear"]),
)
def test_any_size_is_cropped_as_torchvision_does(
    width: int, height: int, size: int, share: float, resample: str
) -> None:
    pixels = np.random.default_rng(width * 100 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    check(Image.fromarray(pixels), size, share, resample)


@pytest.mark.parametrize("name", EXAMPLES)
def test_real_photos_are_cropped_as_torchvision_does(name: str) -> None:
    check(load_example(name), 224, 0.875, "bicubic")


def test_colour_becomes_grey_where_the_model_has_one_channel() -> None:
    pixels = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    found = standardise(pixels, Normalisation(mean=(0.0,), std=(1.0,)))
    grey = [
        np.asarray(Image.fromarray((each * 255).round().byte().permute(1, 2, 0).numpy()).convert("L"))
        for each in pixels
    ]
    np.testing.assert_allclose(found[:, 0].numpy() * 255, np.stack(grey), atol=1.1)
    assert torch.equal(standardise(pixels[:, :1], Normalisation(mean=(0.0,), std=(1.0,))), pixels[:, :1])
