"""Features of any layer: the right tensor, read in one pass, kept in the same cache as the features of the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

from core.data.transforms import HALF_NORMALISATION, normalise
from core.errors import IncompatibleError
from core.methods.embeddings.features import extract_features
from core.methods.embeddings.layer_features import Readout, extract_layers, find_readouts
from core.models.open_clip_folder import load_open_clip
from core.models.small_cnn import SmallCNN, SmallCNNConfig
from core.models.timm_vit import TimmViT
from core.models.transformers_vision import TransformersViT
from core.models.vit import ViT, ViTConfig
from core.reports import finish
from tests.clip_toy import save_tiny_clip
from tests.methods.test_features import HUB, TINY, images


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    torch.manual_seed(0)


def read(module, *cuts, data=None, size=16, **options):
    module.eval()
    known = find_readouts(module, size)
    options = {"model": "tiny", "size": size, "normalisation": HALF_NORMALISATION, **options}
    return finish(extract_layers(module, data or images(), cuts=cuts, known=known, **options))


def transformers_of_all_kinds():
    return {
        "vit": ViT(TINY),
        "timm": TimmViT(timm.create_model("test_vit", img_size=16, patch_size=8)),
        "registers": TransformersViT(Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**HUB))),
    }


@pytest.mark.parametrize("kind", ["vit", "timm", "registers"])
def test_blocks_are_what_a_trace_keeps(kind):
    module = transformers_of_all_kinds()[kind].eval()
    with torch.no_grad():
        trace = module.trace(normalise(torch.from_numpy(images().images), HALF_NORMALISATION))
    cuts = [Readout(layer=1, pooling="class_token"), Readout(layer=1, pooling="mean")]
    found = read(module, *cuts)
    tokens = trace.tokens[0].numpy()
    np.testing.assert_allclose(found[cuts[0]].vectors, tokens[:, 0], atol=1e-5)
    np.testing.assert_allclose(found[cuts[1]].vectors, tokens[:, trace.prefix_tokens :].mean(axis=1), atol=1e-5)


def test_the_last_block_is_what_the_head_reads_and_shares_its_cache():
    module = ViT(TINY).eval()
    known = find_readouts(module, 16)
    options = {"model": "tiny", "size": 16, "normalisation": HALF_NORMALISATION}
    end = finish(extract_features(module, images(), **options))
    texts: list[str] = []
    cuts = (Readout(layer=2, pooling="class_token"), Readout(layer=2, pooling="mean"))
    again = finish(
        extract_layers(module, images(), cuts=cuts, known=known, **options), lambda report: texts.append(report.text)
    )
    assert all("cache" in text for text in texts)
    for cut in cuts:
        np.testing.assert_array_equal(again[cut].vectors, end[cut.pooling].vectors)


def test_one_pass_for_all_layers_and_none_the_second_time(monkeypatch):
    module, passes = ViT(TINY), []
    original = ViT._encode
    cuts = [Readout(layer=layer, pooling="mean") for layer in (0, 1, 2)]
    monkeypatch.setattr(ViT, "_encode", lambda self, batch: passes.append(len(batch)) or original(self, batch))
    read(module, *cuts)
    assert [count for count in passes if count > 1] == [5]
    passes.clear()
    read(module, *cuts)
    assert [count for count in passes if count > 1] == []


def test_stages_are_averaged_and_the_embedding_is_their_end():
    module = SmallCNN(SmallCNNConfig(image_size=16, width=4, stages=2))
    found = read(
        module, *(Readout(layer=layer, pooling="mean") for layer in (1, 2, 3)), Readout(layer=3, pooling="embedding")
    )
    assert [vectors.vectors.shape[1] for vectors in found.values()] == [2, 4, 8, 8]
    last, embedding = (found[Readout(layer=3, pooling=pooling)].vectors for pooling in ("mean", "embedding"))
    np.testing.assert_allclose(last, embedding, atol=1e-6)
    with torch.no_grad():
        stem = module.stem(normalise(torch.from_numpy(images().images), HALF_NORMALISATION)).mean(dim=(2, 3))
    np.testing.assert_allclose(found[Readout(layer=1, pooling="mean")].vectors, stem.numpy(), atol=1e-6)


def test_projected_embedding_of_an_image_text_model(tmp_path: Path):
    module = load_open_clip(save_tiny_clip(tmp_path / "clip")).module.eval()
    data = images(size=32)
    cuts = [
        Readout(layer=1, pooling="class_token"),
        Readout(layer=2, pooling="class_token"),
        Readout(layer=2, pooling="embedding"),
    ]
    found = read(module, *cuts, data=data, size=32)
    pixels = normalise(torch.from_numpy(data.images), HALF_NORMALISATION)
    with torch.no_grad():
        trace, projected = module.trace(pixels), module.embed(pixels)
    np.testing.assert_allclose(found[cuts[0]].vectors, trace.tokens[0][:, 0].numpy(), atol=1e-4)
    np.testing.assert_allclose(found[cuts[2]].vectors, projected.numpy(), atol=1e-4)
    assert found[cuts[1]].vectors.shape[1] == 32
    assert found[cuts[2]].vectors.shape[1] == 24


def test_pixels_are_the_picture_however_it_is_pooled():
    data = images()
    found = read(ViT(TINY), Readout(layer=0, pooling="mean"), data=data)[Readout(layer=0, pooling="mean")]
    expected = data.images.transpose(0, 3, 1, 2).reshape(len(data), -1) / 255
    np.testing.assert_allclose(found.vectors, expected, atol=1e-6)


def test_depths_and_titles():
    known = find_readouts(ViT(ViTConfig(image_size=16, patch_size=8, embed_dim=16, depth=6, num_heads=2)).eval(), 16)
    assert [known.at(depth) for depth in ("pixels", "early", "middle", "late")] == [0, 2, 3, 6]
    assert known.title(Readout(layer=3, pooling="class_token")) == "block 3 of 6, class token"
    assert known.title(Readout(layer=0, pooling="mean")) == "pixels"
    assert known.poolings == ("class_token", "mean", "embedding")


def test_layers_and_poolings_that_a_network_does_not_have():
    module = SmallCNN(SmallCNNConfig(image_size=16, width=4, stages=2))
    with pytest.raises(IncompatibleError, match="Choose one of: mean, embedding"):
        read(module, Readout(layer=1, pooling="class_token"))
    with pytest.raises(IncompatibleError, match="3 layers, not 7"):
        read(module, Readout(layer=7, pooling="mean"))
