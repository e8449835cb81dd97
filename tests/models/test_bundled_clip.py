"""The small CLIP in `checkpoints/`: loaded by open_clip as it is, small, and it knows what it was taught."""

from __future__ import annotations

import json

import numpy as np
import open_clip
import pytest
import torch

from core.data.captions import write_caption
from core.data.wordnet import CIFAR10
from core.models.weights import load
from core.paths import BUNDLED

FOLDER = BUNDLED / "clip_small"


def test_the_folder_is_small_and_says_what_it_has_seen_and_was_tested_on() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 12 * 2**20
    card = json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))
    assert {name: len(labels) for name, labels in card["labels_seen"].items()} == {"cifar10": 10, "tiny_imagenet": 200}
    metrics = card["metrics"]
    assert metrics["image_tower_from"] == "vit_p4 of 2026-11-21"
    splits = [found for kinds in metrics["transfer"].values() for found in kinds["splits"].values()]
    for found in [*metrics["val"].values(), *metrics["test"].values(), *splits]:
        low, high = found["interval_95"]
        assert low <= found["accuracy"] <= high
        assert found["count"] >= 100
    assert len(splits) == 10  # four domains of PACS, six styles of CIFAR-10G


def test_open_clip_and_the_catalogue_agree() -> None:
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{FOLDER}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{FOLDER}")
    ours = load("clip_small").module
    images, texts = torch.randn(2, 3, 64, 64), ["a photo of a dog.", "ein Hund 🐕", ""]
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(ours.embed(images), model.encode_image(images))
        torch.testing.assert_close(ours.embed_texts(texts), model.encode_text(tokenizer(texts)))


ANIMALS = {"bird", "cat", "deer", "dog", "frog", "horse"}


@pytest.mark.parametrize(("general", "animal"), [("animal", True), ("vertebrate", True), ("vehicle", False)])
def test_general_words_lie_with_their_kind(general: str, animal: bool) -> None:
    ours = load("clip_small").module
    with torch.no_grad():
        vectors = ours.embed_texts([write_caption("a photo of a {}.", each) for each in (general, *CIFAR10)])
    vectors = torch.nn.functional.normalize(vectors, dim=-1).numpy()
    nearest = [list(CIFAR10)[index] for index in np.argsort(-(vectors[1:] @ vectors[0]))[:3]]
    assert all((name in ANIMALS) == animal for name in nearest)
