"""Relevance of patches and words: the paper's formula in both towers, and nothing of it is left behind in the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import IncompatibleError
from core.methods.clip.image_text_relevance import image_text_relevance, join_pieces
from core.models.weights import load
from tests.clip_toy import save_tiny_clip, save_tiny_transformers_clip

TEXT = "a photo of the cats."
WORDS = ("a", "photo", "of", "the", "cats", ".")


@pytest.fixture(scope="module", params=["open_clip", "transformers", "sigmoid"])
def module(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("clip") / "model"
    if request.param == "transformers":
        save_tiny_transformers_clip(folder)
    else:
        save_tiny_clip(folder, sigmoid=request.param == "sigmoid")
    return load(f"folder:{folder}").module


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def by_the_paper(module: Any, image: torch.Tensor, texts: list[str], *, against: bool) -> tuple[np.ndarray, np.ndarray]:
    """Equations 5 and 6 written out layer by layer and head by head: the read-out rows of both towers."""
    pair = module.trace_pair(image, texts)
    for weights in (*pair.image_attention, *pair.text_attention):
        weights.retain_grad()
    score = pair.scores[0, 0] - (pair.scores[0, 1:].mean() if against else 0)
    score.backward()
    rows = []
    for attention in (pair.image_attention, pair.text_attention):
        total = np.eye(attention[0].shape[-1])
        for weights in attention:
            heads = [
                np.maximum(weights.grad[0, head].numpy() * weights.detach()[0, head].numpy(), 0)
                for head in range(weights.shape[1])
            ]
            total = total + sum(heads) / len(heads) @ total
        rows.append(total)
    module.zero_grad()
    return rows[0][0, 1:], rows[1][int(pair.text_read[0])]


@pytest.mark.parametrize("against", [(), ("a photo of the dog.", "ship")])
def test_both_towers_follow_the_paper(module: Any, image: torch.Tensor, against: tuple[str, ...]) -> None:
    found = image_text_relevance(module, image, TEXT, against)
    patches, tokens = by_the_paper(module, image, [TEXT, *against], against=bool(against))
    np.testing.assert_allclose(found.patches.ravel(), patches, rtol=1e-4, atol=1e-7)
    assert found.words == WORDS
    # <start>, a, photo, of, the, cat, ##s, .
    expected = [*tokens[1:5], tokens[5] + tokens[6], tokens[7]]
    np.testing.assert_allclose(found.word_relevance, expected, rtol=1e-4, atol=1e-7)
    assert found.patches.shape == (4, 4)
    assert (found.patches >= 0).all()


def test_the_score_is_the_logit_and_the_model_is_left_as_it_was(module: Any, image: torch.Tensor) -> None:
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.inference_mode():
        photo = image.clone()
        found = image_text_relevance(module, photo, TEXT)  # from within inference mode, as callers may be
        expected = module.trace_pair(image, [TEXT]).scores[0, 0]
    assert found.score == pytest.approx(float(expected), rel=1e-4)
    assert all(parameter.grad is None for parameter in module.parameters())
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_another_text_another_map_and_the_same_text_against_itself_nothing(module: Any, image: torch.Tensor) -> None:
    cat, ship = (image_text_relevance(module, image, text) for text in ("cat", "the blue ship"))
    assert not np.allclose(cat.patches, ship.patches, rtol=1e-2)
    none = image_text_relevance(module, image, "cat", against=["cat"])
    assert none.score == pytest.approx(0, abs=1e-4)
    np.testing.assert_allclose(none.patches, 0, atol=1e-5)


def test_a_convolutional_tower_is_refused_in_a_sentence(tmp_path: Path, image: torch.Tensor) -> None:
    vision = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 8}
    module = load(f"folder:{save_tiny_clip(tmp_path / 'rn', vision=vision)}").module
    with pytest.raises(IncompatibleError, match="attention of both towers"):
        image_text_relevance(module, image, TEXT)


@pytest.mark.parametrize(
    ("pieces", "words", "groups"),
    [
        (["<start_of_text>", "ti", "ger</w>", "cat</w>", ".</w>", "<end_of_text>"], "tiger cat .", "12 3 4"),
        (["<start>", "Ġti", "ger", "Ġcat", ".", "<end>", "<pad>"], "tiger cat .", "12 3 4"),
        (["▁tiger", "▁cat", "s", "</s>"], "tiger cats", "0 12"),
        (["[CLS]", "tiger", "cat", "##s", ".", "[SEP]"], "tiger cats .", "1 23 4"),
        (["<start_of_text>", "çĮ", "«</w>", "cat</w>", "<end_of_text>"], "猫 cat", "12 3"),
        (["<start>", "<end>"], "", ""),
    ],
)
def test_pieces_become_words(pieces: list[str], words: str, groups: str) -> None:
    found = join_pieces(pieces)
    assert " ".join(found[0]) == words
    assert " ".join("".join(map(str, group)) for group in found[1]) == groups
