"""Searching: the order is that of the cosine, a text is put where CLIP puts it, a picture finds itself first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.data.examples import load_example
from core.data.pictures import open_set
from core.errors import ConfigError, ShapeError
from core.methods.clip.zero_shot import embed_texts
from core.methods.embeddings.layer_features import Readout, extract_layers, find_readouts
from core.methods.embeddings.search import best, image_query, search, text_query
from core.models.weights import load
from core.reports import finish
from tests.clip_toy import save_tiny_clip


def test_the_order_is_that_of_the_cosine_whatever_the_lengths() -> None:
    angles = np.radians([0, 90, 45, 180, 45])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.array([[1], [5], [0.1], [2], [3]])
    found = search(np.array([7.0, 0.0]), vectors)
    np.testing.assert_allclose(found.similarities, np.cos(angles), atol=1e-6)
    assert found.order.tolist() == [0, 2, 4, 1, 3]  # equal ones stay in their order
    assert found.ranks.tolist() == [1, 4, 2, 5, 3]
    assert best(found, "abcde", 2) == [(1, "a", pytest.approx(1)), (2, "c", pytest.approx(np.sqrt(0.5), abs=1e-6))]
    with pytest.raises(ShapeError, match="same network"):
        search(np.zeros(3), vectors)


@pytest.mark.parametrize("name", ["cnn_small", "vit_p4"])
def test_a_picture_is_the_first_that_it_finds_at_every_layer(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    model = load(name)
    module, preprocessing = model.module.eval(), model.network.preprocessing
    images = finish(open_set("views:1/0"))
    known = find_readouts(module, preprocessing.size)
    cuts = (Readout(layer=0, pooling="mean"), Readout(layer=2, pooling="mean"), Readout(layer=1, pooling="embedding"))
    rules = {"size": preprocessing.size, "normalisation": preprocessing.normalisation}
    features = finish(
        extract_layers(module, images.source(preprocessing.size), cuts=cuts, known=known, model=name, **rules)
    )
    for cut in cuts:
        query = image_query(module, load_example("cat"), cut, known, **rules)
        found = search(query, features[cut].vectors)
        assert images.ids[found.order[0]] == "Cat"
        assert found.similarities[found.order[0]] > 0.999


def test_a_text_is_put_where_the_model_puts_it(tmp_path: Path) -> None:
    module = load(f"folder:{save_tiny_clip(tmp_path / 'clip')}").module.eval()
    np.testing.assert_array_equal(text_query(module, " a ship "), embed_texts(module, ["a ship"])[0])
    with pytest.raises(ConfigError, match="nothing to search"):
        text_query(module, "  ")


def test_layers_are_named_with_the_shapes_of_what_they_give() -> None:
    model = load("cnn_small")
    known = find_readouts(model.module.eval(), model.network.preprocessing.size)
    for layer in known.layers:
        cut = Readout(layer=layer.number, pooling="mean")
        channels, height, width = layer.shape
        assert known.shape(cut, 128) == f"128×{channels}×{height}×{width}"
        assert known.shape(cut).startswith("images×")
    assert known.shape(Readout(layer=0, pooling="mean"), 128) == ""
    assert known.shape(Readout(layer=1, pooling="embedding"), 128) == ""
