"""What the browser draws attention from: as good as it must be, and what it reports, believed only if it can be."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from core.methods.attention.attention import AttentionMaps, fuse_heads, shown_map
from core.models.trace import Mixture, Reading
from pages.components.attention import packing
from pages.components.attention.attention import Choice, read_choice
from pages.components.attention.packing import pack
from tests.pages.unpacked import reader_rows, weights


def maps_like(pooling: Reading, *, signed: bool, seed: int = 0) -> AttentionMaps:
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=4, size=(2, 2, 3, 7, 7))
    soft = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    found = (soft[0] - 0.8 * soft[1] if signed else soft[0]).astype(np.float32)
    return AttentionMaps(weights=found, grid=(2, 3), prefix_tokens=1, pooling=pooling, signed=signed, logits=None)


@pytest.mark.parametrize("signed", [False, True])
def test_a_byte_a_weight_is_off_by_less_than_a_255th_of_its_rows_largest(signed: bool) -> None:
    for seed in range(5):
        maps = maps_like("class_token", signed=signed, seed=seed)
        off = np.abs(weights(pack(maps), maps) - maps.weights)
        largest = np.abs(maps.weights).max(axis=-1, keepdims=True)
        assert (off <= largest / 255 * 1.001).all()
    flat = replace(maps, weights=np.full_like(maps.weights, 1 / 7))
    np.testing.assert_allclose(weights(pack(flat), flat), flat.weights, rtol=1e-6)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("pooling", ["class_token", "mean", "mixture"])
def test_what_the_head_reads_is_sent_exactly(pooling: str, signed: bool) -> None:
    share = np.arange(7, dtype=np.float32) / 21
    reading: Reading = Mixture(weights=share, name="a mix", fixed=True) if pooling == "mixture" else pooling  # type: ignore[assignment]
    maps = maps_like(reading, signed=signed)
    shares, rows = reader_rows(pack(maps), maps)
    for layer in range(2):
        for place, head in enumerate(["mean", "max", "min", "1", "2", "3"]):
            np.testing.assert_allclose(rows[layer, place], shown_map(maps, layer, head).ravel(), rtol=1e-6)
    fused = fuse_heads(maps.weights, "mean")
    np.testing.assert_allclose(shares @ fused[:, :, 1:], rows[:, 0], rtol=1e-5)


def test_a_large_model_comes_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = maps_like("class_token", signed=False)
    whole = pack(maps)
    assert len(whole.layers) == 1
    monkeypatch.setattr(packing, "WHOLE", len(whole.layers[0]) - 1)
    parts = pack(maps)
    assert len(parts.layers) == 2
    assert b"".join(parts.layers) == whole.layers[0]


def test_only_a_choice_of_these_maps_is_believed() -> None:
    maps = maps_like("class_token", signed=False)
    choice = Choice(layer=1, head="3", patch=5, direction="from", kind="rollout", mass=60, as_seen=True)
    told = asdict(choice) | {"signature": "this"}
    assert read_choice(told, "this", maps) == choice
    assert read_choice(told, "that", maps) is None
    wrong: list[dict[str, object]] = [
        {"layer": 2}, {"layer": True}, {"head": "4"}, {"head": 3}, {"patch": 6}, {"patch": 1.5}, {"direction": "up"},
        {"kind": None}, {"mass": 0}, {"as_seen": "yes"}, {"head": ["mean"]},
    ]  # fmt: skip
    for each in wrong:
        assert read_choice(told | each, "this", maps) is None, each
    assert read_choice("anything", "this", maps) is None
