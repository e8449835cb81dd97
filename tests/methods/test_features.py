"""Features: the right tokens, in eval mode, computed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel, ViTForImageClassification
from transformers import ViTConfig as HubViTConfig

from core.data.arrays import ArrayDataset
from core.data.transforms import HALF_NORMALISATION, normalise
from core.errors import IncompatibleError
from core.methods.embeddings.features import extract_features, feature_poolings
from core.models.differential import DifferentialViT
from core.models.small_cnn import SmallCNN, SmallCNNConfig
from core.models.timm_vit import TimmViT
from core.models.transformers_vision import TransformersViT
from core.models.vit import ViT, ViTConfig
from core.reports import finish

TINY = ViTConfig(image_size=16, patch_size=8, embed_dim=16, depth=2, num_heads=2, classes=3)
HUB = {"image_size": 16, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    torch.manual_seed(0)


def images(count: int = 5, size: int = 16, seed: int = 0) -> ArrayDataset:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    labels = np.arange(count) % 3
    return ArrayDataset(name="toy", split="train", images=pixels, labels=labels, classes=("a", "b", "c"))


def extract(module, data=None, **options):
    options = {"model": "tiny", "size": 16, "normalisation": HALF_NORMALISATION, **options}
    return finish(extract_features(module, data or images(), **options))


def networks():
    return {
        "vit": (ViT(TINY), 1),
        "differential_vit": (DifferentialViT(TINY), 1),
        "timm": (TimmViT(timm.create_model("test_vit", img_size=16, patch_size=8, num_classes=3)), 1),
        "transformers": (TransformersViT(ViTForImageClassification(HubViTConfig(**HUB, intermediate_size=32))), 1),
        "registers": (TransformersViT(Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**HUB))), 5),
    }


@pytest.mark.parametrize("kind", ["vit", "differential_vit", "timm", "transformers", "registers"])
def test_class_token_is_what_the_head_reads_and_the_mean_is_over_patches(kind):
    module, prefix_tokens = networks()[kind]
    module.eval()
    data = images()
    found = extract(module, data)
    pixels = normalise(torch.from_numpy(data.images), HALF_NORMALISATION)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found["class_token"].vectors), module.embed(pixels))
        tokens, before = module.last_tokens(pixels)
    assert (before, tokens.shape[1]) == (prefix_tokens, prefix_tokens + 4)
    torch.testing.assert_close(torch.from_numpy(found["mean"].vectors), tokens[:, prefix_tokens:].mean(dim=1))
    # After the last norm, which has not been trained, every token has mean 0 and spread 1.
    torch.testing.assert_close(tokens.mean(dim=-1), torch.zeros(tokens.shape[:2]), atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens.std(dim=-1, correction=0), torch.ones(tokens.shape[:2]), atol=1e-2, rtol=0)


def test_a_cnn_is_frozen_in_every_respect():
    module = SmallCNN(SmallCNNConfig(image_size=16, width=4, stages=2)).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    assert feature_poolings(module) == ("embedding",)
    found = extract(module)["embedding"]
    assert found.vectors.shape == (5, 8)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    single = extract(module, batch_size=1, model="other name")["embedding"]
    np.testing.assert_allclose(found.vectors, single.vectors, atol=1e-6)


def test_images_of_another_size_are_resized():
    found = extract(ViT(TINY), images(size=40))
    assert found["mean"].vectors.shape == (5, 16)


@pytest.mark.parametrize("size", [16, 96])
def test_images_are_resized_as_pillow_would(size):
    """Models of others were trained on what Pillow makes of a photo."""

    class Pixels(torch.nn.Module):
        def embed(self, pixels):
            return pixels.flatten(1)

    data = images(size=40)
    found = extract_features(Pixels(), data, model="pixels", size=size, normalisation=HALF_NORMALISATION)
    expected = np.stack([np.asarray(Image.fromarray(each).resize((size, size), Image.BICUBIC)) for each in data.images])
    bytes_found = finish(found)["embedding"].vectors.reshape(5, 3, size, size).transpose(0, 2, 3, 1) * 127.5 + 127.5
    # On noise, the hardest of images; in floating point a fifth of the values differ, by up to 19.
    assert np.abs(bytes_found - expected).max() < 2.01
    assert (np.abs(bytes_found - expected) > 0.01).mean() < 0.01


def test_computed_once_and_again_when_anything_changes(monkeypatch):
    module, calls = ViT(TINY), []
    original = ViT.last_tokens
    monkeypatch.setattr(ViT, "last_tokens", lambda self, batch: calls.append(len(batch)) or original(self, batch))

    def calls_of(**options) -> int:
        calls.clear()
        extract(module, **options)
        return sum(calls)

    first = extract(module)
    assert calls_of() == 0
    np.testing.assert_array_equal(extract(module)["mean"].vectors, first["mean"].vectors)
    assert calls_of(precision="bf16") == 5
    assert calls_of(data=images(seed=1)) == 5
    assert calls_of(data=images(size=20)) == 5
    assert calls_of(poolings=("mean",)) == 0
    with torch.no_grad():
        module.head.bias += 1
    assert calls_of() == 5


def test_a_data_set_that_was_imported_anew_has_other_features():
    """One image is enough, whichever it is; name, labels and size are the same."""
    before = images(400)
    after = ArrayDataset(**{**vars(before), "images": before.images.copy()})
    unsampled = next(row for row in range(400) if row not in np.linspace(0, 399, 256).astype(np.int64))
    after.images[unsampled] = 255 - after.images[unsampled]
    module = networks()["vit"][0]
    first = extract(module, before)["class_token"].vectors
    second = extract(module, after)["class_token"].vectors
    changed = np.abs(first - second).max(axis=1)
    assert changed[unsampled] > 1e-4
    assert np.delete(changed, unsampled).max() < 1e-5


@pytest.mark.parametrize("large", [False, True])
def test_an_interrupted_extraction_goes_on(large, monkeypatch):
    """Of large images after fewer of them: 512 photos would take a ViT half a minute."""
    monkeypatch.setattr("core.methods.embeddings.features._CHUNK", 512 if large else 2)
    monkeypatch.setattr("core.methods.embeddings.features._CHUNK_OF_LARGE", 2)
    monkeypatch.setattr("core.methods.embeddings.features._LARGE", 8 if large else 96)
    module, data = ViT(TINY), images()
    options = {"model": "tiny", "size": 16, "normalisation": HALF_NORMALISATION, "batch_size": 2}
    started = extract_features(module, data, **options)
    assert [next(started).step, next(started).step] == [2, 4]
    started.close()
    texts = []
    found = finish(extract_features(module, data, **options), lambda report: texts.append(report.text))
    assert [("cache" in text) for text in texts] == [True, False, False]
    assert len(found["mean"]) == 5


def test_poolings_that_a_model_does_not_have():
    with pytest.raises(IncompatibleError, match="Choose one of: embedding"):
        extract(SmallCNN(SmallCNNConfig(image_size=16, width=4, stages=2)), poolings=("class_token",))
