"""What a model sees is what its own library would show it, within one grey level, on photos of odd shapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
import torchvision
from diffusers.image_processor import VaeImageProcessor
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor
from transformers.models.auto.image_processing_auto import get_image_processor_class_from_name

from core.data.examples import EXAMPLES, load_example
from core.data.transforms import HALF_NORMALISATION, Preprocessing, crop_to_square, seen_part, to_batch
from core.models import cnn, open_clip_folder, timm_folder
from core.models.diffusion import load_diffusers
from core.models.image_processor import read_preprocessing
from tests.diffusion_toy import save_tiny_pipeline

# Shares of width and height that are cut out of a photo, from its corner: wide, tall, nearly square, as it is.
SHAPES = ((1.0, 0.31), (0.27, 1.0), (0.97, 0.53), (1.0, 1.0))


@cache
def photos() -> tuple[Image.Image, ...]:
    """Thirty and more real photos of odd shapes, some smaller than what models take."""
    found = []
    for number, name in enumerate(EXAMPLES):
        photo = load_example(name)
        photo.thumbnail((700 - 13 * number, 700 - 13 * number))
        for across, down in SHAPES:
            width, height = max(3, round(photo.width * across) - number), max(3, round(photo.height * down))
            found.append(photo.crop((0, 0, width, height)))
    found.append(found[0].resize((61, 47)))
    assert len(found) >= 30
    assert len({photo.size for photo in found}) >= 25
    return tuple(found)


def check(preprocessing: Preprocessing, theirs: Callable[[Image.Image], Tensor], share: float = 1.0) -> None:
    """Of every photo `share` of the values within one grey level, and none further off than ten."""
    std = torch.tensor(preprocessing.normalisation.std)[:, None, None]
    for photo in photos():
        ours, expected = to_batch([photo], preprocessing)[0], theirs(photo)
        assert ours.shape == expected.shape
        difference = (ours - expected).abs() * std * 255
        assert (difference <= 1.01).float().mean() >= share, (photo.size, float(difference.max()))
        assert difference.max() <= 10, photo.size


PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("vit", {"image_processor_type": "ViTImageProcessor"}),
    "vit of 2021": ("vit", {"feature_extractor_type": "ViTFeatureExtractor", "size": 224, "resample": 2}),
    "vit in its type alone": ("vit", {"size": {"height": 64, "width": 64}}),
    "vit without rescaling": (
        "vit",
        {"image_processor_type": "ViTImageProcessor", "do_rescale": False, "image_mean": [127.5] * 3,
         "image_std": [127.5] * 3},
    ),
    "vit of raw pixels": (
        "vit", {"image_processor_type": "ViTImageProcessor", "do_rescale": False, "do_normalize": False}
    ),
    "vit in [0, 1]": ("vit", {"image_processor_type": "ViTImageProcessor", "do_normalize": False}),
    "dino": (
        "vit",
        {"image_processor_type": "ViTImageProcessor", "size": 224, "resample": 3,
         "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
    ),
    "deit": ("deit", {"image_processor_type": "DeiTImageProcessor"}),
    "deit of 2022": (
        "deit", {"feature_extractor_type": "DeiTFeatureExtractor", "size": 256, "crop_size": 224, "resample": 3,
                 "do_center_crop": True},
    ),
    "dinov2": (
        "dinov2",
        {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256},
         "crop_size": {"height": 224, "width": 224}, "do_center_crop": True, "resample": 3,
         "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
    ),
    "odd crop": (
        "dinov2",
        {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 255},
         "crop_size": {"height": 222, "width": 222}},
    ),
    "clip": ("clip", {"image_processor_type": "CLIPImageProcessor"}),
    "clip of 2021": (
        "clip", {"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224, "resample": 3}
    ),
    "siglip": ("siglip", {"image_processor_type": "SiglipImageProcessor", "size": {"height": 384, "width": 384}}),
    "beit": (
        "beit", {"image_processor_type": "BeitImageProcessor", "size": 256, "crop_size": 224, "do_center_crop": True}
    ),
    "lanczos": ("vit", {"image_processor_type": "ViTImageProcessor", "resample": 1}),
    "convnext": ("convnext", {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}}),
    "large convnext": ("convnext", {"image_processor_type": "ConvNextImageProcessor", "size": 384}),
    "dinov3": ("dinov3_vit", {"image_processor_type": "DINOv3ViTImageProcessor"}),
    "levit": ("levit", {"image_processor_type": "LevitImageProcessor"}),
}  # fmt: skip


@pytest.mark.parametrize("backend", ["fast", "slow"])
@pytest.mark.parametrize("case", PROCESSORS)
def test_transformers(case: str, backend: str, tmp_path: Path) -> None:
    kind, said = PROCESSORS[case]
    if (kind, backend) == ("dinov3_vit", "slow"):
        return  # there is none
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said), encoding="utf-8")
    named = said.get("image_processor_type") or said.get("feature_extractor_type", "ViTImageProcessor")
    name = named.replace("FeatureExtractor", "ImageProcessor") + ("Pil" if backend == "slow" else "")
    processor = get_image_processor_class_from_name(name).from_pretrained(tmp_path)

    def theirs(photo: Image.Image) -> Tensor:
        return torch.as_tensor(np.asarray(processor(photo, return_tensors="pt")["pixel_values"][0])).float()

    # The slow ones filter with Pillow: where a filter overshoots, the library's two backends differ from each other.
    share = 1.0 if backend == "fast" else 0.999
    check(read_preprocessing(tmp_path, {"model_type": kind, "image_size": 224}), theirs, share)


@pytest.mark.parametrize("mode", [None, "center", "squash", "border"])
@pytest.mark.parametrize(
    ("size", "share", "interpolation"),
    [(224, 0.9, "bicubic"), (224, 0.95, "bilinear"), (256, 1.0, "bicubic"), (299, 0.8975, "lanczos"), (96, None, "")],
)
def test_timm(mode: str | None, size: int, share: float | None, interpolation: str) -> None:
    settings = {"input_size": (3, size, size), "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}
    settings |= {"crop_pct": share} if share else {}
    settings |= {"interpolation": interpolation} if interpolation else {}
    settings |= {"crop_mode": mode} if mode else {}
    transform = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=settings))
    check(timm_folder._preprocessing(settings), transform)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_open_clip(mode: str, interpolation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = PreprocessCfg(size=224, resize_mode=mode, interpolation=interpolation, fill_color=7)
    monkeypatch.setattr(open_clip, "get_model_preprocess_cfg", lambda model: vars(settings))
    check(open_clip_folder._preprocessing(None), image_transform_v2(settings, is_train=False))


@pytest.mark.parametrize(
    "weights",
    [
        "ResNet50_Weights.IMAGENET1K_V1", "ResNet50_Weights.IMAGENET1K_V2", "ConvNeXt_Tiny_Weights.IMAGENET1K_V1",
        "EfficientNet_B0_Weights.IMAGENET1K_V1", "VGG16_Weights.IMAGENET1K_V1",
    ],
)  # fmt: skip
def test_torchvision(weights: str) -> None:
    found = torchvision.models.get_weight(weights)
    check(cnn._preprocessing(found), found.transforms())


def test_diffusers(tmp_path: Path) -> None:
    preprocessing = load_diffusers(save_tiny_pipeline(tmp_path)).preprocessing
    processor, side = VaeImageProcessor(), preprocessing.size
    check(preprocessing, lambda photo: processor.preprocess(photo, height=side, width=side)[0])


@pytest.mark.parametrize("framing", ["crop", "squash", "pad"])
@pytest.mark.parametrize("share", [1.0, 0.875])
def test_the_part_that_is_said_to_be_seen_is_seen(framing: Any, share: float) -> None:
    """A photo whose colours are its coordinates."""
    height, width = 240, 400
    y, x = np.mgrid[0:height, 0:width]
    photo = Image.fromarray(np.stack([x * 255 / width, y * 255 / height, 0 * x + 255], axis=-1).astype(np.uint8))
    preprocessing = Preprocessing(size=160, crop_share=share, framing=framing, normalisation=HALF_NORMALISATION)
    left, top, right, bottom = seen_part(photo.size, preprocessing)
    square = np.asarray(crop_to_square(photo, preprocessing)).astype(float) / 255
    inside = square[..., 2] > 0.9
    rows, columns = np.nonzero(inside)
    for place, (low, high), channel in ((columns, (left, right), 0), (rows, (top, bottom), 1)):
        expected = low + (place + 0.5) / 160 * (high - low)
        np.testing.assert_allclose(square[rows, columns, channel], expected, atol=0.015)
    covered = (min(right, 1) - max(left, 0)) / (right - left) * (min(bottom, 1) - max(top, 0)) / (bottom - top)
    assert abs(inside.mean() - covered) < 0.02
