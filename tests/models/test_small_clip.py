"""Our small CLIP is an open_clip folder like any other, and can start from a ViT of ours."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch

from core.data.tokenizer import ASSET, END_ID, PAD_ID, PIECES
from core.data.transforms import HALF_NORMALISATION
from core.errors import ConfigError
from core.models.checkpoint import ModelCard, read_card
from core.models.small_clip import (
    SmallCLIPConfig,
    build_clip,
    open_clip_config,
    round_as_stored,
    save_clip,
    start_from_vit,
)
from core.models.vit import ViT, ViTConfig
from core.models.weights import load

SMALL = SmallCLIPConfig(
    image_size=16, patch_size=8, width=16, depth=2, num_heads=2, text_width=16, text_depth=1, text_heads=2,
    context_length=8, embed_dim=12,
)  # fmt: skip
CARD = ModelCard(
    family="open_clip", title="Tiny", config={}, classes=(), mean=HALF_NORMALISATION.mean, std=HALF_NORMALISATION.std,
    dataset="none", recipe="", command="", date="2026-01-01", labels_seen={"toy": ["cat"]},
)  # fmt: skip
TEXTS = ["a photo of a dog.", "猫 dog", "an extremely long sentence about nothing at all, and more", ""]


def _config(sigmoid: bool = False) -> dict[str, Any]:
    return open_clip_config(SMALL, pieces=PIECES, end_id=END_ID, pad_id=PAD_ID, sigmoid=sigmoid)


def _saved(folder: Path, sigmoid: bool = False) -> Any:
    torch.manual_seed(0)
    model = build_clip(_config(sigmoid)).eval()
    save_clip(folder, model, _config(sigmoid), normalisation=HALF_NORMALISATION, tokenizer=ASSET, card=CARD)
    round_as_stored(model)
    return model


@pytest.mark.parametrize("sigmoid", [False, True])
def test_open_clip_loads_the_folder_as_it_is(tmp_path, sigmoid):
    ours = _saved(tmp_path, sigmoid)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tmp_path}")
    assert type(model) is open_clip.CLIP
    ids, images = tokenizer(TEXTS), torch.randn(2, 3, 16, 16)
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(model.encode_text(ids), ours.encode_text(ids))
        torch.testing.assert_close(model.encode_image(images), ours.encode_image(images))
        # What follows the end has no say.
        padded = ids.clone()
        padded[1][ids[1] == PAD_ID] = 77
        torch.testing.assert_close(model.encode_text(padded), model.encode_text(ids))
    assert (ids == END_ID).sum(dim=1).tolist() == [1, 1, 1, 1]  # one that is cut ends, too
    assert preprocess.transforms[0].size == 16
    assert (model.logit_bias is not None) == sigmoid
    assert read_card(tmp_path).labels_seen == {"toy": ["cat"]}


def test_it_is_a_model_of_images_and_texts_for_the_catalogue(tmp_path):
    _saved(tmp_path)
    module = load(f"folder:{tmp_path}").module
    assert module.embed_texts(["a dog"]).shape == (1, 12)
    assert module.trace(torch.randn(1, 3, 16, 16)).attention[0].shape == (1, 2, 5, 5)
    assert (
        json.loads((tmp_path / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]["text_cfg"][
            "pool_type"
        ]
        == "eos"
    )


def test_training_takes_another_path_to_the_same_numbers():
    torch.manual_seed(0)
    model = build_clip(_config())
    images, ids = torch.randn(2, 3, 16, 16), torch.tensor([[1, 30, 2, 0, 0, 0, 0, 0], [1, 40, 50, 2, 0, 0, 0, 0]])
    explicit = model(images, ids)
    with torch.no_grad():
        fused = model(images, ids)
    for first, second in zip(explicit, fused, strict=True):
        torch.testing.assert_close(first, second)


def test_an_image_tower_that_starts_from_a_vit_computes_the_same_on_the_enlarged_image():
    torch.manual_seed(0)
    vit = ViT(ViTConfig(image_size=8, patch_size=4, embed_dim=16, depth=2, num_heads=2)).eval()
    for parameter in vit.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model = build_clip(_config()).eval()
    start_from_vit(model, vit)
    images = torch.randn(3, 3, 8, 8)
    enlarged = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.no_grad():
        visual = model.visual
        tokens = visual.ln_post(visual.transformer(visual._embeds(enlarged)))
        torch.testing.assert_close(tokens, vit.last_tokens(images)[0], atol=1e-3, rtol=1e-3)  # their ε differ


def test_a_vit_of_another_shape_is_refused():
    vit = ViT(ViTConfig(image_size=8, patch_size=4, embed_dim=16, depth=1, num_heads=2))
    with pytest.raises(ConfigError, match="same width"):
        start_from_vit(build_clip(_config()), vit)
    with pytest.raises(ConfigError, match="evenly"):
        dataclasses.replace(SMALL, num_heads=3)
